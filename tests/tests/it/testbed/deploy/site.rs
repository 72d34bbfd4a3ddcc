//! Apps without data: more and fewer instances, one on every host, hosts that are emptied, a release that never turns healthy,
//! two people at once, and hosts without enough memory.

use super::{HOSTS, containers, happened, page, project, says, site, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::AppStatus;
use omni_tests::mesh::{Mesh, Project, SOON, hosts_of, settled, told};
use omni_tests::testbed::{Process, Testbed, eventually};
use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at all instances: shorter than a container takes to start.
const LOOK: Duration = Duration::from_millis(50);

const PORTS: &str = "    ports: [\"8080:80\"]\n";

#[test]
fn instances_come_and_go_over_hosts() {
    super::test(|bed, mesh| {
        let web = project(bed, "web", &site("web", 2, PORTS))?;
        mesh.deploy(&web, &[])?.done()?;
        let app = mesh.await_settled("web", 1)?;
        ensure!(hosts_of(&app).len() == 2, "two hosts, as each has one such port: {}", told(&app));
        never_healthy_rolls_back(bed, mesh, |mesh| {
            it_scales(bed, mesh)?;
            a_rollout_keeps_its_minimum(bed, mesh, &web)?;
            one_on_every_host(bed, mesh)?;
            two_people_at_once(mesh, &web)?;
            a_host_is_emptied(bed, mesh)
        })
    });
}

/// A release that starts and never answers. While it is waited for, other apps get on with theirs.
fn never_healthy_rolls_back(
    bed: &Testbed,
    mesh: &Mesh<'_>,
    meanwhile: impl FnOnce(&Mesh<'_>) -> Result<()>,
) -> Result<()> {
    // Not on the host that is emptied meanwhile.
    let place = format!("      placement: {{constraints: [node.hostname != {}]}}\n", HOSTS[0]);
    let sick = project(bed, "sick", &site("sick", 1, &place))?;
    mesh.deploy(&sick, &[])?.done()?;
    let begun = Instant::now();
    let mute = "COMMAND=sh -c 'echo waiting for nobody; exec idle'";
    let mut deploy = spawn(mesh, &sick, &["--set", mute])?;
    meanwhile(mesh)?;
    let status = deploy.wait(SOON * 2)?;
    took("a release that never turns healthy is given up", begun.elapsed());
    ensure!(status.code() == Some(1), "{status}: {}", deploy.log()?);
    let words = ["did not become healthy in time", "back to release 1", "waiting for nobody"];
    says(&deploy.log()?, &words)?;
    let app = mesh.await_settled("sick", 1)?;
    ensure!(app.allocations.len() == 1, "{}", told(&app));
    happened(&mesh.events_of_app("sick")?, &["deployment.done", "deployment.failed", "deployment.done"])
}

fn spawn(mesh: &Mesh<'_>, project: &Project, words: &[&str]) -> Result<Process> {
    let args = project.deploy(&[&["--yes", "--wait=2m"], words].concat());
    mesh.omni().spawn(&format!("deploy-{}", words.last().unwrap_or(&"").len()), args)
}

fn it_scales(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    for count in ["3", "1", "3"] {
        mesh.omni().run(["scale", "web", count, "--wait=1m"])?.done()?;
        let answering = || HOSTS.iter().filter(|host| page(bed, host, "8080").is_ok()).count().to_string();
        eventually(&format!("{count} hosts answer"), SOON, || (answering() == count).then_some(()))?;
    }
    mesh.omni().run(["scale", "web", "4"])?.done()?;
    let app = mesh.await_app("web", "one waits for a port", SOON, |app| !app.groups[0].waiting.is_empty())?;
    says(&app.groups[0].waiting.join("\n"), &["port", "8080", "3 hosts ruled out"])?;
    ensure!(app.healthy == 3 && app.wanted == 4, "{}", told(&app));
    mesh.omni().run(["scale", "web", "3", "--wait=1m"])?.done().map(drop)
}

/// One instance on each of three hosts, each with the port that its successor needs: at most one may be away.
fn a_rollout_keeps_its_minimum(bed: &Testbed, mesh: &Mesh<'_>, web: &Project) -> Result<()> {
    let begun = Instant::now();
    let fewest = watched(bed, || mesh.deploy(web, &["--set", "WORD=two"])?.done().map(drop))?;
    took("three instances replaced one by one", begun.elapsed());
    ensure!(fewest >= 2, "only {fewest} of 3 answered at one time");
    let app = mesh.await_app("web", "scaled and renewed", SOON, |app| app.status == AppStatus::Healthy)?;
    ensure!(app.wanted == 3 && app.allocations.iter().all(|one| one.release == 2), "{}", told(&app));
    Ok(())
}

/// The fewest hosts that answered at one time while `work` was done.
fn watched(bed: &Testbed, work: impl FnOnce() -> Result<()>) -> Result<usize> {
    thread::scope(|scope| {
        let (over, told) = mpsc::channel::<()>();
        let watching = scope.spawn(move || {
            let mut answering = Vec::new();
            while told.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                answering.push(HOSTS.map(|host| page(bed, host, "8080").is_ok()));
            }
            answering
        });
        let done = work();
        drop(over);
        let mut answering = watching.join().expect("looking does not panic");
        let count = |at: &[bool; HOSTS.len()]| at.iter().filter(|answers| **answers).count();
        let fewest = answering.iter().map(count).min().unwrap_or(0);
        answering.dedup();
        eprintln!("which hosts answered, from look to look: {answering:?}");
        done.map(|()| fewest)
    })
}

fn one_on_every_host(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    let text = "name: everywhere\nservices:\n  it:\n    image: omni-test/busybox:1\n    deploy: {mode: global, update_config: {monitor: 500ms}}\n";
    let everywhere = project(bed, "everywhere", text)?;
    mesh.deploy(&everywhere, &[])?.done()?;
    let app = mesh.await_settled("everywhere", 1)?;
    ensure!(hosts_of(&app) == HOSTS.into(), "{}", told(&app));
    for host in HOSTS.map(|name| bed.host(name)) {
        let names = containers(host, "omni.app=everywhere")?;
        ensure!(names == ["everywhere-it-1"], "as under compose, on each host: {names:?}");
    }
    mesh.omni().run(["scale", "everywhere", "2"])?.refused(2, &["once on each host"])
}

/// Whoever comes second is told, and what he had seen is not silently overrun.
fn two_people_at_once(mesh: &Mesh<'_>, web: &Project) -> Result<()> {
    let before = mesh.app("web")?.release;
    let mut people =
        [spawn(mesh, web, &["--set", "WORD=anna"])?, spawn(mesh, web, &["--set", "WORD=bert1"])?];
    let mut codes = Vec::new();
    for one in &mut people {
        codes.push(one.wait(SOON * 2)?.code());
    }
    let logs = people.iter().map(Process::log).collect::<Result<Vec<_>>>()?;
    let winner =
        codes.iter().position(|code| *code == Some(0)).with_context(|| format!("{codes:?} {logs:?}"))?;
    let loser = 1 - winner;
    // Refused when both had looked before either was done; overtaken when one had begun before the other looked.
    let fate = match codes[loser] {
        Some(4) => "was changed meanwhile",
        Some(1) => "took the place of this one",
        other => anyhow::bail!("{other:?}: {logs:?}"),
    };
    says(&logs[loser], &[fate])?;
    eprintln!("of two at once, the second is told: {fate}");
    let app = mesh.await_app("web", "healthy", SOON, |app| app.status == AppStatus::Healthy)?;
    ensure!((before + 1..=before + 2).contains(&app.release), "{}", told(&app));
    Ok(())
}

/// Three instances on three hosts, each with the same port: none can leave before there is room elsewhere.
fn a_host_is_emptied(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    let from = HOSTS[0];
    let begun = Instant::now();
    let fewest = watched(bed, || {
        mesh.omni().run(["drain", from])?.done()?;
        let app =
            mesh.await_app("web", "one has no other place", SOON, |app| !app.groups[0].waiting.is_empty())?;
        ensure!(app.healthy == 3, "what finds no other place stays: {}", told(&app));
        mesh.omni().run(["scale", "web", "2", "--wait=1m"])?.done()?;
        mesh.omni().run(["drain", from, "--wait=1m"])?.done().map(drop)
    })?;
    took("a host is emptied", begun.elapsed());
    ensure!(
        fewest >= 2,
        "the new one starts before the old one stops, but only {fewest} answered at one time"
    );
    let left = || containers(bed.host(from), "omni.app");
    eventually("nothing is left", SOON, || left().ok().filter(Vec::is_empty))
        .with_context(|| format!("{:?}", left()))?;
    let others: BTreeSet<&str> = HOSTS[1..].iter().copied().collect();
    let app = mesh.await_app("web", "on the others", SOON, |app| settled(app, 2))?;
    ensure!(hosts_of(&app) == others, "{}", told(&app));
    says(&mesh.omni().run(["explain", "web"])?.done()?, &["the host is being drained"])?;
    mesh.omni().run(["scale", "web", "3"])?.done()?;
    mesh.await_app("web", "the third waits", SOON, |app| !app.groups[0].waiting.is_empty())?;
    mesh.omni().run(["undrain", from])?.done()?;
    for name in ["web", "everywhere"] {
        mesh.await_app(name, "on all three again", SOON, |app| hosts_of(app) == HOSTS.into())?;
    }
    Ok(())
}

#[test]
fn what_does_not_fit_waits_until_it_does() {
    super::test(|bed, mesh| {
        let memory = mesh.host("h1")?.facts.context("its agent has reported")?.memory_total;
        let big = |name: &str, replicas: u32| {
            let reserve = format!("      resources: {{reservations: {{memory: {}b}}}}\n", memory / 10 * 6);
            project(bed, name, &site(name, replicas, &reserve))
        };
        let (first, second) = (big("first", 3)?, big("second", 1)?);
        mesh.deploy(&first, &[])?.done()?;
        ensure!(hosts_of(&mesh.await_settled("first", 1)?).len() == 3, "each host has room for one");
        let plan = mesh.omni().run(second.deploy(&["--plan"]))?;
        says(&plan.stdout, &["Waiting", "memory", "3 hosts ruled out"])?;
        mesh.omni().run(second.deploy(&["--yes"]))?.done()?;
        let app = mesh.await_app("second", "it waits", SOON, |app| !app.groups[0].waiting.is_empty())?;
        says(&app.groups[0].waiting.join("\n"), &["memory", "3 hosts ruled out: 3 by resources"])?;
        says(&mesh.omni().run(["explain", "second"])?.done()?, &["memory"])?;
        let begun = Instant::now();
        mesh.omni().run(["scale", "first", "2", "--wait=1m"])?.done()?;
        let app = mesh.await_settled("second", 1)?;
        took("room appears, and what waited runs", begun.elapsed());
        let first = mesh.await_app("first", "two are left", SOON, |app| settled(app, 2))?;
        ensure!(hosts_of(&app).is_disjoint(&hosts_of(&first)), "{} {}", told(&app), told(&first));
        Ok(())
    });
}
