//! Hosts that are sent away, and hosts that come back.

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::HostStatus;
use omni_common::wire::{ALPN_AGENT, CloseCode};
use omni_tests::mesh::{self, Loopback, Mesh, Place, Rogue, SOON};
use omni_tests::testbed::eventually;
use std::time::{Duration, Instant};

/// "Within a second of the commit"; the rest is for a machine that also compiles.
const CUT_WITHIN: Duration = Duration::from_secs(3);
/// What a service manager reads as: do not start it again.
const REMOVED: i32 = 77;

#[test]
fn a_removed_host_is_cut_off_and_may_join_anew() {
    mesh::test(|here| {
        let mut mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
        for name in ["a1", "a2"] {
            mesh.add_agent(Place::Here(here), name)?;
        }
        let rogue = Rogue::of(mesh.agent("a1"))?;
        let other = mesh.host("a2")?;
        it_is_cut_at_once(&mesh)?;
        its_agent_ends_with_an_explanation(&mesh)?;
        its_certificate_opens_no_door(&mesh, &rogue)?;
        the_others_do_not_notice(&mesh, other.id)?;
        it_joins_anew_with_a_new_token(&mesh, here)?;
        mesh.all_run()
    });
}

fn it_is_cut_at_once(mesh: &Mesh<'_>) -> Result<()> {
    let agent = mesh.agent("a1");
    let (removed, cut) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let cut = eventually("the session of a1 is cut", SOON, || {
                let log = agent.log().ok()?;
                log.contains("revoked").then(Instant::now)
            });
            cut.with_context(|| agent.log().unwrap_or_default())
        });
        let answer = mesh.omni().run(["hosts", "rm", "--yes", "a1"]).and_then(mesh::Answer::done);
        let removed = answer.map(|_| Instant::now());
        (removed, waiting.join().expect("waiting does not panic"))
    });
    // The cut may well be over before the command has printed its line.
    let after = cut?.saturating_duration_since(removed?);
    eprintln!("the session was cut {after:.2?} after the removal was acknowledged");
    ensure!(after < CUT_WITHIN, "it lived on for {after:?}");
    let hosts = mesh.api().ask(async |client| client.hosts(Default::default()).await)?;
    ensure!(hosts.iter().all(|host| host.name != "a1"), "and it is no host any more: {hosts:#?}");
    Ok(())
}

fn its_agent_ends_with_an_explanation(mesh: &Mesh<'_>) -> Result<()> {
    let agent = mesh.agent("a1");
    let began = Instant::now();
    let status = agent.wait(SOON)?;
    eprintln!("its agent ended after {:.2?}: {status}", began.elapsed());
    let log = agent.log()?;
    let end = log.lines().last().unwrap_or_default();
    eprintln!("it said: {end}");
    ensure!(status.code() == Some(REMOVED), "{status}: {log}");
    ensure!(end.contains("removed") && end.contains("join"), "it says what happened and what to do: {log}");
    Ok(())
}

fn its_certificate_opens_no_door(mesh: &Mesh<'_>, rogue: &Rogue) -> Result<()> {
    for controller in mesh.controllers() {
        let closed = rogue.run(async |stranger| {
            let connection = stranger.dial(controller.quic(), ALPN_AGENT).await?;
            Ok(connection.closed().await)
        })?;
        ensure!(closed.code == CloseCode::Revoked, "{} said {closed:?}", controller.name());
    }
    Ok(())
}

fn the_others_do_not_notice(mesh: &Mesh<'_>, id: omni_common::ids::HostId) -> Result<()> {
    let other = mesh.await_host("a2", HostStatus::Up, SOON)?;
    ensure!(other.id == id, "it is the same host");
    let sessions = mesh.agent("a2").log()?.matches("session begun").count();
    ensure!(sessions == 1, "its session went on: {sessions}");
    Ok(())
}

fn it_joins_anew_with_a_new_token(mesh: &Mesh<'_>, here: &Loopback) -> Result<()> {
    let agent = mesh.agent("a1");
    let token = mesh.omni().run(["token", "create", "--role", "agent"])?.done()?;
    let answer = agent.join(&mesh.quic(), token.trim())?;
    eprintln!("joining anew from the same folder: {} {}", answer.stdout.trim(), answer.stderr.trim());
    answer.done()?;
    agent.start()?;
    mesh.await_host("a1", HostStatus::Up, SOON)?;
    let fresh = omni_tests::mesh::Agent::new(Place::Here(here), "a3");
    fresh.join(&mesh.quic(), &mesh.init().agent_join_token)?.done()?;
    fresh.start()?;
    mesh.await_host("a3", HostStatus::Up, SOON).map(drop)
}
