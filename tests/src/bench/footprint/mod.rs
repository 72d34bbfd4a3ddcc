//! (c) What an agent costs its host, beside node_exporter in the same minutes, and whether Docker is busier for it.
//!
//! ```text
//!  host of the testbed: dockerd ─ 30 containers          this machine: three controllers
//!     omni-agent ────────────────────── loopback ──────▶
//!     node_exporter ◀── scraped each 10 s ── omni-bench
//!
//!  a round:  [ without agent ]  agent starts, settles  [ with agent ]  agent stops
//! ```
//!
//! The host is one of the testbed, so its engine, its containers and the programs under measurement go with it,
//! and an engine that this machine already has is left alone.

mod outcome;
mod place;
mod scrape;

use super::args::Settings;
use super::machine::Machine;
use super::report::{Report, note};
use crate::testbed;
use anyhow::{Context, Result};
use outcome::Outcome;
use place::Place;
use std::path::Path;
use std::time::Duration;

/// Containers on the host.
const CONTAINERS: u32 = 30;

/// How long things take.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// An agent that was just started lists and settles.
    settle: Duration,
    /// A window: several samples and scrapes.
    window: Duration,
}

/// Why this part cannot be measured here, when it cannot.
pub(super) fn refusal() -> Option<String> {
    let missing = |program: &&str| {
        !super::usage::path().split(':').any(|folder| Path::new(folder).join(program).exists())
    };
    let needed = ["dockerd", "docker", "ip", "nsenter", "busybox", "prometheus-node-exporter"];
    match needed.iter().find(|program| missing(program)) {
        Some(program) => Some(format!("there is no {program} on this machine")),
        None => testbed::skip_reason(),
    }
}

/// Measures and reports.
///
/// # Errors
/// When the host, its engine or the controllers do not come up, or the agent does not show what is there.
pub(super) async fn run(
    settings: &Settings,
    programs: &Path,
    data: &Path,
    machine: &Machine,
) -> Result<Report> {
    let times = Times {
        settle: settings.pick(Duration::from_secs(25), Duration::from_secs(12)),
        window: settings.pick(Duration::from_secs(60), Duration::from_secs(20)),
    };
    let rounds = settings.pick(3, 1);
    let mut place = Place::make(programs, data).await?;
    let versions = place.versions().await?;
    let mut outcome = Outcome::default();
    for round in 1..=rounds {
        note(format!("round {round} of {rounds}"));
        outcome.rounds.push(place.round(times).await.with_context(|| format!("round {round}"))?);
    }
    note("watched: a sample each second");
    outcome.watched = place.watched(times).await?;
    let mut report = Report::new("agent", settings.quick, machine);
    report.setup = vec![
        versions,
        format!(
            "{CONTAINERS} containers, a sixth of which log a line a second; samples and scrapes each 10 s; {rounds} rounds of {:?} \
             without and {:?} with the agent, which is started anew for each and settles for {:?}; means over the rounds",
            times.window, times.window, times.settle
        ),
        "node_exporter with its defaults, scraped as Prometheus does; it tells nothing about containers, for which people \
         add cAdvisor: Debian 12 does not package that, so it is not measured"
            .into(),
    ];
    report.tables = outcome.tables();
    report.goals = outcome.goals();
    report.results = serde_json::to_value(&outcome).context("encoding the results")?;
    Ok(report)
}
