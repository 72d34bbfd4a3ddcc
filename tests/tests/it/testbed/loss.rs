//! Controllers are lost, one and two at a time, under writes and heartbeats.

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{CreateEnvironment, HostStatus};
use omni_sdk::Error;
use omni_tests::mesh::{self, Controller, Loopback, Mesh, Place, SOON, Writes};
use omni_tests::testbed::eventually;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// The issue says "about a second"; this is for a machine that also compiles.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(5);

fn mesh_of_three(here: &Loopback) -> Result<Mesh<'_>> {
    let mut mesh = Mesh::form(&[Place::Here(here); 3], Place::Here(here))?;
    mesh.add_agent(Place::Here(here), "a1")?;
    Ok(mesh)
}

/// No host was given up, neither now nor at any time before.
fn never_down(mesh: &Mesh<'_>) -> Result<()> {
    let down = mesh.events_of("a1", "host.down")?;
    ensure!(down.is_empty(), "a host that lived was declared down: {down:#?}");
    mesh.await_host("a1", HostStatus::Up, SOON).map(drop)
}

#[test]
fn any_one_controller_can_be_killed() {
    mesh::test(|here| {
        let mesh = mesh_of_three(here)?;
        mesh.while_writing(|writes| {
            for victim in ["the leader", "the gateway", "c1", "c2", "c3"] {
                killed_and_back(&mesh, writes, victim)?;
            }
            the_leader_hangs(&mesh, writes)?;
            the_leader_is_asked_to_stop(&mesh, writes)
        })?;
        never_down(&mesh)?;
        mesh.all_run()
    });
}

fn killed_and_back(mesh: &Mesh<'_>, writes: &Writes, victim: &str) -> Result<()> {
    let controller = match victim {
        "the leader" => mesh.leader()?,
        "the gateway" => mesh.gateway("a1")?,
        name => mesh.controller(name),
    };
    let moves = mesh.gateway("a1")?.name() == controller.name();
    let killed = Instant::now();
    controller.kill()?;
    let accepted = writes.next_after(killed)?;
    eprintln!("{} ({victim}) killed: next write acknowledged after {accepted:.2?}", controller.name());
    ensure!(accepted < ACCEPTED_WITHIN, "no write for {accepted:?} after {victim} was killed");
    if moves {
        the_agent_moves_from(mesh, controller, killed)?;
    }
    controller.start()?;
    mesh.await_voters(3)
}

fn the_agent_moves_from(mesh: &Mesh<'_>, old: &Controller<'_>, since: Instant) -> Result<()> {
    eventually("the agent has another gateway", SOON, || {
        let view = mesh.host("a1").ok()?;
        let gateway = mesh.by_id(view.gateway?).ok()?;
        (gateway.name() != old.name()).then_some(())
    })?;
    eprintln!("the agent was with another gateway after {:.2?}", since.elapsed());
    Ok(())
}

/// A stopped process is worse than a dead one: its ports are open, and it wakes up believing that it leads.
fn the_leader_hangs(mesh: &Mesh<'_>, writes: &Writes) -> Result<()> {
    let leader = mesh.leader()?;
    let hung = Instant::now();
    leader.signal(Signal::STOP)?;
    let others: Vec<_> = mesh.controllers().iter().filter(|one| one.name() != leader.name()).collect();
    let api = mesh.api_of(others);
    let name = CreateEnvironment { name: "while-it-hung".to_owned() };
    let write = eventually("the others take a write", SOON, || {
        api.ask(async |client| client.create_environment(&name).await).ok()
    });
    eprintln!("{} (the leader) hung: the others took a write after {:.2?}", leader.name(), hung.elapsed());
    leader.signal(Signal::CONT)?;
    write?;
    mesh.await_voters(3)?;
    let environments = mesh.api_of([leader]).ask(async |client| client.environments().await)?;
    ensure!(
        environments.iter().any(|one| one.name == "while-it-hung"),
        "a linearizable read at the deposed leader misses an acknowledged write"
    );
    writes.next_after(Instant::now()).map(drop)
}

fn the_leader_is_asked_to_stop(mesh: &Mesh<'_>, writes: &Writes) -> Result<()> {
    let leader = mesh.leader()?;
    let asked = Instant::now();
    let status = leader.stop()?;
    ensure!(status.success(), "a clean stop succeeds: {status}");
    let accepted = writes.next_after(asked)?;
    eprintln!("{} (the leader) stopped cleanly: next write acknowledged after {accepted:.2?}", leader.name());
    leader.start()?;
    mesh.await_voters(3)
}

#[test]
fn two_of_three_are_lost_then_all() {
    mesh::test(|here| {
        let mesh = mesh_of_three(here)?;
        let leader = mesh.leader()?.name().to_owned();
        let (survivor, victims): (Vec<_>, Vec<_>) =
            mesh.controllers().iter().partition(|one| one.name() == leader);
        victims.iter().try_for_each(|victim| victim.kill())?;
        the_survivor_says_what_it_can(&mesh, survivor[0])?;
        victims[0].start()?;
        a_write_works_again(&mesh, "healed-by-one")?;
        victims[1].start()?;
        mesh.await_voters(3)?;
        never_down(&mesh)?;
        all_controllers_are_away_for_a_while(&mesh)?;
        mesh.all_run()
    });
}

fn the_survivor_says_what_it_can(mesh: &Mesh<'_>, survivor: &Controller<'_>) -> Result<()> {
    let stale = mesh.omni().run(["hosts", "--stale", "--url", &survivor.url()])?.done()?;
    ensure!(stale.contains("a1"), "a stale read works: {stale}");
    ensure!(mesh.omni().run(["hosts", "--stale"])?.done()? == stale, "also when the dead are asked first");
    // As an operator has it, with three addresses and the usual deadline; then with one, and a short one.
    let url = survivor.url();
    for args in [&["hosts", "cordon", "a1"][..], &["hosts", "show", "a1", "--url", &url, "--timeout", "8s"]] {
        let asked = Instant::now();
        let answer = mesh.omni().run(args)?;
        let took = asked.elapsed();
        eprintln!("`omni {}`: refused after {took:.2?}", args.join(" "));
        answer.refused(6, &["no controller leads", "--stale"])?;
        ensure!(took < Duration::from_secs(30), "that is long past its deadline");
    }
    let asked = Instant::now();
    let name = CreateEnvironment { name: "never".to_owned() };
    let api = mesh.api_of([survivor]).within(Duration::from_secs(12));
    let error = api.ask(async |client| client.create_environment(&name).await).err();
    let problem = error.as_ref().and_then(Error::problem).context("a controller says why")?;
    eprintln!("a write: {} after {:.2?}: {:?}", problem.code, asked.elapsed(), problem.detail);
    // A leader that has lost its majority cannot know whether those it sent the write to will keep it.
    ensure!(matches!(problem.code.as_str(), "no_leader" | "outcome_unknown"), "{problem:#?}");
    Ok(())
}

fn a_write_works_again(mesh: &Mesh<'_>, name: &str) -> Result<()> {
    let body = CreateEnvironment { name: name.to_owned() };
    let api = mesh.api();
    let healed = Instant::now();
    eventually("a write works again", SOON, || {
        api.ask(async |client| client.create_environment(&body).await).ok()
    })?;
    eprintln!("a write works again after {:.2?}", healed.elapsed());
    Ok(())
}

fn all_controllers_are_away_for_a_while(mesh: &Mesh<'_>) -> Result<()> {
    let before = mesh.host("a1")?;
    mesh.controllers().iter().try_for_each(|controller| controller.kill())?;
    let agent = mesh.agent("a1");
    agent.await_log("session over", SOON)?;
    mesh.omni().run(["status"])?.refused(5, &["no controller is reachable"])?;
    mesh.start_all()?;
    a_write_works_again(mesh, "healed-by-all")?;
    mesh.await_host_that("a1", "heard of again", SOON, |host| host.last_seen > before.last_seen)?;
    ensure!(agent.is_running(), "the agent went on alone");
    never_down(mesh)
}
