//! Hosts that die or are cut off under apps.

use super::deploy::{HOSTS, containers, happened, page, project, site, test, took};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::{AppStatus, HostStatus};
use omni_tests::mesh::{Mesh, SOON, hosts_of, settled, told};
use omni_tests::testbed::{Testbed, eventually};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// DESIGN 15 says 15 s; this is for a machine that also compiles.
const REPLACED_WITHIN: Duration = Duration::from_secs(30);

const PORTS: &str = "    ports: [\"8080:80\"]\n";

#[test]
fn a_dead_hosts_instances_are_replaced_and_never_kept_twice() {
    test(|bed, mesh| {
        let web = project(bed, "web", &site("web", 2, PORTS))?;
        mesh.deploy(&web, &[])?.done()?;
        let app = mesh.await_settled("web", 1)?;
        // The worst of the two: the one that also has the leading controller, if any has.
        let leader = mesh.leader()?.name().replace('c', "h");
        let hosts = hosts_of(&app);
        let dead = hosts.get(&*leader).or_else(|| hosts.first()).context("it runs")?.to_string();
        let spare = HOSTS.into_iter().find(|name| !hosts.contains(name)).context("one of three is free")?;
        let killed = Instant::now();
        bed.host(&dead).power_off()?;
        eventually("the replacement answers", SOON, || page(bed, spare, "8080").ok())?;
        mesh.await_app("web", "healthy elsewhere", SOON, |app| hosts_of(app).contains(spare))?;
        let replaced = killed.elapsed();
        took(&format!("{dead} (leader on {leader}) killed: its instance is healthy on {spare}"), replaced);
        ensure!(replaced < REPLACED_WITHIN, "it took {replaced:?}");
        it_comes_back(bed, mesh, &dead)?;
        let lost = ["allocation.placed", "allocation.lost", "allocation.placed", "allocation.healthy"];
        happened(&mesh.events_of_app("web")?, &lost)
    });
}

/// Its engine starts the old copy by itself, as its restart policy says; the agent removes it.
fn it_comes_back(bed: &Testbed, mesh: &Mesh<'_>, name: &str) -> Result<()> {
    let host = bed.host(name);
    host.power_on()?;
    let old = containers(host, "omni.app=web")?;
    ensure!(old.len() == 1, "its disk still has the old copy: {old:?}");
    mesh.controller(&name.replace('h', "c")).start()?;
    mesh.agent(name).start()?;
    let back = Instant::now();
    mesh.await_host(name, HostStatus::Up, SOON)?;
    mesh.await_voters(3)?;
    eventually("the old copy is gone", SOON, || containers(host, "omni.app=web").ok().filter(Vec::is_empty))?;
    took(&format!("{name} is back: the old copy is gone"), back.elapsed());
    let app = mesh.await_app("web", "two and no more", SOON, |app| settled(app, 2))?;
    ensure!(!hosts_of(&app).contains(name), "nothing moves without need: {}", told(&app));
    ensure!(page(bed, name, "8080").is_err(), "and nothing answers there");
    Ok(())
}

/// Something that writes who it is and when, twenty times a second, for as long as it lives. All hosts of the testbed
/// have one kernel, so one clock.
const WRITER: &str = r#"trap '' TERM; while :; do echo "$HOSTNAME $(cut -d ' ' -f 1 /proc/uptime)" >>/out/log; sleep 0.05; done"#;

/// A writer that may run anywhere, but never twice: it has no data of its own, only something outside.
fn roaming(shared: &Path) -> String {
    format!(
        r#"
name: roaming
services:
  writer:
    image: omni-test/busybox:1
    command: ["sh", "-c", {command:?}]
    volumes: ["{}:/out"]
    restart: always
    deploy: {{update_config: {{monitor: 500ms}}}}
x-omni: {{exclusive: true}}
"#,
        shared.display(),
        command = WRITER.replace('$', "$$"),
    )
}

/// A writer with a named volume: it runs where that is, and nowhere else.
fn rooted() -> String {
    format!(
        r#"
name: rooted
services:
  writer:
    image: omni-test/busybox:1
    command: ["sh", "-c", {:?}]
    volumes: ["data:/out"]
    restart: always
    deploy: {{placement: {{constraints: [node.labels.disk == here]}}, update_config: {{monitor: 500ms}}}}
volumes: {{data: }}
x-omni: {{failover: {{mode: restart}}}}
"#,
        WRITER.replace('$', "$$"),
    )
}

#[test]
fn what_must_not_run_twice_stops_before_another_starts() {
    test(|bed, mesh| {
        // In memory, which every mount space of this machine shares. A path below `/dev` is no data of an app's.
        let shared = tempfile::tempdir_in("/dev/shm").context("a folder that all hosts see")?;
        let roaming = project(bed, "roaming", &roaming(shared.path()))?;
        mesh.deploy(&roaming, &[])?.done()?;
        let app = mesh.await_settled("roaming", 1)?;
        let home = hosts_of(&app).into_iter().next().context("it runs")?.to_owned();
        mesh.omni().run(["hosts", "label", &home, "disk=here"])?.done()?;
        let rooted = project(bed, "rooted", &rooted())?;
        mesh.deploy(&rooted, &[])?.done()?;
        ensure!(hosts_of(&mesh.await_settled("rooted", 1)?).contains(&*home));
        // The worst case: the host that is cut off has the leading controller, which goes on believing in itself.
        let controller = home.replace('h', "c");
        if mesh.leader()?.name() != controller {
            mesh.omni().run(["controllers", "transfer-leader", &controller])?.done()?;
            eventually("it leads", SOON, || (mesh.leader().ok()?.name() == controller).then_some(()))?;
        }
        it_is_cut_off(bed, mesh, &home, &shared.path().join("log"))?;
        it_is_healed(bed, mesh, &home, &shared.path().join("log"))
    });
}

/// Of whom, from when to when (seconds since boot), in the order of their first lines.
fn stretches(log: &Path) -> Result<Vec<(String, f64, f64)>> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let mut all: Vec<(String, f64, f64)> = Vec::new();
    for line in text.lines() {
        let Some((who, at)) = line.split_once(' ') else { continue };
        let at: f64 = at.parse().with_context(|| format!("a moment: {line}"))?;
        match all.last_mut().filter(|last| last.0 == who) {
            Some(last) => last.2 = at,
            None => all.push((who.to_owned(), at, at)),
        }
    }
    Ok(all)
}

/// A stretch for each container that wrote, in turn: none wrote between two lines of another.
fn none_wrote_beside_another(log: &Path) -> Result<Vec<(String, f64, f64)>> {
    let all = stretches(log)?;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for (who, _, _) in &all {
        *times.entry(who).or_default() += 1;
    }
    ensure!(times.values().all(|count| *count == 1), "two wrote at the same time: {all:#?}");
    Ok(all)
}

fn uptime() -> Result<f64> {
    let text = fs::read_to_string("/proc/uptime")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("the kernel says how long it is up")
}

fn it_is_cut_off(bed: &Testbed, mesh: &Mesh<'_>, home: &str, log: &Path) -> Result<()> {
    let host = bed.host(home);
    host.cut()?;
    let cut = uptime()?;
    mesh.await_app("roaming", "it runs elsewhere", SOON, |app| {
        hosts_of(app).into_iter().any(|name| name != home)
    })?;
    let all = eventually("the new one writes", SOON, || stretches(log).ok().filter(|all| all.len() > 1))?;
    let [old, new] = &none_wrote_beside_another(log)?[..] else { anyhow::bail!("two wrote: {all:#?}") };
    eprintln!(
        "cut off at 0 s: the old one wrote last at {:.2} s, the new one first at {:.2} s",
        old.2 - cut,
        new.1 - cut
    );
    ensure!(old.2 < new.1, "{all:#?}");
    // What cannot move has stopped as well, and says what it waits for.
    let running = host.docker(["ps", "--quiet", "--filter", "label=omni.exclusive=true"])?;
    ensure!(running.is_empty(), "something exclusive runs on without a lease");
    let volume = host.docker(["volume", "inspect", "--format", "{{.Mountpoint}}", "rooted_data"])?;
    let last = stretches(&Path::new(&volume).join("log"))?.last().context("it wrote")?.2;
    ensure!(last < new.1, "it wrote until {last}: {all:#?}");
    let rooted = mesh.app("rooted")?;
    ensure!(rooted.allocations.iter().all(|one| one.host_name == home), "{}", told(&rooted));
    let waits = rooted.groups[0].waiting.join("\n");
    super::deploy::says(&waits, &["its data (volume data) is on", home, "its failover is `restart`"])
}

fn it_is_healed(bed: &Testbed, mesh: &Mesh<'_>, home: &str, log: &Path) -> Result<()> {
    bed.host(home).heal()?;
    let healed = Instant::now();
    mesh.await_host(home, HostStatus::Up, SOON)?;
    let app = mesh.await_app("rooted", "it runs where its data is", SOON, |app| {
        app.status == AppStatus::Healthy && hosts_of(app).contains(home)
    })?;
    took("healed: what has its data there runs again", healed.elapsed());
    ensure!(app.allocations.len() == 1, "{}", told(&app));
    let old = || containers(bed.host(home), "omni.app=roaming");
    eventually("the old copy of the other is removed", SOON, || old().ok().filter(Vec::is_empty))
        .with_context(|| format!("{:?}", old()))?;
    let app = mesh.await_app("roaming", "one, elsewhere", SOON, |app| {
        app.status == AppStatus::Healthy && app.allocations.len() == 1
    })?;
    ensure!(!hosts_of(&app).contains(home), "{}", told(&app));
    ensure!(none_wrote_beside_another(log)?.len() == 2, "the old one never came back");
    mesh.await_voters(3)
}
