//! Images from host to host: no registry can be reached from the testbed, so whatever runs on a host that did not have its
//! image got it from another one.

use super::deploy::{HOSTS, project, says, test, took};
use anyhow::{Context, Result, ensure};
use omni_tests::mesh::{Agent, Mesh, SOON, hosts_of, settled};
use omni_tests::testbed::{Host, IMAGE, Testbed, eventually};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const MIB: u64 = 1 << 20;
/// What a layer's tar file has beside the content of its one file.
const FRAMING: u64 = 16 << 10;
/// What copying costs beyond the layers: configuration, framing, packet headers, and all the other talk of a host. The host
/// also has a controller, through which the same bytes may pass on their way to its agent.
const TALK: u64 = 2 * MIB;
/// Slow enough to be caught in the middle of [`BIG`].
const SLOW_KILOBITS: u32 = 40_000;
const BIG: u64 = 24 * MIB;

#[test]
fn an_image_goes_to_the_host_that_needs_it() {
    test(|bed, mesh| {
        let h1 = bed.host("h1");
        commit(h1, IMAGE, "team/site:1", 6 * MIB)?;
        mesh.await_image("team/site:1", &["h1"])?;
        let begun = Instant::now();
        runs_on(bed, mesh, "one", "team/site:1", "h2")?;
        took("6 MiB copied, unpacked, and healthy", begun.elapsed());
        let agent = mesh.agent("h2");
        one_layer(copies(agent)?.first(), 6 * MIB)?;

        // Only what the second image has beyond the first one moves, as the network saw it too.
        commit(h1, "team/site:1", "team/site:2", MIB)?;
        mesh.await_image("team/site:2", &["h1"])?;
        let before = received(bed.host("h2"))?;
        runs_on(bed, mesh, "two", "team/site:2", "h2")?;
        let moved = received(bed.host("h2"))? - before;
        one_layer(copies(agent)?.get(1), MIB)?;
        ensure!((MIB..MIB + TALK).contains(&moved), "{moved} bytes came in over the network");

        nobody_has_it(bed, mesh)?;
        its_host_dies(bed, mesh)
    });
}

/// The image is on the host that dies and on the one that the app may not run on.
fn its_host_dies(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    commit(bed.host("h1"), IMAGE, "team/site:3", MIB)?;
    mesh.await_image("team/site:3", &["h1"])?;
    let elsewhere = compose("three", "team/site:3", "node.hostname != h1");
    mesh.deploy(&project(bed, "three", &elsewhere)?, &[])?.done()?;
    let app = mesh.await_app("three", "it runs", SOON, |app| settled(app, 1))?;
    let on = |host: &str| hosts_of(&app).contains(host);
    let (dies, other) = if on("h2") { ("h2", "h3") } else { ("h3", "h2") };
    let begun = Instant::now();
    bed.host(dies).power_off()?;
    mesh.await_app("three", "it runs elsewhere", SOON, |app| hosts_of(app) == [other].into())?;
    took("host killed: its app is healthy elsewhere, its image copied there", begun.elapsed());
    one_layer(copies(mesh.agent(other))?.last(), MIB)?;
    bed.host(dies).power_on()?;
    let controller = if dies == "h2" { "c2" } else { "c3" };
    mesh.controller(controller).start()?;
    mesh.agent(dies).start()?;
    mesh.await_voters(HOSTS.len())
}

/// Says of the registry and of the hosts what is wrong with each.
fn nobody_has_it(bed: &Testbed, mesh: &Mesh<'_>) -> Result<()> {
    let absent = project(bed, "absent", &compose("absent", "team/absent:1", "node.hostname == h3"))?;
    mesh.deploy(&absent, &[])?.refused(1, &["team/absent:1 cannot be pulled", "no other host has it"])?;
    let never = compose("never", "team/absent:2", "node.hostname == h3")
        .replace("    image:", "    pull_policy: never\n    image:");
    let refused = mesh.deploy(&project(bed, "never", &never)?, &[])?;
    refused.refused(1, &["its pull_policy is `never`", "no other host has it"])?;
    for app in ["absent", "never"] {
        mesh.omni().run(["rm", app, "--yes"])?.done()?;
    }
    Ok(())
}

#[test]
fn a_copy_that_broke_off_goes_on_and_one_that_rotted_is_refused() {
    test(|bed, mesh| {
        let h1 = bed.host("h1");
        commit(h1, IMAGE, "team/big:1", BIG)?;
        mesh.await_image("team/big:1", &["h1"])?;
        h1.throttle(SLOW_KILOBITS)?;
        let h3 = mesh.agent("h3");
        let big = project(bed, "big", &compose("big", "team/big:1", "node.hostname == h3"))?;
        let mut deploy = mesh.omni().spawn("deploy-big", big.deploy(&["--yes", "--wait=2m"]))?;
        let here = broken_off(h3)?;
        h1.full_speed()?;
        h3.start()?;
        ensure!(deploy.wait(SOON * 2)?.success(), "{}", deploy.log()?);
        one_layer(copies(h3)?.first(), BIG - here)?;
        ensure!(staged(h3)?.is_empty(), "what is unpacked is not kept: {:?}", staged(h3)?);

        h1.throttle(SLOW_KILOBITS)?;
        commit(h1, IMAGE, "team/big:2", BIG)?;
        mesh.await_image("team/big:2", &["h1"])?;
        let big = project(bed, "other", &compose("other", "team/big:2", "node.hostname == h3"))?;
        let mut deploy = mesh.omni().spawn("deploy-other", big.deploy(&["--yes", "--wait=2m"]))?;
        broken_off(h3)?;
        let part = staged(h3)?.pop().context("a part of a layer")?;
        rot(&part)?;
        h1.full_speed()?;
        h3.start()?;
        ensure!(deploy.wait(SOON * 2)?.success(), "{}", deploy.log()?);
        says(&h3.log()?, &["arrived with the digest"])?;
        one_layer(copies(h3)?.get(1), BIG)
    });
}

/// Kills an agent in the middle of a copy; returns how much of it has arrived.
fn broken_off(agent: &Agent<'_>) -> Result<u64> {
    let half_way = || {
        let size = fs::metadata(staged(agent).ok()?.pop()?).ok()?.len();
        (size > BIG / 4).then_some(())
    };
    eventually("a quarter has arrived", SOON, half_way)?;
    agent.kill()?;
    let here = fs::metadata(staged(agent)?.pop().context("a part of a layer")?)?.len();
    ensure!(here < BIG, "it was too fast to be broken off");
    Ok(here)
}

/// Flips a byte.
fn rot(file: &Path) -> Result<()> {
    let mut bytes = fs::read(file)?;
    bytes[1000] ^= 1;
    fs::write(file, bytes).context("writing it back")
}

/// Layers that wait in an agent's folder.
fn staged(agent: &Agent<'_>) -> Result<Vec<PathBuf>> {
    let folder = agent.dir().join("images");
    Ok(fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

/// A copy as the agent's log tells it.
#[derive(Debug, PartialEq, Eq)]
struct Copied {
    bytes: u64,
    layers: u64,
}

fn copies(agent: &Agent<'_>) -> Result<Vec<Copied>> {
    let log = agent.log()?;
    let lines = log.lines().filter(|line| line.contains("image copied from another host"));
    let number = |line: &str, name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.and_then(|text| text.parse().ok()).with_context(|| format!("no {name} in {line}"))
    };
    lines
        .map(|line| Ok(Copied { bytes: number(line, "bytes=")?, layers: number(line, "layers=")? }))
        .collect()
}

/// Bytes that a host has received since it was switched on.
fn received(host: &Host) -> Result<u64> {
    let text = host.run("cat", ["/proc/net/dev"])?;
    let line = text.lines().find(|line| line.trim_start().starts_with("eth0:")).context("eth0 is there")?;
    let (_, counters) = line.split_once(':').context("counters follow")?;
    counters.split_whitespace().next().context("bytes come first")?.parse().context("a number")
}

/// Makes an image on a host: another one, and so many random bytes in a file, in a layer of their own.
fn commit(host: &Host, from: &str, name: &str, bytes: u64) -> Result<()> {
    let file = host.dir().join("content");
    let script = format!("head -c {bytes} /dev/urandom >{}", file.display());
    host.run("sh", ["-c", &script])?;
    let container = host.docker(["create", from])?;
    let to = format!("{container}:/{}", name.replace(['/', ':'], "-"));
    host.docker(["cp", &file.display().to_string(), &to])?;
    host.docker(["commit", &container, name])?;
    host.docker(["rm", &container])?;
    fs::remove_file(file).context("removing it")
}

/// Checks that one layer of this content, and perhaps of its tar framing, was copied.
fn one_layer(copied: Option<&Copied>, content: u64) -> Result<()> {
    let fits = |copied: &&Copied| copied.layers == 1 && (content..content + FRAMING).contains(&copied.bytes);
    copied.filter(fits).with_context(|| format!("{copied:?} is no layer of {content} bytes")).map(drop)
}

fn compose(name: &str, image: &str, constraint: &str) -> String {
    format!(
        "name: {name}\nservices:\n  it:\n    image: {image}\n    command: idle\n    deploy:\n      placement: {{constraints: [{constraint}]}}\n      update_config: {{monitor: 500ms}}\n"
    )
}

/// Deploys an app of one service to one host.
fn runs_on(bed: &Testbed, mesh: &Mesh<'_>, name: &str, image: &str, host: &str) -> Result<()> {
    let text = compose(name, image, &format!("node.hostname == {host}"));
    mesh.deploy(&project(bed, name, &text)?, &[])?.done()?;
    let app = mesh.await_app(name, "it runs", SOON, |app| settled(app, 1))?;
    ensure!(hosts_of(&app) == [host].into(), "{:?}", hosts_of(&app));
    Ok(())
}
