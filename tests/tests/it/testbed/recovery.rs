//! The runbook for the loss of all controllers, done as it is written.

use anyhow::{Context, Result, bail, ensure};
use omni_common::api::v1::HostStatus;
use omni_tests::mesh::{self, Controller, Loopback, Mesh, Omni, Place, SOON};
use omni_tests::testbed::{self, Process, eventually};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runbook.
const RUNBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recover-controllers.md");

/// Commands of one fenced block, and where it says that they are given.
#[derive(Debug)]
struct Block {
    place: String,
    commands: Vec<String>,
}

/// The blocks of a document that a shell is to run, in their order.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != "```sh" {
            continue;
        }
        let mut block = lines.by_ref().take_while(|line| *line != "```");
        let place = block.next().and_then(|line| line.strip_prefix("# on ")).expect("a block says where");
        found.push(Block { place: place.to_owned(), commands: block.map(str::to_owned).collect() });
    }
    found
}

/// What stands for what in the runbook, and where commands are given.
struct Desk<'a> {
    here: &'a Loopback,
    /// Names and paths of the runbook, and those of this test.
    names: Vec<(String, String)>,
    config: PathBuf,
    /// Programs that stay in the foreground.
    running: Vec<Process>,
}

impl<'a> Desk<'a> {
    fn new(here: &'a Loopback) -> Self {
        let config = Place::Here(here).dir("omni-contexts.toml");
        Self { here, names: Vec::new(), config, running: Vec::new() }
    }

    fn call(&mut self, name: &str, own: impl Into<String>) {
        self.names.retain(|(known, _)| known != name);
        self.names.push((name.to_owned(), own.into()));
    }

    fn put(&self, command: &str) -> String {
        self.names.iter().fold(command.to_owned(), |text, (name, own)| text.replace(name, own))
    }

    /// Does all that a block says; returns what its commands printed.
    fn does(&mut self, block: &Block) -> Result<String> {
        let mut printed = String::new();
        for command in &block.commands {
            let text = self.put(command);
            let mut shell = Place::Here(self.here).command("sh")?;
            self.dress(&mut shell)?;
            if command.contains("-controller run ") || command.contains("-agent run ") {
                // In the foreground of a terminal of its own.
                shell.arg("-c").arg(format!("exec {text}"));
                let log = format!("{}-{}", block.place.replace([' ', ','], "-"), self.running.len());
                self.running.push(Place::Here(self.here).spawn(&log, shell)?);
                continue;
            }
            shell.arg("-c").arg(&text);
            printed += &mesh::run(shell)?.done().with_context(|| text)?;
        }
        Ok(printed)
    }

    /// The programs under test first on the search path, and an operator's own settings.
    fn dress(&self, shell: &mut Command) -> Result<()> {
        let programs = testbed::program("omni")?;
        let programs = programs.parent().context("a program lies in a folder")?;
        shell.current_dir(self.here.dir());
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()));
        shell.env("OMNI_CONFIG", &self.config).env("HOME", self.here.dir());
        shell.env("OMNI_DOCKER_HOST", "unix:///nonexistent/docker.sock");
        for variable in ["OMNI_URL", "OMNI_TOKEN", "OMNI_CONTEXT", "OMNI_OUTPUT", "OMNI_DATA_DIR"] {
            shell.env_remove(variable);
        }
        Ok(())
    }
}

/// The value of a line such as `join token, controllers omni-join1.…`.
fn handed_out<'t>(printed: &'t str, what: &str) -> Result<&'t str> {
    let line = printed.lines().find_map(|line| line.strip_prefix(what));
    line.map(str::trim).with_context(|| format!("no {what:?} in:\n{printed}"))
}

fn up(omni: &Omni<'_>, name: &str) -> Result<()> {
    eventually(&format!("{name} is up"), SOON, || {
        let hosts: Vec<omni_common::api::v1::HostView> = omni.json(&["hosts"]).ok()?;
        let found = hosts.iter().find(|host| host.name == name)?;
        (found.status == HostStatus::Up).then_some(())
    })
}

/// What the cluster knows and people would miss.
fn known(omni: &Omni<'_>) -> Result<serde_json::Value> {
    let hosts: Vec<serde_json::Value> = omni.json(&["hosts"])?;
    let hosts: Vec<_> =
        hosts.iter().map(|host| [host["id"].clone(), host["name"].clone(), host["labels"].clone()]).collect();
    let secrets: serde_json::Value = omni.json(&["secrets"])?;
    let users: Vec<serde_json::Value> = omni.json(&["users"])?;
    let users: Vec<_> = users.iter().map(|user| user["name"].clone()).collect();
    let apps: Vec<serde_json::Value> = omni.json(&["apps"])?;
    let apps: Vec<_> = apps.iter().map(|app| [app["name"].clone(), app["release"].clone()]).collect();
    let value = omni.run(["secrets", "get", "shop/password", "--reveal"])?.done()?;
    let names: Vec<_> = secrets.as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
    Ok(serde_json::json!({ "hosts": hosts, "secrets": names, "users": users, "apps": apps, "value": value }))
}

/// A cluster with a host, a repository, a secret and a person.
fn prepared<'a>(here: &'a Loopback, controllers: usize) -> Result<Mesh<'a>> {
    let place = Place::Here(here);
    let mut mesh = Mesh::form(&vec![place; controllers], place)?;
    mesh.add_agent(place, "host-1")?;
    let omni = mesh.omni();
    let repository = here.dir().join("backup");
    fs::create_dir(&repository)?;
    let location = repository.display().to_string();
    omni.run(["backup", "repo", "add", "home", &location, "--host", "host-1"])?.done()?;
    let password = here.dir().join("password");
    fs::write(&password, "correct horse battery staple")?;
    let mut create = omni.command(["users", "create", "ann", "--role", "admin", "--password-stdin"])?;
    create.stdin(fs::File::open(&password)?);
    mesh::run(create)?.done()?;
    let compose = here.dir().join("compose.yaml");
    fs::write(&compose, "services: {web: {image: made/web:1}}\n")?;
    omni.run(["deploy", "-f", &compose.display().to_string(), "--name", "shop", "--yes", "--detach"])?
        .done()?;
    omni.run(["hosts", "label", "host-1", "rack=7"])?.done()?;
    let secret = here.dir().join("secret");
    fs::write(&secret, "open sesame")?;
    omni.run(["secrets", "put", "shop/password", "--file", &secret.display().to_string()])?.done()?;
    Ok(mesh)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_runbook_for_lost_controllers_works_as_written() {
    mesh::test(|here| {
        let blocks = blocks(&fs::read_to_string(RUNBOOK)?);
        let place = Place::Here(here);
        let mesh = prepared(here, 3)?;
        let mut desk = Desk::new(here);
        let (first, second) = (Controller::new(place, "omni-1"), Controller::new(place, "omni-2"));
        desk.call("/srv/backup", text(&here.dir().join("backup")));
        for (name, own) in [("192.0.2.11", &first), ("192.0.2.12", &second)] {
            desk.call(&format!("{name}:7600"), own.quic());
            desk.call(&format!("{name}:7601"), own.api());
        }
        desk.call("omni-api1.TOKEN", mesh.init().admin_token.clone());
        desk.call("/var/lib/omni-agent", text(mesh.agent("host-1").dir()));
        desk.call("/mnt/omni-controller", text(mesh.controller("c1").dir()));
        let mut done = Vec::new();
        let mut before = None;
        let mut joining = String::new();
        for block in &blocks {
            match block.place.as_str() {
                "your machine" if done.is_empty() => {
                    desk.does(block)?;
                    before = Some(known(mesh.omni())?);
                    for controller in mesh.controllers() {
                        controller.kill()?;
                    }
                }
                "omni-1" => {
                    desk.call("/var/lib/omni-controller", text(first.dir()));
                    joining += &desk.does(block)?;
                }
                "host-1" => {
                    // Its old controllers had other addresses.
                    mesh.agent("host-1").stop()?;
                    desk.does(block)?;
                }
                "your machine" => {
                    login_when_ready(&desk, block)?;
                    desk.does(block)?;
                    up(mesh.omni(), "host-1")?;
                    ensure!(before == Some(known(mesh.omni())?), "before: {before:#?}");
                }
                "omni-2" => {
                    let token = handed_out(&joining, "join token, controllers ")?.to_owned();
                    desk.call("omni-join1.TOKEN", token);
                    desk.call("/var/lib/omni-controller", text(second.dir()));
                    desk.does(block)?;
                    votes(mesh.omni(), 2)?;
                    mesh.omni().run(["hosts", "label", "host-1", "rack=8"])?.done()?;
                }
                // It has a test of its own.
                "omni-1, from a disk" => {}
                other => bail!("the runbook has a block for {other:?}, which this test does not know"),
            }
            done.push(block.place.as_str());
        }
        ensure!(done.len() == 7, "the runbook has other blocks than this test: {done:?}");
        // Who ran before is nobody any more.
        mesh.controller("c1").start()?;
        let old = mesh.api_of([mesh.controller("c1")]);
        ensure!(
            old.ask(async |client| client.hosts(Default::default()).await).is_err(),
            "an old one answers"
        );
        let controllers: Vec<serde_json::Value> = mesh.omni().json(&["controllers"])?;
        ensure!(controllers.len() == 2, "{controllers:#?}");
        Ok(())
    });
}

#[test]
fn a_cluster_goes_on_from_the_disk_of_one_controller() {
    mesh::test(|here| {
        let blocks = blocks(&fs::read_to_string(RUNBOOK)?);
        let block = blocks.iter().find(|block| block.place == "omni-1, from a disk").context("a block")?;
        let place = Place::Here(here);
        let mesh = prepared(here, 1)?;
        let before = known(mesh.omni())?;
        let old = mesh.controller("c1");
        old.kill()?;
        let mut desk = Desk::new(here);
        let first = Controller::new(place, "omni-1");
        desk.call("192.0.2.11:7600", first.quic());
        desk.call("192.0.2.11:7601", first.api());
        desk.call("/mnt/omni-controller", text(old.dir()));
        desk.call("/var/lib/omni-controller", text(first.dir()));
        let printed = desk.does(block)?;
        ensure!(printed.contains("No longer members: c1."), "{printed}");
        let omni = mesh.omni();
        eventually("the new controller answers", SOON, || {
            omni.login([first.url()], &mesh.init().admin_token).ok()
        })?;
        ensure!(before == known(omni)?, "before: {before:#?}");
        // A second one is not made over it.
        for process in &mut desk.running {
            process.kill()?;
        }
        let again =
            Desk { running: Vec::new(), names: desk.names.clone(), config: desk.config.clone(), here };
        let command = again.put(&block.commands[0]);
        let mut shell = place.command("sh")?;
        again.dress(&mut shell)?;
        shell.arg("-c").arg(&command);
        mesh::run(shell)?.refused(1, &["already holds controller omni-1", "nothing was changed"])
    });
}

/// The first controller needs a moment until it leads.
fn login_when_ready(desk: &Desk<'_>, block: &Block) -> Result<()> {
    let login = desk.put(block.commands.first().context("a block has commands")?);
    eventually("the restored controller answers", SOON, || {
        let mut shell = Place::Here(desk.here).command("sh").ok()?;
        desk.dress(&mut shell).ok()?;
        shell.arg("-c").arg(&login);
        mesh::run(shell).ok()?.done().ok().map(drop)
    })
}

fn votes(omni: &Omni<'_>, wanted: usize) -> Result<()> {
    eventually(&format!("{wanted} controllers vote"), SOON, || {
        let all: Vec<omni_common::api::v1::ControllerView> = omni.json(&["controllers"]).ok()?;
        let votes = |one: &&omni_common::api::v1::ControllerView| {
            one.role != omni_common::api::v1::ControllerRole::Learner && one.reachable
        };
        (all.iter().filter(votes).count() == wanted).then_some(())
    })
}
