//! The testbed's own test: what every test on it stands on. Below it, the tests of omni's own programs; they
//! are here so that nextest runs them one at a time, even those that need no host.

mod adopt;
mod alerts;
mod backups;
mod builds;
mod containers;
mod converge;
mod cut_off;
mod deploy;
mod disks;
mod failover;
mod first_day;
mod hostile;
mod images;
mod joins;
mod loss;
mod moves;
mod offline;
mod protection;
mod recovery;
mod registry;
mod returns;
mod revoked;

use std::time::Duration;

use anyhow::Result;
use omni_tests::testbed::{self, HEALTH_TEST, Host, IMAGE, Slowed, Testbed, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Whether `from` gets an answer to one ping of `to`.
fn reaches(from: &Host, to: &Host) -> bool {
    from.run("busybox", ["ping", "-c", "1", "-W", "1", to.address()]).is_ok()
}

fn await_reach(from: &Host, to: &Host, expected: bool) -> Result<()> {
    let what = format!("{} reaching {}: {expected}", from.name(), to.name());
    eventually(&what, SOON, || (reaches(from, to) == expected).then_some(()))
}

fn page(from: &Host, of: &Host) -> Option<String> {
    let url = format!("http://{}:8080/", of.address());
    from.run("curl", ["-sf", "--max-time", "1", &url]).ok()
}

#[test]
fn hosts_live_die_and_part() {
    testbed::test(3, |bed| {
        let (h1, h2, h3) = (bed.host("h1"), bed.host("h2"), bed.host("h3"));
        each_host_is_its_own(bed)?;
        a_cut_host_is_alone_until_healed(h1, h2, h3)?;
        a_blocked_pair_still_reaches_the_third(h1, h2, h3)?;
        links_can_be_narrowed_and_perhaps_delayed(h1, h2)?;
        containers_serve_other_hosts_and_survive_a_power_cut(h1, h2)?;
        an_engine_can_crash(h1)?;
        health_can_be_played_with(h3)?;
        programs_run_and_are_killed(h2)
    });
}

fn each_host_is_its_own(bed: &Testbed) -> Result<()> {
    for host in bed.hosts() {
        assert_eq!(host.run("hostname", [""; 0])?, host.name());
        assert!(host.docker(["images", "--quiet", IMAGE])?.lines().count() == 1, "the image is there, once");
        assert_eq!(host.docker(["ps", "--quiet", "--all"])?, "", "and no container");
        for other in bed.hosts() {
            assert!(reaches(host, other), "{} reaches {}", host.name(), other.name());
        }
    }
    Ok(())
}

fn a_cut_host_is_alone_until_healed(h1: &Host, h2: &Host, h3: &Host) -> Result<()> {
    h1.cut()?;
    await_reach(h2, h1, false)?;
    await_reach(h1, h3, false)?;
    assert!(reaches(h2, h3), "the others go on");
    assert!(h1.docker(["info"]).is_ok(), "and so does its engine");
    h1.heal()?;
    await_reach(h2, h1, true)
}

fn a_blocked_pair_still_reaches_the_third(h1: &Host, h2: &Host, h3: &Host) -> Result<()> {
    h1.block(h2)?;
    await_reach(h1, h2, false)?;
    await_reach(h2, h1, false)?;
    assert!(reaches(h1, h3) && reaches(h2, h3));
    h1.unblock(h2)?;
    await_reach(h2, h1, true)
}

fn links_can_be_narrowed_and_perhaps_delayed(h1: &Host, h2: &Host) -> Result<()> {
    h1.throttle(1_000)?;
    assert!(reaches(h1, h2));
    h1.full_speed()?;
    if let Slowed::Unsupported(reason) = h1.slow(Duration::from_millis(20))? {
        eprintln!("not delayed: {reason}");
    }
    assert!(reaches(h1, h2));
    h1.full_speed()
}

fn containers_serve_other_hosts_and_survive_a_power_cut(h1: &Host, h2: &Host) -> Result<()> {
    let id = h1.docker([
        "run",
        "-d",
        "--name",
        "web",
        "--restart",
        "always",
        "-p",
        "8080:80",
        IMAGE,
        "http",
        "80",
    ])?;
    let served = eventually("h2 is served by a container on h1", SOON, || page(h2, h1))?;
    assert_eq!(served.trim_end(), &id[..12], "the page is the container's name");

    h1.power_off()?;
    await_reach(h2, h1, false)?;
    assert!(h1.run("true", [""; 0]).is_err(), "nothing runs on a host that is off");
    h1.power_on()?;
    let again = eventually("the container is back", SOON, || page(h2, h1))?;
    assert_eq!(served, again, "it is the same container, with its data");
    Ok(())
}

fn an_engine_can_crash(h1: &Host) -> Result<()> {
    h1.restart_engine()?;
    eventually("the engine sees its containers again", SOON, || {
        h1.docker(["ps", "--quiet"]).ok().filter(|ids| !ids.is_empty()).map(drop)
    })
}

fn health_can_be_played_with(h3: &Host) -> Result<()> {
    let check = ["--health-cmd", HEALTH_TEST, "--health-interval", "1s", "--health-retries", "1"];
    h3.docker(["run", "-d", "--name", "sick"].into_iter().chain(check).chain([IMAGE]))?;
    let is = |wanted: &str| {
        let health = h3.docker(["inspect", "--format", "{{.State.Health.Status}}", "sick"]);
        health.is_ok_and(|health| health == wanted).then_some(())
    };
    eventually("it is unhealthy", SOON, || is("unhealthy"))?;
    h3.docker(["exec", "sick", "touch", "/tmp/healthy"])?;
    eventually("it is healthy", SOON, || is("healthy"))
}

fn programs_run_and_are_killed(h2: &Host) -> Result<()> {
    let mut program =
        h2.spawn("program", "sh", ["-c", "echo hello from $(hostname); exec sleep infinity"])?;
    program.await_log("hello from h2", SOON)?;
    assert!(program.is_running());
    program.kill()?;
    assert!(!program.is_running());
    assert!(program.signal(rustix::process::Signal::TERM).is_err(), "it has ended");

    let quick = h2.spawn("quick", "false", [""; 0])?.wait(SOON)?;
    assert_eq!(quick.code(), Some(1));

    let mut doomed = h2.spawn("doomed", "sleep", ["infinity"])?;
    let listener = h2.inside(|| std::net::TcpListener::bind((h2.address(), 0)))?;
    assert!(listener.is_ok(), "a thread of the test can be on the host's network");
    h2.power_off()?;
    assert!(!doomed.is_running());
    doomed.wait(SOON).map(drop)
}
