//! Controllers whose disks are full, and one that comes back after it has missed a lot.

use super::testbed;
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::HostStatus;
use omni_tests::mesh::{self, Answer, Controller, Mesh, Place, SOON};
use omni_tests::testbed::eventually;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Entries that a controller misses; more than are kept behind a snapshot.
const MISSED: u64 = 10_000;
/// Room for a young cluster's log, and little more.
const SMALL: &str = "size=24m";

/// A small file system at a folder, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", SMALL, "omni-test"]).arg(at);
        mesh::run(command)?.done()?;
        Ok(Self(at.to_owned()))
    }

    /// Leaves no room, and takes what has come free since the last time.
    fn fill(&self) -> Result<()> {
        let mut command = Command::new("dd");
        command.arg("if=/dev/zero").arg(format!("of={}", self.filler().display())).args([
            "bs=4k",
            "oflag=append",
            "conv=notrunc",
            "status=none",
        ]);
        // It ends with "no space left", which is what it is for.
        mesh::run(command).map(drop)
    }

    fn empty(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("making room again")
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(&self.0);
        if let Err(error) = mesh::run(command).and_then(Answer::done) {
            eprintln!("a test's file system is left at {}: {error:#}", self.0.display());
        }
    }
}

#[test]
fn full_disks_refuse_writes_and_heal() {
    if let Some(reason) = testbed::skip_reason() {
        eprintln!("{reason}");
        return;
    }
    mesh::test(|here| {
        let controllers: Vec<_> =
            ["c1", "c2", "c3"].map(|name| Controller::new(Place::Here(here), name)).into();
        let disks: Vec<_> =
            controllers.iter().map(|one| SmallDisk::mount(one.dir())).collect::<Result<_>>()?;
        let mut mesh = Mesh::of(controllers, Place::Here(here))?;
        mesh.add_agent(Place::Here(here), "a1")?;
        one_full_disk_is_borne(&mesh, &disks)?;
        all_full_disks_refuse_in_words(&mesh, &disks)?;
        ensure!(mesh.events_of("a1", "host.down")?.is_empty(), "no host was given up for it");
        mesh.all_run()?;
        mesh.controllers().iter().try_for_each(|one| one.stop().map(drop))
    });
}

fn one_full_disk_is_borne(mesh: &Mesh<'_>, disks: &[SmallDisk]) -> Result<()> {
    let leader = mesh.leader()?.name().to_owned();
    let number =
        mesh.controllers().iter().position(|one| one.name() == leader).context("it is one of ours")?;
    disks[number].fill()?;
    // The log's file has room of its own; only when that is used up does the disk matter.
    let refused = std::cell::RefCell::new(Vec::new());
    eventually("another one leads", SOON, || {
        if let Err(error) = burst(mesh) {
            refused.borrow_mut().push(error.to_string());
        }
        mesh.leader().ok().filter(|one| one.name() != leader).map(drop)
    })?;
    eprintln!("writes refused until then: {:?}", refused.borrow());
    burst(mesh)?;
    disks[number].empty()?;
    mesh.await_voters(3)
}

fn all_full_disks_refuse_in_words(mesh: &Mesh<'_>, disks: &[SmallDisk]) -> Result<()> {
    // The log's file has room of its own: it takes many writes to use that up. What a compaction gives back is taken by
    // whoever fills these disks, or writes might go on for ever.
    let refused = eventually("writes are refused for want of room", SOON, || {
        let full = disks.iter().try_for_each(SmallDisk::fill).and_then(|()| burst(mesh));
        full.err().map(|error| error.to_string()).filter(|error| {
            eprintln!("a burst ended: {error}");
            error.contains("No space left")
        })
    })?;
    eprintln!("with all disks full: {refused}");
    let hosts = mesh.omni().run(["--stale", "hosts"])?.done()?;
    ensure!(hosts.contains("a1"), "reads go on: {hosts}");
    disks.iter().try_for_each(SmallDisk::empty)?;
    eventually("a write once there is room", SOON, || burst(mesh).ok())?;
    mesh.await_host("a1", HostStatus::Up, SOON).map(drop)
}

#[test]
fn a_controller_that_missed_ten_thousand_entries_catches_up() {
    mesh::test(|here| {
        let mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
        let leader = mesh.leader()?.name().to_owned();
        let away = mesh.controllers().iter().find(|one| one.name() != leader).context("there are three")?;
        away.stop()?;
        let missed_from = mesh.index_of(mesh.leader()?)?;
        write_many(&mesh)?;
        let now = mesh.index_of(mesh.leader()?)?;
        ensure!(now - missed_from >= MISSED, "only {} entries were written", now - missed_from);
        away.start()?;
        let caught_up =
            eventually("it has caught up", SOON, || mesh.index_of(away).ok().filter(|index| *index >= now));
        caught_up.with_context(|| away.log().unwrap_or_default())?;
        mesh.await_voters(3)?;
        mesh.all_run()
    });
}

/// Writes side by side, each the same setting again: entries of the log that leave the state small.
const WRITERS: u64 = 32;

fn write_side_by_side(mesh: &Mesh<'_>, each: u64) -> Result<()> {
    mesh.api().ask(async |client| {
        let times = client.liveness().await?;
        let write = async || {
            for _ in 0..each {
                client.set_liveness(&times).await?;
            }
            Ok(())
        };
        futures_util::future::try_join_all((0..WRITERS).map(|_| write())).await
    })?;
    Ok(())
}

fn write_many(mesh: &Mesh<'_>) -> Result<()> {
    write_side_by_side(mesh, MISSED / WRITERS + 1)
}

fn burst(mesh: &Mesh<'_>) -> Result<()> {
    write_side_by_side(mesh, 20)
}
