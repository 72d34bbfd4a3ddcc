//! Images of a registry that wants to know who asks: the real one, as Debian has it.

use super::deploy::{project, says, test};
use anyhow::{Context, Result, ensure};
use omni_tests::mesh::{Mesh, SOON, hosts_of, run, settled};
use omni_tests::testbed::{Host, IMAGE, Process, Testbed, eventually};
use std::fs::{self, File};
use std::process::Command;

const PORT: u16 = 5000;
const USER: &str = "ci";
const PASSWORD: &str = "a-long-way-from-the-registry";

#[test]
fn hosts_sign_in_with_the_login_that_was_told_once() {
    test(|bed, mesh| {
        let registry = Registry::start(bed.host("h1"))?;
        let image = registry.publish("team/site:1")?;
        let compose = format!(
            "name: site\nservices:\n  it:\n    image: {image}\n    command: idle\n    deploy:\n      placement: {{constraints: [node.hostname == h2]}}\n      update_config: {{monitor: 500ms, failure_action: rollback}}\n"
        );
        let site = project(bed, "site", &compose)?;
        let told = format!("omni registry login {}", registry.address);
        mesh.deploy(&site, &[])?.refused(1, &["cannot be pulled", &told])?;

        sign_in(bed, mesh, &registry.address, "a wrong one")?;
        mesh.deploy(&site, &[])?.refused(1, &["cannot be pulled", &told])?;

        sign_in(bed, mesh, &registry.address, PASSWORD)?;
        let list = mesh.omni().run(["registry"])?.done()?;
        ensure!(list.contains(&registry.address) && !list.contains(PASSWORD), "{list}");
        mesh.deploy(&site, &[])?.done()?;
        let app = mesh.await_app("site", "it runs", SOON, |app| settled(app, 1))?;
        ensure!(hosts_of(&app) == ["h2"].into(), "{:?}", hosts_of(&app));
        let pulled = mesh.agent("h2").log()?;
        ensure!(!pulled.contains("copied from another host"), "no host had it:\n{pulled}");
        nothing_is_kept(bed.host("h2"))?;

        // Nobody who was let in once is let in for ever.
        mesh.omni().run(["registry", "logout", &registry.address, "--yes"])?.done()?;
        registry.publish("team/site:2")?;
        site.write("compose.yaml", &compose.replace("site:1", "site:2"))?;
        mesh.deploy(&site, &[])?.refused(1, &["team/site:2 cannot be pulled", &told])?;
        mesh.await_app("site", "what was there runs on", SOON, |app| settled(app, 1)).map(drop)
    });
}

/// The login is in no file of the host's engine or agent.
fn nothing_is_kept(host: &Host) -> Result<()> {
    let mut grep = Command::new("grep");
    // The folders of running containers change under its eyes; the login could only lie beside them.
    grep.args(["-rlsF", "--exclude-dir=overlay2", "--exclude-dir=docker-registry", PASSWORD]).arg(host.dir());
    let found = run(grep)?;
    ensure!(found.stdout.is_empty(), "the login lies on {}: {}", host.name(), found.stdout);
    Ok(())
}

fn sign_in(bed: &Testbed, mesh: &Mesh<'_>, registry: &str, password: &str) -> Result<()> {
    let file = bed.host("desk").dir().join("password");
    fs::write(&file, password)?;
    let mut login =
        mesh.omni().command(["registry", "login", registry, "--user", USER, "--password-stdin"])?;
    login.stdin(File::open(&file)?);
    let said = run(login)?;
    fs::remove_file(&file)?;
    says(&said.stderr, &[registry]).with_context(|| format!("{said:?}"))?;
    said.done().map(drop)
}

/// The registry, and the engine that pushes to it.
struct Registry<'a> {
    host: &'a Host,
    address: String,
    _process: Process,
}

impl<'a> Registry<'a> {
    fn start(host: &'a Host) -> Result<Self> {
        let dir = host.dir().join("docker-registry");
        fs::create_dir_all(&dir)?;
        let mut htpasswd = Command::new("htpasswd");
        htpasswd.args(["-Bbn", USER, PASSWORD]);
        fs::write(dir.join("htpasswd"), run(htpasswd)?.done()?)?;
        let folder = dir.display();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\nhttp: {{addr: \":{PORT}\"}}\nauth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"
        );
        fs::write(dir.join("config.yml"), config)?;
        let mut command = host.command("docker-registry")?;
        command.arg("serve").arg(dir.join("config.yml"));
        let process = host.spawn_command("docker-registry", command)?;
        let address = format!("{}:{PORT}", host.address());
        let url = format!("http://{address}/v2/");
        let asks = ["-s", "-o", "/dev/null", "-w", "%{http_code}", &url];
        eventually("the registry wants to know who asks", SOON, || {
            host.run("curl", asks).ok().filter(|code| code == "401").map(drop)
        })?;
        Ok(Self { host, address, _process: process })
    }

    /// Pushes an image of its own there, as people do, and leaves it nowhere else.
    fn publish(&self, name: &str) -> Result<String> {
        let image = format!("{}/{name}", self.address);
        let folder = self.host.dir().join("docker-registry").join("client").display().to_string();
        let docker = |args: &[&str]| self.host.docker(["--config", folder.as_str()].iter().chain(args));
        let change = format!("LABEL published={name}");
        let container = docker(&["create", IMAGE])?;
        docker(&["commit", "--change", &change, &container, &image])?;
        docker(&["rm", &container])?;
        docker(&["login", "--username", USER, "--password", PASSWORD, &self.address])?;
        docker(&["push", &image])?;
        docker(&["rmi", &image])?;
        Ok(image)
    }
}
