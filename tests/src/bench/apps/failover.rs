//! From the loss of a host to a healthy instance elsewhere.

use super::{Row, Since, compose, go_on, up};
use crate::bench::args::Settings;
use crate::bench::machine::Machine;
use crate::bench::report::{Goal, Report, note, number, table};
use crate::bench::stats::Percentiles;
use crate::mesh::{Mesh, Place, Project, SOON, hosts_of, settled};
use crate::testbed::{Engine, Testbed, eventually};
use anyhow::{Context, Result};
use omni_common::api::v1::HostStatus;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];
const APP: &str = "web";

/// What one loss came to, seconds after it.
#[derive(Debug, Serialize)]
struct Loss {
    /// The lost host had the leading controller as well.
    leader: bool,
    /// The host is declared down.
    down: f64,
    /// A replacement is placed.
    placed: f64,
    /// It is healthy, as the cluster knows.
    healthy: f64,
    /// It answers on its port.
    answers: f64,
}

pub(super) fn run(settings: &Settings, machine: &Machine, over: &CancellationToken) -> Result<Report> {
    let kills = settings.kills.unwrap_or(settings.pick(20, 3));
    note("starting three hosts with a controller, an agent and a Docker engine each");
    let mut bed = Testbed::new(HOSTS.len())?;
    bed.add_hosts(&["desk"], Engine::None)?;
    let bed = &bed;
    let on = |name: &str| Place::On(bed.host(name));
    let mut mesh = Mesh::form(&HOSTS.map(on), on("desk"))?;
    for name in HOSTS {
        mesh.add_agent_with_docker(on(name), name)?;
    }
    up(&mesh, &Project::new(bed.host("desk").dir().join(APP), &compose("8080:80"))?)?;
    let mut losses = Vec::new();
    for kill in 1..=kills {
        go_on(over)?;
        let loss = lose(bed, &mesh).with_context(|| format!("loss {kill}"))?;
        let leader = if loss.leader { ", which led" } else { "" };
        note(format!(
            "{kill} of {kills}{leader}: down after {:.1} s, placed {:.1}, healthy {:.1}, answers {:.1}",
            loss.down, loss.placed, loss.healthy, loss.answers
        ));
        losses.push(loss);
    }
    report(settings, machine, kills, &losses)
}

/// Cuts the power of the host with the instance, and brings it back when the instance is healthy elsewhere.
fn lose(bed: &Testbed, mesh: &Mesh<'_>) -> Result<Loss> {
    let app = mesh.await_app(APP, "calm", SOON, |app| settled(app, 1))?;
    let home = hosts_of(&app).into_iter().next().context("it runs")?.to_owned();
    let controller = home.replace('h', "c");
    let leader = mesh.leader()?.name() == controller;
    let since = Since::now(mesh)?;
    bed.host(&home).power_off()?;
    let others: Vec<&str> = HOSTS.into_iter().filter(|name| *name != home).collect();
    eventually("it answers elsewhere", SOON, || {
        let answers = |name: &&&str| {
            let url = format!("http://{}:8080/", bed.host(name).address());
            bed.host("desk").run("curl", ["-sf", "--max-time", "1", &url]).is_ok()
        };
        others.iter().find(answers).map(drop)
    })?;
    let answers = since.elapsed();
    mesh.await_app(APP, "healthy elsewhere", SOON, |app| app.healthy == 1)?;
    let loss = Loss {
        leader,
        down: since.event(mesh, "host.down")?,
        placed: since.event(mesh, "allocation.placed")?,
        healthy: since.event(mesh, "allocation.healthy")?,
        answers,
    };
    bed.host(&home).power_on()?;
    mesh.controller(&controller).start()?;
    mesh.agent(&home).start()?;
    mesh.await_host(&home, HostStatus::Up, SOON)?;
    mesh.await_voters(HOSTS.len())?;
    Ok(loss)
}

fn report(settings: &Settings, machine: &Machine, kills: u32, losses: &[Loss]) -> Result<Report> {
    let mut report = Report::new("app-failover", settings.quick, machine);
    let led = losses.iter().filter(|loss| loss.leader).count();
    report.setup = vec![format!(
        "three hosts with everything on each; {kills} times the host with the instance lost power, its controller with it, which \
         {led} times was the leading one; two services, the second after the first is healthy; images present"
    )];
    let mut rows = table(&["seconds after the loss", "min", "median", "p95", "worst"]);
    let stages: [Row<Loss>; 4] = [
        ("host declared down", |loss| loss.down),
        ("replacement placed", |loss| loss.placed),
        ("replacement healthy", |loss| loss.healthy),
        ("replacement answers", |loss| loss.answers),
    ];
    for (name, of) in stages {
        let all = Percentiles::of(losses.iter().map(of).collect());
        let min = losses.iter().map(of).fold(f64::INFINITY, f64::min);
        rows.add_row([name.to_owned(), number(min), number(all.p50), number(all.p95), number(all.max)]);
    }
    report.tables = vec![("from a host's loss to its instance elsewhere".into(), rows)];
    let healthy = Percentiles::of(losses.iter().map(|loss| loss.healthy.max(loss.answers)).collect());
    report.goals = vec![
        Goal::at_most("stateless app healthy elsewhere, median", 15.0, healthy.p50, "s"),
        Goal::at_most("stateless app healthy elsewhere, worst", 15.0, healthy.max, "s"),
    ];
    report.results = serde_json::to_value(losses).context("encoding the results")?;
    Ok(report)
}
