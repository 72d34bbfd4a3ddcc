//! No controller is left, and backups go on: what is due is taken by the host itself, and known when controllers are back.

use super::deploy::{happened, project, test, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppBackupView, RunKind, RunView, UnlockedRepository};
use omni_common::domain::backup::RunState;
use omni_tests::mesh::{Mesh, SOON};
use omni_tests::testbed::{Testbed, eventually};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// An app that is due each minute.
const NOTES: &str = "
name: notes
services:
  web:
    image: omni-test/busybox:1
    command: http 80
    volumes: ['data:/data']
    deploy:
      placement: {constraints: ['node.hostname == h1']}
volumes: {data: }
x-omni: {backup: {to: home, schedule: '* * * * *', jitter: 1s, max_age: 3h}}
";
/// A backup is due within a minute, and restic takes a while on a small machine.
const A_FEW_MINUTES: Duration = Duration::from_secs(240);
/// As the mark of who decided is shown.
const ALONE: &str = "host:h1 (alone)";

#[test]
fn backups_go_on_while_no_controller_is_left() {
    test(|bed, mesh| {
        let repository = Bare::new(bed, mesh)?;
        mesh.deploy(&project(bed, "notes", NOTES)?, &[])?.done()?;
        mesh.await_settled("notes", 1)?;
        mesh.omni().run(["backup", "run", "notes", "--wait=5m"])?.done().context("an ordered backup")?;
        an_agent_without_patience_has_its_orders(mesh)?;

        for controller in mesh.controllers() {
            controller.kill()?;
        }
        let killed = Instant::now();
        let before = repository.snapshots()?;
        let two_more = || repository.snapshots().ok().filter(|now| now.len() > before.len() + 1);
        let alone = eventually("two snapshots without controllers", A_FEW_MINUTES, two_more)?;
        took("no controller: two backups of an app that is due each minute", killed.elapsed());

        for controller in mesh.controllers() {
            controller.start()?;
        }
        mesh.await_voters(3)?;
        let known =
            eventually("what was done is known", A_FEW_MINUTES, || known_of_alone(mesh, &before, &alone))?;
        took("controllers are back, and know it", killed.elapsed());
        for run in &known {
            ensure!(run.state == RunState::Succeeded && run.items.len() == 1, "{run:?}");
        }
        is_done_once(mesh)?;
        let all: Vec<AppBackupView> = mesh.omni().json(&["backup", "status"])?;
        let own = all.iter().find(|app| app.app == "notes").context("the app is there")?;
        ensure!(own.age_ms.is_some_and(|age| age < 180_000), "{own:?}");
        happened(&mesh.events_of_app("notes")?, &["backup.done"])?;
        let unlocked: UnlockedRepository =
            mesh.omni().json(&["backup", "repo", "unlock", "home", "--force", "-y"])?;
        ensure!(unlocked.left.is_empty(), "{unlocked:?}");
        Ok(())
    });
}

/// The repository as a person with restic sees it.
struct Bare {
    folder: PathBuf,
    password: String,
}

impl Bare {
    fn new(bed: &Testbed, mesh: &Mesh<'_>) -> Result<Self> {
        let folder = bed.host("h1").dir().join("repository");
        let place = folder.display().to_string();
        mesh.omni().run(["backup", "repo", "add", "home", &place, "--host", "h1"])?.done()?;
        let shown = mesh.omni().run(["secrets", "get", "backup/home/password", "--reveal"])?;
        Ok(Self { folder, password: shown.done()?.trim().to_owned() })
    }

    /// The runs that left snapshots of the app.
    fn snapshots(&self) -> Result<BTreeSet<String>> {
        let output = Command::new("restic")
            .args(["snapshots", "--json", "--no-lock", "--no-cache", "--tag", "omni-app=default/notes"])
            .env("RESTIC_REPOSITORY", &self.folder)
            .env("RESTIC_PASSWORD", &self.password)
            .output()?;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let tags = listed.as_array().into_iter().flatten().filter_map(|one| one["tags"].as_array()).flatten();
        let runs = tags.filter_map(|tag| tag.as_str()?.strip_prefix("omni-run="));
        Ok(runs.map(str::to_owned).collect())
    }
}

/// The agent of h1 starts again with a patience of three seconds, and keeps what it may do for itself alone.
fn an_agent_without_patience_has_its_orders(mesh: &Mesh<'_>) -> Result<()> {
    let agent = mesh.agent("h1");
    agent.stop()?;
    let mut command = agent.command("run")?;
    command.args(["--alone-after", "3"]);
    agent.start_as(command)?;
    let file = agent.dir().join("standing");
    let holds = |file: &Path| std::fs::read_to_string(file).is_ok_and(|text| text.contains("\"notes\""));
    eventually("standing orders on h1", SOON, || holds(&file).then_some(()))?;
    let mode = std::fs::metadata(&file)?.permissions().mode();
    ensure!(mode & 0o077 == 0, "they hold a password: {mode:o}");
    Ok(())
}

fn runs(mesh: &Mesh<'_>) -> Result<Vec<RunView>> {
    mesh.omni().json(&["backup", "list", "notes", "--kind", "backup"])
}

/// The runs that h1 decided about, once all that restic shows of the time alone is among them.
fn known_of_alone(
    mesh: &Mesh<'_>,
    before: &BTreeSet<String>,
    alone: &BTreeSet<String>,
) -> Option<Vec<RunView>> {
    let own: Vec<RunView> = runs(mesh).ok()?.into_iter().filter(|run| run.by == ALONE).collect();
    let over: BTreeSet<String> =
        own.iter().filter(|run| run.state.is_over()).map(|run| run.id.to_string()).collect();
    alone.difference(before).all(|run| over.contains(run)).then_some(own)
}

/// No time of the schedule was served twice, whoever did it.
fn is_done_once(mesh: &Mesh<'_>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for run in
        runs(mesh)?.iter().filter(|run| run.kind == RunKind::Backup && run.state == RunState::Succeeded)
    {
        let Some(due) = run.due else { continue };
        ensure!(seen.insert(due), "{due} was served twice: {run:?}");
    }
    Ok(())
}
