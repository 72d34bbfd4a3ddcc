//! Hosts that were off for longer than their certificates held.

use anyhow::{Result, ensure};
use omni_common::api::v1::HostStatus;
use omni_tests::mesh::{self, Agent, Controller, Loopback, Mesh, Place, SOON};
use std::time::{Duration, Instant};

/// The shortest that a controller agrees to.
const CERTIFICATE: Duration = Duration::from_secs(5);
/// What a service manager reads as: do not start it again.
const REMOVED: i32 = 77;

#[test]
fn a_host_that_was_off_for_longer_than_its_certificate_is_taken_back() {
    mesh::test(|here| {
        let mut mesh = short_certificates(here)?;
        for name in ["a1", "a2"] {
            mesh.add_agent(Place::Here(here), name)?;
        }
        let id = mesh.host("a1")?.id;
        let early_copy = copy_of(mesh.agent("a1"), here)?;
        it_comes_back_by_itself(&mesh)?;
        ensure!(mesh.await_host("a1", HostStatus::Up, SOON)?.id == id, "it is the same host");
        an_early_copy_of_its_folder_is_refused(&mesh, &early_copy)?;
        one_that_was_removed_meanwhile_is_told_so(&mesh)?;
        mesh.all_run()
    });
}

fn short_certificates(here: &Loopback) -> Result<Mesh<'_>> {
    let controllers: Vec<_> = ["c1", "c2", "c3"].map(|name| Controller::new(Place::Here(here), name)).into();
    let mesh = Mesh::of(controllers, Place::Here(here))?;
    // The folders are theirs; settings are put beside what they keep, one controller at a time.
    for controller in mesh.controllers() {
        controller.stop()?;
        let settings = format!("host_certificate_seconds = {}\n", CERTIFICATE.as_secs());
        std::fs::write(controller.dir().join("controller.toml"), settings)?;
        controller.start()?;
        controller.await_log("controller runs", SOON)?;
        mesh.await_voters(3)?;
    }
    Ok(mesh)
}

fn it_comes_back_by_itself(mesh: &Mesh<'_>) -> Result<()> {
    let agent = mesh.agent("a1");
    agent.kill()?;
    mesh.await_host("a1", HostStatus::Down, SOON)?;
    // Down is declared after eight seconds of silence: by then the certificate is over.
    agent.start()?;
    agent.await_log("taken back", SOON)?;
    mesh.await_host("a1", HostStatus::Up, SOON).map(drop)
}

/// The folder as it is now, for an agent of another name that is not one of the mesh.
fn copy_of<'a>(agent: &Agent<'a>, here: &'a Loopback) -> Result<Agent<'a>> {
    let copy = Agent::new(Place::Here(here), "copy");
    std::fs::create_dir_all(copy.dir())?;
    let mut command = std::process::Command::new("cp");
    command.arg("-a").arg(agent.dir().join(".")).arg(copy.dir());
    mesh::run(command)?.done()?;
    Ok(copy)
}

fn an_early_copy_of_its_folder_is_refused(mesh: &Mesh<'_>, copy: &Agent<'_>) -> Result<()> {
    let agent = mesh.agent("a1");
    let sessions = agent.log()?.matches("session begun").count();
    copy.start()?;
    copy.await_log("is this an old copy", SOON)?;
    copy.kill()?;
    let after = agent.log()?.matches("session begun").count();
    ensure!(after == sessions, "the host itself was left alone: {}", agent.log()?);
    Ok(())
}

fn one_that_was_removed_meanwhile_is_told_so(mesh: &Mesh<'_>) -> Result<()> {
    let agent = mesh.agent("a2");
    agent.kill()?;
    mesh.await_host("a2", HostStatus::Down, SOON)?;
    mesh.omni().run(["hosts", "rm", "--yes", "a2"])?.done()?;
    agent.start()?;
    let began = Instant::now();
    let status = agent.wait(SOON)?;
    eprintln!("the removed host's agent ended after {:.2?}: {status}", began.elapsed());
    ensure!(status.code() == Some(REMOVED), "{status}: {}", agent.log()?);
    // What follows starts every program that should run.
    let token = mesh.omni().run(["token", "create", "--role", "agent"])?.done()?;
    agent.join(&mesh.quic(), token.trim())?.done()?;
    agent.start()?;
    mesh.await_host("a2", HostStatus::Up, SOON).map(drop)
}
