//! From the command to a healthy app, beside docker-compose with the same file, image and engine.

use super::{compose, go_on, up};
use crate::bench::args::Settings;
use crate::bench::machine::Machine;
use crate::bench::report::{Report, note, number, table};
use crate::bench::stats::{Percentiles, Ratio};
use crate::mesh::{Mesh, Place, Project, SOON};
use crate::testbed::{Engine, Host, Testbed, eventually};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::process::Command;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What one round took, milliseconds.
#[derive(Debug, Serialize)]
struct Round {
    /// `omni deploy --yes --wait`, from its start to its end.
    omni: f64,
    /// `docker-compose up -d`, and until the engine calls the web server healthy.
    compose: f64,
    /// `docker-compose up -d` alone.
    compose_command: f64,
}

pub(super) fn run(settings: &Settings, machine: &Machine, over: &CancellationToken) -> Result<Report> {
    let rounds = settings.rounds.unwrap_or(settings.pick(15, 3));
    note("starting a Docker engine, three controllers and an agent");
    let mut bed = Testbed::empty()?;
    bed.add_hosts(&["h1"], Engine::Docker)?;
    bed.add_hosts(&["c1", "c2", "c3", "desk"], Engine::None)?;
    let bed = &bed;
    let on = |name: &str| Place::On(bed.host(name));
    let mut mesh = Mesh::form(&["c1", "c2", "c3"].map(on), on("desk"))?;
    mesh.add_agent_with_docker(on("h1"), "h1")?;
    let host = bed.host("h1");
    let ours = Project::new(host.dir().join("ours"), &compose("8080:80"))?;
    let theirs = Project::new(host.dir().join("theirs"), &compose("8081:80"))?;
    let mut seen = Vec::new();
    for round in 0..=rounds {
        go_on(over)?;
        let omni = omni(&mesh, &ours)?;
        let (compose_command, compose) = docker_compose(host, &theirs)?;
        note(format!("round {round} of {rounds}: omni {omni:.0} ms, docker-compose {compose:.0} ms"));
        // The first of each loads programs from disk.
        if round > 0 {
            seen.push(Round { omni, compose, compose_command });
        }
    }
    report(settings, machine, host, &seen)
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

fn docker_compose(host: &Host, project: &Project) -> Result<(f64, f64)> {
    let begun = Instant::now();
    call(host, project, &["up", "-d"])?;
    let command = millis(begun);
    let health = ["inspect", "--format", "{{.State.Health.Status}}", "theirs_web_1"];
    eventually("docker-compose's web server is healthy", SOON, || {
        host.docker(health).ok().filter(|health| health == "healthy").map(drop)
    })?;
    let took = millis(begun);
    call(host, project, &["down"])?;
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

fn report(settings: &Settings, machine: &Machine, host: &Host, rounds: &[Round]) -> Result<Report> {
    let mut report = Report::new("deploy", settings.quick, machine);
    let engine = host.docker(["version", "--format", "{{.Server.Version}}"])?;
    let mut version = Command::new("docker-compose");
    let version = version.args(["version", "--short"]).output().context("running docker-compose")?;
    report.setup = vec![
        format!(
            "a fresh app of two services, the second after the first is healthy (checks each 500 ms); {} rounds, alternating; \
             Docker {engine}, docker-compose {}",
            rounds.len(),
            String::from_utf8_lossy(&version.stdout).trim(),
        ),
        "omni: `omni deploy --yes --wait` at a desk, three controllers, one agent; docker-compose: `up -d` on the host, until \
         the engine calls the second service healthy"
            .into(),
    ];
    let mut rows = table(&["milliseconds", "p50", "p90", "max", "over docker-compose"]);
    let sides: [(&str, fn(&Round) -> f64); 3] = [
        ("omni deploy --wait", |round| round.omni),
        ("docker-compose up -d, healthy", |round| round.compose),
        ("docker-compose up -d alone", |round| round.compose_command),
    ];
    for (name, of) in sides {
        let all = Percentiles::of(rounds.iter().map(of).collect());
        let ratio = Ratio::of(rounds.iter().map(|round| (of(round), round.compose)));
        let ratio = format!("{} ({} to {})", number(ratio.median), number(ratio.min), number(ratio.max));
        rows.add_row([name.to_owned(), number(all.p50), number(all.p90), number(all.max), ratio]);
    }
    report.tables = vec![("from the command to a healthy app".into(), rows)];
    report.results = serde_json::to_value(rounds).context("encoding the results")?;
    Ok(report)
}
