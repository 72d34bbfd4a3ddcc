//! From the loss of a host to its app elsewhere, with its data out of a backup.

use super::tree::{Tree, digest};
use super::{Row, Since, go_on, up};
use crate::bench::args::Settings;
use crate::bench::machine::Machine;
use crate::bench::report::{Goal, Report, note, number, table};
use crate::bench::stats::{Percentiles, Ratio};
use crate::bench::usage;
use crate::mesh::{Mesh, Place, Project, SOON, hosts_of, settled};
use crate::testbed::{Engine, Host, IMAGE, Testbed};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{CommaList, HostStatus, RunView, RunsQuery};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];
const REPOSITORY: &str = "shared";
/// Bytes of data.
const SIZES: [u64; 2] = [100 << 20, 1 << 30];
/// What DESIGN promises for 1 GiB, seconds.
const WANTED: f64 = 60.0;
/// When a loss counts as not made up for.
const AT_MOST: Duration = Duration::from_secs(300);

/// What one loss came to, seconds after it.
#[derive(Debug, Serialize)]
struct Loss {
    /// Bytes of data.
    bytes: u64,
    /// The lost host had the leading controller as well.
    leader: bool,
    /// The host is declared down: its lease is over, nothing of it can write any more.
    down: f64,
    /// Another host has begun to restore.
    restoring: f64,
    /// The data is there.
    restored: f64,
    /// The app is placed there.
    placed: f64,
    /// It is healthy, as the cluster knows.
    healthy: f64,
    /// All data was read once more there, and its hash is that of what was taken.
    verified: f64,
    /// What restic by hand takes for the same restore to the same disk, afterwards.
    restic: f64,
}

impl Loss {
    fn restore(&self) -> f64 {
        self.restored - self.restoring
    }
}

pub(super) fn run(settings: &Settings, machine: &Machine, over: &CancellationToken) -> Result<Report> {
    let rounds = settings.rounds.unwrap_or(settings.pick(3, 1));
    let sizes = settings.pick(&SIZES[..], &SIZES[..1]);
    note("starting three hosts with a controller, an agent and a Docker engine each");
    let mut bed = Testbed::new(HOSTS.len())?;
    bed.add_hosts(&["desk"], Engine::None)?;
    let bed = &bed;
    let on = |name: &str| Place::On(bed.host(name));
    let mut mesh = Mesh::form(&HOSTS.map(on), on("desk"))?;
    for name in HOSTS {
        mesh.add_agent_with_docker(on(name), name)?;
    }
    let folder = repository(bed).display().to_string();
    mesh.omni().run(["backup", "repo", "add", REPOSITORY, &folder, "--host", "*"])?.done()?;
    let mut losses = Vec::new();
    for bytes in sizes {
        let case = Case { bed, mesh: &mesh, app: format!("data-{}", bytes >> 20) };
        case.deploy()?;
        let tree = Tree::make(&case.volume(&case.home()?)?, *bytes, *bytes)?;
        note(format!("{}: {}", case.app, tree.told()));
        for round in 1..=rounds {
            go_on(over)?;
            let loss = case.lose(tree.bytes).with_context(|| format!("{}, loss {round}", case.app))?;
            note(format!(
                "{round} of {rounds}: down after {:.1} s, restoring {:.1}, restored {:.1}, healthy {:.1}, verified {:.1}; \
                 restic by hand restores in {:.1}",
                loss.down, loss.restoring, loss.restored, loss.healthy, loss.verified, loss.restic
            ));
            losses.push(loss);
        }
        mesh.omni().run(["rm", &case.app, "--volumes", "--yes", "--wait=1m"])?.done()?;
    }
    report(settings, machine, rounds, &losses)
}

/// A folder that every host sees: the hosts of a testbed share this machine's disk.
fn repository(bed: &Testbed) -> PathBuf {
    bed.host("desk").dir().join("repository")
}

/// An app with data.
struct Case<'a> {
    bed: &'a Testbed,
    mesh: &'a Mesh<'a>,
    app: String,
}

impl Case<'_> {
    fn deploy(&self) -> Result<()> {
        let text = format!(
            r#"
name: {}
services:
  web:
    image: {IMAGE}
    command: http 80
    volumes: ['data:/data']
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 500ms}}
    deploy: {{update_config: {{monitor: 0s}}}}
volumes: {{data: }}
x-omni:
  failover: {{mode: restore, max_data_age: 1h}}
  backup: {{to: {REPOSITORY}, schedule: '0 0 1 1 *', max_age: 400d, drill: {{skip: true}}}}
"#,
            self.app
        );
        up(self.mesh, &Project::new(self.bed.host("desk").dir().join(&self.app), &text)?)?;
        self.backup()
    }

    fn backup(&self) -> Result<()> {
        self.mesh.omni().run(["backup", "run", &self.app, "--wait=10m"])?.done().map(drop)
    }

    /// Where it runs, once it is calm.
    fn home(&self) -> Result<String> {
        let app = self.mesh.await_app(&self.app, "calm", SOON, |app| settled(app, 1))?;
        Ok(hosts_of(&app).into_iter().next().context("it runs")?.to_owned())
    }

    fn volume(&self, home: &str) -> Result<PathBuf> {
        let name = format!("{}_data", self.app);
        let words = ["volume", "inspect", "--format", "{{.Mountpoint}}", &name];
        Ok(self.bed.host(home).docker(words)?.into())
    }

    /// Takes a backup, cuts the power of the host, waits for the app elsewhere, and brings the host back.
    fn lose(&self, bytes: u64) -> Result<Loss> {
        let home = self.home()?;
        self.backup()?;
        let wanted = digest(&self.volume(&home)?)?;
        let controller = home.replace('h', "c");
        let leader = self.mesh.leader()?.name() == controller;
        rustix::fs::sync();
        let since = Since::now(self.mesh)?;
        self.bed.host(&home).power_off()?;
        let app = self.mesh.await_app(&self.app, "healthy elsewhere", AT_MOST, |app| {
            app.healthy == 1 && !hosts_of(app).contains(home.as_str())
        })?;
        let now = hosts_of(&app).into_iter().next().context("it runs")?.to_owned();
        let found = digest(&self.volume(&now)?)?;
        let verified = since.elapsed();
        ensure!(found == wanted, "what came to {now} is not what was taken on {home}");
        let run = self.restore()?;
        let at = |time: Option<_>| time.map(|time| since.until(time)).context("the restore is over");
        let loss = Loss {
            bytes,
            leader,
            down: since.event(self.mesh, "host.down")?,
            restoring: at(run.began)?,
            restored: at(run.ended)?,
            placed: since.event(self.mesh, "allocation.placed")?,
            healthy: since.event(self.mesh, "allocation.healthy")?,
            verified,
            restic: self.by_hand(self.bed.host(&now), &run)?,
        };
        self.bring_back(&home, &controller)?;
        Ok(loss)
    }

    /// The newest restore.
    fn restore(&self) -> Result<RunView> {
        let query = RunsQuery {
            app: Some(self.app.clone()),
            kind: Some(CommaList(vec!["restore".to_owned()])),
            limit: Some(1),
            ..RunsQuery::default()
        };
        let runs = self.mesh.api().ask(async |client| client.runs(query.clone()).await)?;
        runs.into_iter().next().context("there was a restore")
    }

    /// The same snapshot once more, by restic alone, with a cache that knows nothing.
    fn by_hand(&self, host: &Host, run: &RunView) -> Result<f64> {
        let secret = format!("backup/{REPOSITORY}/password");
        let password = self.mesh.omni().run(["secrets", "get", &secret, "--reveal"])?.done()?;
        let snapshot =
            run.items.first().and_then(|item| item.snapshot.clone()).context("it has a snapshot")?;
        let (target, cache) = (host.dir().join("by-hand"), host.dir().join("by-hand-cache"));
        let mut restic = host.command("restic")?;
        restic.args(["restore", &snapshot, "--target"]).arg(&target);
        restic.env_clear().env("PATH", usage::path()).env("RESTIC_REPOSITORY", repository(self.bed));
        restic.env("RESTIC_PASSWORD", password.trim()).env("RESTIC_CACHE_DIR", &cache);
        rustix::fs::sync();
        let begun = Instant::now();
        let output = restic.output().context("running restic")?;
        let took = begun.elapsed().as_secs_f64();
        ensure!(output.status.success(), "restic: {}", String::from_utf8_lossy(&output.stderr));
        for folder in [&target, &cache] {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(took)
    }

    /// The lost host comes back, and what the app has left there goes.
    fn bring_back(&self, home: &str, controller: &str) -> Result<()> {
        self.bed.host(home).power_on()?;
        self.mesh.controller(controller).start()?;
        self.mesh.agent(home).start()?;
        self.mesh.await_host(home, HostStatus::Up, SOON)?;
        self.mesh.await_voters(HOSTS.len())?;
        self.mesh.await_app(&self.app, "calm, its old data known", SOON, |app| {
            settled(app, 1) && !app.old_data.is_empty()
        })?;
        self.mesh.omni().run(["move", &self.app, "--confirm", "--yes", "--wait=1m"])?.done().map(drop)
    }
}

fn report(settings: &Settings, machine: &Machine, rounds: u32, losses: &[Loss]) -> Result<Report> {
    let mut report = Report::new("data-failover", settings.quick, machine);
    let led = losses.iter().filter(|loss| loss.leader).count();
    report.setup = vec![
        format!(
            "three hosts with everything on each, a repository on their common disk; {rounds} times for each size the host with \
             the app lost power, its controller with it, which {led} times was the leading one; images present"
        ),
        "the backup is of the moment before; restic by hand restores the same snapshot on the same host, afterwards".into(),
    ];
    let mut sizes: Vec<u64> = losses.iter().map(|loss| loss.bytes).collect();
    sizes.dedup();
    for bytes in sizes {
        let losses: Vec<&Loss> = losses.iter().filter(|loss| loss.bytes == bytes).collect();
        let mut rows = table(&["seconds after the loss", "min", "p50", "max"]);
        let stages: [Row<Loss>; 6] = [
            ("host declared down, and fenced", |loss| loss.down),
            ("restore begins elsewhere", |loss| loss.restoring),
            ("data is there", |loss| loss.restored),
            ("app is placed there", |loss| loss.placed),
            ("app is healthy", |loss| loss.healthy),
            ("all data read and its hash compared", |loss| loss.verified),
        ];
        for (name, of) in stages {
            let all = Percentiles::of(losses.iter().map(|loss| of(loss)).collect());
            let min = losses.iter().map(|loss| of(loss)).fold(f64::INFINITY, f64::min);
            rows.add_row([name.to_owned(), number(min), number(all.p50), number(all.max)]);
        }
        let over = Ratio::of(losses.iter().map(|loss| (loss.restore(), loss.restic)));
        let title = format!(
            "{} MiB; the restore takes {} times ({} to {}) restic by hand",
            bytes >> 20,
            number(over.median),
            number(over.min),
            number(over.max)
        );
        report.tables.push((title, rows));
        let worst = Percentiles::of(losses.iter().map(|loss| loss.healthy).collect()).max;
        let what = format!("{} MiB restored and healthy elsewhere, worst", bytes >> 20);
        report.goals.push(Goal::at_most(what, WANTED, worst, "s"));
    }
    report.results = serde_json::to_value(losses).context("encoding the results")?;
    Ok(report)
}
