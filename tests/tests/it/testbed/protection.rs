//! Backups as an operator has them: a repository, a backup, data that is lost and comes back, a drill, and what the
//! cluster says of it all.

use super::deploy::{project, test};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppBackupView, Protection, RunView, SnapshotView};
use omni_common::domain::backup::RunState;
use omni_tests::mesh::Mesh;
use omni_tests::testbed::{Host, Testbed};

/// An app whose data is a file that a person wrote.
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
x-omni: {backup: {to: home, max_age: 3h}}
";

#[test]
fn data_is_backed_up_proven_and_brought_back() {
    test(|bed, mesh| {
        let h1 = bed.host("h1");
        mesh.deploy(&project(bed, "notes", NOTES)?, &[])?.done()?;
        mesh.await_settled("notes", 1)?;
        write(h1, "precious")?;
        has_no_backup_yet(mesh)?;
        add_a_repository(bed, mesh)?;
        let taken: Vec<RunView> = mesh.omni().json(&["backup", "run", "notes", "--wait"])?;
        ensure!(taken.len() == 1 && taken[0].state == RunState::Succeeded, "{taken:?}");
        let snapshots: Vec<SnapshotView> = mesh.omni().json(&["snapshots", "notes"])?;
        ensure!(!snapshots.is_empty() && snapshots[0].whole && snapshots[0].item.as_str() == "volume-data");
        is_lost_and_comes_back(h1, mesh)?;
        goes_into_a_folder(bed, mesh)?;
        is_proven(mesh)
    });
}

fn container(host: &Host) -> Result<String> {
    let names = super::deploy::containers(host, "omni.app=notes")?;
    names.into_iter().next().context("the app has a container")
}

fn write(host: &Host, word: &str) -> Result<()> {
    let line = format!("echo {word} >/data/file");
    host.docker(["exec", &container(host)?, "sh", "-c", &line]).map(drop)
}

fn read(host: &Host) -> Result<String> {
    host.docker(["exec", &container(host)?, "cat", "/data/file"])
}

fn standing(mesh: &Mesh<'_>) -> Result<AppBackupView> {
    let all: Vec<AppBackupView> = mesh.omni().json(&["backup", "status"])?;
    all.into_iter().find(|app| app.app == "notes").context("the app is there")
}

fn has_no_backup_yet(mesh: &Mesh<'_>) -> Result<()> {
    let own = standing(mesh)?;
    ensure!(own.protection == Protection::Unprotected && own.why.contains("no repository"), "{own:?}");
    let refused = mesh.omni().run(["backup", "run", "notes", "--wait"])?;
    ensure!(refused.code != Some(0), "{refused:?}");
    Ok(())
}

fn add_a_repository(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    let folder = bed.host("h1").dir().join("repository");
    let folder = folder.display().to_string();
    let added = mesh.omni().run(["backup", "repo", "add", "home", &folder, "--host", "h1"])?;
    ensure!(added.stderr.contains("omni secrets get backup/home/password --reveal"), "{added:?}");
    added.done()?;
    let password = mesh.omni().run(["secrets", "get", "backup/home/password", "--reveal"])?;
    ensure!(password.done()?.trim().len() == 43);
    Ok(())
}

fn is_lost_and_comes_back(h1: &Host, mesh: &Mesh<'_>) -> Result<()> {
    write(h1, "ruined")?;
    let answer = mesh.omni().run(["restore", "notes", "--yes", "--wait=5m"])?;
    answer.done().context("the restore")?;
    mesh.await_settled("notes", 1)?;
    ensure!(read(h1)?.trim() == "precious", "{}", read(h1)?);
    Ok(())
}

fn goes_into_a_folder(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    let folder = bed.host("h1").dir().join("beside");
    let to = format!("h1:{}", folder.display());
    mesh.omni().run(["restore", "notes", "--to-folder", &to, "--wait=5m"])?.done()?;
    let text = std::fs::read_to_string(folder.join("volume-data/file"))?;
    ensure!(text.trim() == "precious", "{text}");
    Ok(())
}

/// A check and a drill, and then it is said to be proven.
fn is_proven(mesh: &Mesh<'_>) -> Result<()> {
    mesh.omni().run(["backup", "repo", "check", "home", "--wait=5m"])?.done().context("the check")?;
    mesh.omni().run(["drills", "run", "notes", "--on", "h1", "--wait=5m"])?.done().context("the drill")?;
    let own = standing(mesh)?;
    ensure!(own.protection == Protection::Proven, "{own:?}");
    ensure!(own.age_ms.is_some_and(|age| age < 600_000) && own.restore_ms.is_some(), "{own:?}");
    ensure!(own.sentence.starts_with("if host h1 dies now, default/notes loses "), "{}", own.sentence);
    Ok(())
}
