//! Rollouts while programs die: the leading controller, an agent.

use super::{HOSTS, containers, happened, project, site, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AllocationView, HostStatus};
use omni_common::domain::AllocationState;
use omni_tests::mesh::{Mesh, Project, SOON, present, told};
use omni_tests::testbed::{Process, Testbed, eventually};
use std::time::Instant;

#[test]
fn a_rollout_outlives_programs_that_are_killed() {
    super::test(|bed, mesh| {
        let web = project(bed, "web", &site("web", 3, ""))?;
        mesh.deploy(&web, &[])?.done()?;
        mesh.await_settled("web", 1)?;
        // The first of its kind of a release, and the last but one: at the beginning, and in the middle.
        let moments = [("deployment.started", 1), ("allocation.placed", 1), ("allocation.healthy", 2)];
        for (turn, (kind, count)) in moments.into_iter().enumerate() {
            let release = turn as u64 + 2;
            the_leader_dies_at(mesh, &web, release, kind, count)?;
            nothing_is_there_twice(bed)?;
        }
        an_agent_dies(bed, mesh, &web, 5)?;
        an_agent_stays_away(bed, mesh, &web, 6)
    });
}

/// Begins a deployment that waits for its outcome.
fn begin(mesh: &Mesh<'_>, web: &Project, release: u64) -> Result<Process> {
    let word = format!("WORD=release-{release}");
    let args = web.deploy(&["--yes", "--wait=2m", "--set", &word]);
    mesh.omni().spawn(&format!("deploy-{release}"), args)
}

fn ends_well(mesh: &Mesh<'_>, mut deploy: Process, release: u64) -> Result<()> {
    let status = deploy.wait(SOON * 2)?;
    ensure!(status.success(), "{status}: {}", deploy.log()?);
    let app = mesh.await_settled("web", release)?;
    ensure!(present(&app).count() == 3, "{}", told(&app));
    Ok(())
}

fn the_leader_dies_at(mesh: &Mesh<'_>, web: &Project, release: u64, kind: &str, count: usize) -> Result<()> {
    let leader = mesh.leader()?;
    let deploy = begin(mesh, web, release)?;
    let number = release.to_string();
    eventually(&format!("{kind} of release {release}"), SOON, || {
        let events = mesh.events_of_app("web").ok()?;
        let of_it = |event: &&omni_common::api::v1::Event| {
            event.kind == kind && event.data.get("release") == Some(&number)
        };
        (events.iter().filter(of_it).count() >= count).then_some(())
    })?;
    let killed = Instant::now();
    leader.kill()?;
    ends_well(mesh, deploy, release)?;
    took(&format!("leader killed at {kind}: the rollout is through"), killed.elapsed());
    leader.start()?;
    mesh.await_voters(3)?;
    let events = mesh.events_of_app("web")?;
    let of_it: Vec<_> = events
        .into_iter()
        .filter(|event| event.kind.starts_with("deployment.") && event.data.get("release") == Some(&number))
        .collect();
    happened(&of_it, &["deployment.started", "deployment.done"])?;
    ensure!(of_it.len() == 2, "one start and one end: {of_it:#?}");
    Ok(())
}

/// Each of the three instances has one container, wherever it is.
fn nothing_is_there_twice(bed: &Testbed) -> Result<()> {
    let all = || -> Result<Vec<String>> {
        let lists = HOSTS.iter().map(|host| containers(bed.host(host), "omni.app=web"));
        let mut all: Vec<String> = lists.collect::<Result<Vec<_>>>()?.concat();
        all.sort();
        Ok(all)
    };
    let wanted = ["web-web-1", "web.1-web-1", "web.2-web-1"];
    eventually("one container for each instance", SOON, || (all().ok()? == wanted).then_some(()))
        .with_context(|| format!("{:?}", all()))
}

/// An instance of the release that is on its way.
fn on_its_way(mesh: &Mesh<'_>, release: u64) -> Result<AllocationView> {
    let early = [AllocationState::Pending, AllocationState::Preparing, AllocationState::Starting];
    let app = mesh.await_app("web", "an instance is on its way", SOON, |app| {
        app.allocations.iter().any(|one| one.release == release && early.contains(&one.state))
    })?;
    let found = app.allocations.into_iter().find(|one| one.release == release && early.contains(&one.state));
    found.context("just seen")
}

fn an_agent_dies(bed: &Testbed, mesh: &Mesh<'_>, web: &Project, release: u64) -> Result<()> {
    let deploy = begin(mesh, web, release)?;
    let victim = mesh.agent(&on_its_way(mesh, release)?.host_name);
    let killed = Instant::now();
    victim.kill()?;
    // As its service manager does.
    victim.start()?;
    ends_well(mesh, deploy, release)?;
    took("agent killed in the middle of a rollout and started again: it is through", killed.elapsed());
    nothing_is_there_twice(bed)
}

/// Its containers go on, and nobody looks after them: they are replaced elsewhere, and removed when it is back.
fn an_agent_stays_away(bed: &Testbed, mesh: &Mesh<'_>, web: &Project, release: u64) -> Result<()> {
    let deploy = begin(mesh, web, release)?;
    let victim = mesh.agent(&on_its_way(mesh, release)?.host_name);
    let killed = Instant::now();
    victim.kill()?;
    mesh.await_host(victim.name(), HostStatus::Down, SOON)?;
    ends_well(mesh, deploy, release)?;
    took("agent killed for good in the middle of a rollout: it is through on the others", killed.elapsed());
    victim.start()?;
    mesh.await_host(victim.name(), HostStatus::Up, SOON)?;
    nothing_is_there_twice(bed)
}
