//! From the command to a healthy app, beside docker-compose with the same file, image and engine.

use super::{Row, go_on, up};
use crate::bench::args::Settings;
use crate::bench::machine::Machine;
use crate::bench::report::{Report, note, number, table};
use crate::bench::stats::{Percentiles, Ratio};
use crate::mesh::{Mesh, Place, Project, SOON};
use crate::testbed::{Engine, Host, IMAGE, Testbed, eventually};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::process::Command;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Services of the files that are deployed.
const SIZES: [usize; 2] = [1, 5];

/// What one round took, milliseconds.
#[derive(Debug, Serialize)]
struct Round {
    /// Services in the file.
    services: usize,
    /// `omni deploy --yes --wait`, from its start to its end.
    omni: f64,
    /// `docker-compose up -d`, and until the engine calls every service healthy.
    compose: f64,
    /// `docker-compose up -d` alone.
    compose_command: f64,
}

/// The same file for both sides, but for the port that one service publishes.
struct Pair {
    services: usize,
    ours: Project,
    theirs: Project,
}

pub(super) fn run(settings: &Settings, machine: &Machine, over: &CancellationToken) -> Result<Report> {
    let rounds = settings.rounds.unwrap_or(settings.pick(12, 1));
    note("starting a Docker engine, three controllers and an agent");
    let mut bed = Testbed::empty()?;
    bed.add_hosts(&["h1"], Engine::Docker)?;
    bed.add_hosts(&["c1", "c2", "c3", "desk"], Engine::None)?;
    let bed = &bed;
    let on = |name: &str| Place::On(bed.host(name));
    let mut mesh = Mesh::form(&["c1", "c2", "c3"].map(on), on("desk"))?;
    mesh.add_agent_with_docker(on("h1"), "h1")?;
    let host = bed.host("h1");
    let pair = |services: usize| -> Result<Pair> {
        let folder = host.dir().join(format!("of-{services}"));
        let ours = Project::new(folder.join("ours"), &compose(services, "8080:80"))?;
        let theirs = Project::new(folder.join("theirs"), &compose(services, "8081:80"))?;
        Ok(Pair { services, ours, theirs })
    };
    let pairs = SIZES.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
    let mut seen = Vec::new();
    for round in 0..=rounds {
        for pair in &pairs {
            go_on(over)?;
            let seen_now = measure(&mesh, host, pair, round % 2 == 0)?;
            note(format!(
                "round {round} of {rounds}, services {}: omni {:.0} ms, docker-compose {:.0} ms",
                pair.services, seen_now.omni, seen_now.compose
            ));
            // The first of each loads programs from disk.
            if round > 0 {
                seen.push(seen_now);
            }
        }
    }
    report(settings, machine, host, rounds, &seen)
}

fn measure(mesh: &Mesh<'_>, host: &Host, pair: &Pair, omni_first: bool) -> Result<Round> {
    let early = if omni_first { Some(omni(mesh, &pair.ours)?) } else { None };
    let (compose_command, compose) = docker_compose(host, pair)?;
    let omni = match early {
        Some(took) => took,
        None => omni(mesh, &pair.ours)?,
    };
    Ok(Round { services: pair.services, omni, compose, compose_command })
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn omni(mesh: &Mesh<'_>, project: &Project) -> Result<f64> {
    let begun = Instant::now();
    up(mesh, project)?;
    let took = millis(begun);
    mesh.omni().run(["rm", "ours", "--yes", "--wait=1m"])?.done()?;
    Ok(took)
}

fn docker_compose(host: &Host, pair: &Pair) -> Result<(f64, f64)> {
    let begun = Instant::now();
    call(host, &pair.theirs, &["up", "-d"])?;
    let command = millis(begun);
    let healthy =
        ["ps", "-q", "--filter", "label=com.docker.compose.project=theirs", "--filter", "health=healthy"];
    eventually("docker-compose's services are healthy", SOON, || {
        host.docker(healthy).ok().filter(|ids| ids.lines().count() == pair.services).map(drop)
    })?;
    let took = millis(begun);
    call(host, &pair.theirs, &["down"])?;
    Ok((command, took))
}

fn call(host: &Host, project: &Project, words: &[&str]) -> Result<()> {
    let mut command: Command = host.command("docker-compose")?;
    command.env("DOCKER_HOST", "unix:///run/docker.sock").arg("--project-directory").arg(project.folder());
    command.arg("--file").arg(project.folder().join("compose.yaml")).args(words);
    let output = command.output().context("running docker-compose")?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A web server, and below it what it waits for: with five services three of them one after the other, as in a shop. Compose
/// 1.29 passes over `deploy`.
fn compose(services: usize, ports: &str) -> String {
    const BELOW: [(&str, &[&str]); 4] =
        [("db", &[]), ("cache", &[]), ("worker", &["db"]), ("api", &["db", "cache"])];
    let below = &BELOW[BELOW.len() - (services - 1)..];
    let after = |names: &[&str]| -> String {
        if names.is_empty() {
            return String::new();
        }
        let waits = names.iter().map(|name| format!("{name}: {{condition: service_healthy}}"));
        format!("    depends_on: {{{}}}\n", waits.collect::<Vec<_>>().join(", "))
    };
    let mut text = "version: \"3.9\"\nservices:\n".to_owned();
    for (name, waits) in below {
        text += &format!(
            "  {name}:\n    image: {IMAGE}\n    healthcheck: {{test: [CMD, \"true\"], interval: 500ms}}\n{}",
            after(waits)
        );
    }
    let api: &[&str] = if below.is_empty() { &[] } else { &["api"] };
    text += &format!(
        "  web:\n    image: {IMAGE}\n    command: http 80\n    ports: [\"{ports}\"]\n    \
         healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, \"http://127.0.0.1/\"], interval: 500ms}}\n    \
         deploy: {{update_config: {{monitor: 0s}}}}\n{}",
        after(api)
    );
    text
}

fn report(
    settings: &Settings,
    machine: &Machine,
    host: &Host,
    rounds: u32,
    seen: &[Round],
) -> Result<Report> {
    let mut report = Report::new("deploy", settings.quick, machine);
    let engine = host.docker(["version", "--format", "{{.Server.Version}}"])?;
    let mut version = Command::new("docker-compose");
    let version = version.args(["version", "--short"]).output().context("running docker-compose")?;
    report.setup = vec![
        format!(
            "a fresh app of one service, and one of five, three of them one after the other; all are checked each 500 ms; \
             {rounds} rounds, alternating; Docker {engine}, docker-compose {}",
            String::from_utf8_lossy(&version.stdout).trim(),
        ),
        "omni: `omni deploy --yes --wait` at a desk, three controllers, one agent; docker-compose: `up -d` on the host, until \
         the engine calls every service healthy"
            .into(),
    ];
    for services in SIZES {
        let rounds: Vec<&Round> = seen.iter().filter(|round| round.services == services).collect();
        let mut rows = table(&["milliseconds", "p50", "p90", "max", "over docker-compose"]);
        let sides: [Row<Round>; 3] = [
            ("omni deploy --wait", |round| round.omni),
            ("docker-compose up -d, healthy", |round| round.compose),
            ("docker-compose up -d alone", |round| round.compose_command),
        ];
        for (name, of) in sides {
            let all = Percentiles::of(rounds.iter().map(|round| of(round)).collect());
            let ratio = Ratio::of(rounds.iter().map(|round| (of(round), round.compose)));
            let ratio = format!("{} ({} to {})", number(ratio.median), number(ratio.min), number(ratio.max));
            rows.add_row([name.to_owned(), number(all.p50), number(all.p90), number(all.max), ratio]);
        }
        let title = if services == 1 { "1 service".to_owned() } else { format!("{services} services") };
        report.tables.push((format!("from the command to a healthy app, {title}"), rows));
    }
    report.results = serde_json::to_value(seen).context("encoding the results")?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_as_many_services_as_they_should() {
        for services in SIZES {
            let text = compose(services, "1:80");
            assert_eq!(text.matches("image:").count(), services, "{text}");
        }
        assert!(!compose(1, "1:80").contains("depends_on"), "there is nothing to wait for");
    }
}
