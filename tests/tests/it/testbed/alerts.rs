//! Alerts on their whole way: the real Alertmanager, with the configuration that the platform ships, to `omni alerts`.

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AlertStatus, AlertView};
use omni_tests::mesh::{self, Loopback, Mesh, Place, SOON};
use omni_tests::testbed::{Process, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As docs/metrics.md tells people to take the root certificate.
const TAKE_CA: &str = "echo | openssl s_client -connect \"$1\" -showcerts 2>/dev/null | \
    awk '/BEGIN/ { n++ } n == 2 { print } /END/ && n == 2 { exit }' >\"$2\"";

#[test]
fn alertmanager_reports_to_the_mesh() {
    mesh::test(|here| {
        let mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
        let manager = Alertmanager::start(here, &mesh)?;
        // On different hosts: what is seen on a host that is down is kept quiet by Alertmanager.
        manager.post(&[("HostDown", "critical", "a1"), ("HostMemoryLow", "warning", "a2")], false)?;
        let firing = await_alerts(&mesh, &[], 2)?;
        assert_eq!(firing[0].name, "HostDown", "the worst first");
        assert_eq!(firing[0].summary.as_deref(), Some("HostDown it is"));
        let shown = mesh.omni().run(["alerts"])?.done()?;
        ensure!(shown.contains("HostDown it is"), "people see it: {shown}");

        // The controller that Alertmanager talks to leads no more; it passes the report on.
        mesh.omni().run(["controllers", "transfer-leader", "c2"])?.done()?;
        manager.post(&[("HostDown", "critical", "a1")], true)?;
        let firing = await_alerts(&mesh, &[], 1)?;
        assert_eq!(firing[0].name, "HostMemoryLow");
        let all = await_alerts(&mesh, &["--all"], 2)?;
        assert_eq!((all[1].name.as_str(), all[1].status), ("HostDown", AlertStatus::Resolved));
        let events = mesh.omni().run(["events", "--topic", "alert"])?.done()?;
        ensure!(events.contains("alert.firing") && events.contains("HostDown is over"), "{events}");
        mesh.all_run()
    });
}

fn await_alerts(mesh: &Mesh<'_>, flags: &[&str], count: usize) -> Result<Vec<AlertView>> {
    let args: Vec<&str> = ["alerts"].into_iter().chain(flags.iter().copied()).collect();
    eventually(&format!("{count} alerts"), SOON, || {
        let alerts: Vec<AlertView> = mesh.omni().json(&args).ok()?;
        (alerts.len() == count).then_some(alerts)
    })
}

/// Alertmanager itself, waiting for less long than in production.
struct Alertmanager {
    api: String,
    _process: Process,
}

impl Alertmanager {
    fn start(here: &Loopback, mesh: &Mesh<'_>) -> Result<Self> {
        let dir = Place::Here(here).make_dir("alertmanager")?;
        let to = mesh.controller("c1");
        let (ca, token) = (dir.join("omni-ca.pem"), dir.join("omni_webhook_token"));
        eventually("the root certificate is taken", SOON, || {
            call("sh", &["-c", TAKE_CA, "sh", to.api(), text(&ca).ok()?], &dir).ok()?;
            fs::read_to_string(&ca).ok().filter(|pem| pem.contains("END CERTIFICATE")).map(drop)
        })?;
        let created =
            mesh.omni().run(["token", "create-api", "--name", "alertmanager", "--role", "operator"])?;
        fs::write(&token, created.done()?)?;
        fs::write(dir.join("mattermost_webhook_url"), format!("http://{}:9/", here.address()))?;
        let config = configuration(&dir, &format!("{}/api/v1/hooks/alertmanager", to.url()), &ca)?;

        let address = format!("{}:{}", here.address(), here.port());
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        let process = Place::Here(here).spawn("alertmanager", command)?;
        let manager = Self { api: format!("http://{address}"), _process: process };
        eventually("Alertmanager is ready", SOON, || manager.curl(&["/-/ready"]).ok())?;
        Ok(manager)
    }

    /// What Prometheus would send.
    fn post(&self, alerts: &[(&str, &str, &str)], over: bool) -> Result<()> {
        let body: Vec<Value> = alerts
            .iter()
            .map(|(name, severity, host)| {
                let mut alert = json!({
                    "labels": {"alertname": name, "severity": severity, "tier": "critical", "host": host, "component": "host"},
                    "annotations": {"summary": format!("{name} it is")},
                    "startsAt": "2026-08-01T10:00:00Z",
                });
                if over {
                    alert["endsAt"] = json!("2026-08-01T11:00:00Z");
                }
                alert
            })
            .collect();
        let body = Value::from(body).to_string();
        self.curl(&["/api/v2/alerts", "-H", "content-type: application/json", "-d", &body])
    }

    fn curl(&self, args: &[&str]) -> Result<()> {
        let (path, rest) = args.split_first().context("a path")?;
        let url = format!("{}{path}", self.api);
        call("curl", &[&["-sSf", "--max-time", "10", &url], rest].concat(), Path::new("/"))
    }
}

/// `alerts/alertmanager` as it is shipped, its switch for omni turned on. Only addresses, secret files and waiting times
/// are the test's own.
fn configuration(dir: &Path, hook: &str, ca: &Path) -> Result<PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../alerts/alertmanager");
    call("cp", &["-r", text(&shipped)?, "shipped"], dir)?;
    let build = dir.join("shipped/build.sh");
    call(text(&build)?, &["--omni-webhook", hook, "--omni-ca", text(ca)?, "--output", "test.yml"], dir)?;
    let config = dir.join("shipped/test.yml");
    let kept = fs::read_to_string(&config)?.replace("/run/secrets/", &format!("{}/", text(dir)?));
    let quick: Vec<String> = kept
        .lines()
        .map(|line| match line.trim_start().split_once(':') {
            Some((key @ ("group_wait" | "group_interval"), _)) => {
                format!("{}{key}: 1s", &line[..line.len() - line.trim_start().len()])
            }
            _ => line.to_owned(),
        })
        .collect();
    fs::write(&config, quick.join("\n"))?;
    Ok(config)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path of letters")
}

fn call(program: &str, args: &[&str], dir: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir);
    mesh::run(command)?.done().map(drop)
}
