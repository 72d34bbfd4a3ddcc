//! Backups as an operator has them: a repository, a backup, data that is lost and comes back, a drill, and what the
//! cluster says of it all.

use super::deploy::{happened, project, test, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppBackupView, AppView, HostStatus, Protection, RunView, SnapshotView};
use omni_common::domain::backup::RunState;
use omni_tests::mesh::{Mesh, SOON, hosts_of};
use omni_tests::testbed::{Host, Testbed};
use std::time::Instant;

/// An app whose data is a file that a person wrote.
const NOTES: &str = "
name: notes
services:
  web:
    image: omni-test/busybox:1
    command: http 80
    volumes: ['data:/srv']
    deploy:
      placement: {constraints: ['node.hostname == h1']}
volumes: {data: }
x-omni:
  backup:
    to: home
    max_age: 3h
    drill: {probes: [{facts: {}}, {http: {service: web, port: 80, path: /file, text: precious}}]}
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

/// The same, free to go anywhere, and to be brought back from a snapshot.
const ROAMING_NOTES: &str = "
name: notes
services:
  web:
    image: omni-test/busybox:1
    command: http 80
    volumes: ['data:/srv']
volumes: {data: }
x-omni: {failover: {mode: restore, max_data_age: 1h}, backup: {to: shared, max_age: 3h}}
";

#[test]
fn a_dead_hosts_data_comes_back_on_another_host() {
    test(|bed, mesh| {
        // In memory, which every mount space of this machine shares: a repository that every host reaches.
        let shared = tempfile::tempdir_in("/dev/shm").context("a folder that all hosts see")?;
        let folder = shared.path().join("repository").display().to_string();
        mesh.omni().run(["backup", "repo", "add", "shared", &folder, "--host", "*"])?.done()?;
        mesh.deploy(&project(bed, "notes", ROAMING_NOTES)?, &[])?.done()?;
        let home = only_host(&mesh.await_settled("notes", 1)?)?;
        write(bed.host(&home), "precious")?;
        mesh.omni().run(["backup", "run", "notes", "--wait=5m"])?.done().context("the backup")?;
        write(bed.host(&home), "written after the backup")?;

        let killed = Instant::now();
        bed.host(&home).power_off()?;
        // What was lost with the host is in the list until the host is back.
        let elsewhere = |app: &AppView| only_host(app).is_ok_and(|host| host != home);
        let app = mesh.await_app("notes", "healthy elsewhere", SOON, elsewhere)?;
        took("a host with data killed: its app is healthy elsewhere, with the data", killed.elapsed());
        let now = only_host(&app)?;
        ensure!(read(bed.host(&now))?.trim() == "precious", "{}", read(bed.host(&now))?);
        let restored = app.volumes[0].restored.as_ref().context("it is said that the data is a copy")?;
        ensure!(restored.from_host == home && restored.lost_ms > 0, "{restored:?}");
        happened(&mesh.events_of_app("notes")?, &["allocation.lost", "app.rescued", "allocation.healthy"])?;

        // The old host comes back with newer data than what runs: it stays there, and is not run.
        bed.host(&home).power_on()?;
        mesh.controller(&home.replace('h', "c")).start()?;
        mesh.agent(&home).start()?;
        mesh.await_host(&home, HostStatus::Up, SOON)?;
        let app = mesh.await_settled("notes", 1)?;
        ensure!(only_host(&app)? == now, "nothing moves without need");
        Ok(())
    });
}

pub(super) fn only_host(app: &AppView) -> Result<String> {
    let hosts = hosts_of(app);
    ensure!(hosts.len() == 1, "on one host: {hosts:?}");
    Ok(hosts.into_iter().next().context("one")?.to_owned())
}

fn container(host: &Host) -> Result<String> {
    let names = super::deploy::containers(host, "omni.app=notes")?;
    names.into_iter().next().context("the app has a container")
}

fn write(host: &Host, word: &str) -> Result<()> {
    let line = format!("echo {word} >/srv/file");
    host.docker(["exec", &container(host)?, "sh", "-c", &line]).map(drop)
}

fn read(host: &Host) -> Result<String> {
    host.docker(["exec", &container(host)?, "cat", "/srv/file"])
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

/// A check, and a drill whose container serves the file that came back; and then it is said to be proven.
fn is_proven(mesh: &Mesh<'_>) -> Result<()> {
    mesh.omni().run(["backup", "repo", "check", "home", "--wait=5m"])?.done().context("the check")?;
    mesh.omni().run(["drills", "run", "notes", "--on", "h1", "--wait=5m"])?.done().context("the drill")?;
    let own = standing(mesh)?;
    ensure!(own.protection == Protection::Proven, "{own:?}");
    ensure!(own.age_ms.is_some_and(|age| age < 600_000) && own.restore_ms.is_some(), "{own:?}");
    ensure!(own.sentence.starts_with("if host h1 dies now, default/notes loses "), "{}", own.sentence);
    Ok(())
}
