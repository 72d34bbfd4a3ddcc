//! (e) Apps on hosts of the testbed, with omni's real programs: what a deploy costs, and how soon a dead host is made up for.
//!
//! ```text
//!  deploy        desk ─ omni ─▶ c1, c2, c3 ─▶ h1: agent, dockerd  |  h1: docker-compose, the same dockerd   alternating
//!  app-failover  h1, h2, h3: controller, agent, dockerd each; the one with the instance loses power
//!  data-failover the same, and the instance has data, which comes back from a repository
//!  backup        desk ─ omni ─▶ c1, c2, c3 ─▶ h1: agent, restic   |  h1: restic                             alternating
//! ```
//!
//! The programs are those beside this one, as the testbed starts them.

mod backup;
mod data;
mod deploy;
mod failover;
mod peak;
mod tree;

use super::args::Settings;
use super::machine::Machine;
use super::report::Report;
use crate::mesh::{Mesh, Project};
use crate::testbed;
use anyhow::{Context, Result, ensure};
use omni_common::clock::{Clock, SystemClock, Time};
use std::path::Path;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Deploy,
    Failover,
    DataFailover,
    Backup,
}

/// Why these parts cannot be measured here, when they cannot.
pub(super) fn refusal() -> Option<String> {
    let missing = |program: &&str| {
        !super::usage::path().split(':').any(|folder| Path::new(folder).join(program).exists())
    };
    let needed = ["dockerd", "docker", "docker-compose", "ip", "nsenter", "busybox", "curl", "restic"];
    match needed.iter().find(|program| missing(program)) {
        Some(program) => Some(format!("there is no {program} on this machine")),
        None => testbed::skip_reason(),
    }
}

/// Measures and reports. Everything here blocks, so it has a thread of its own.
///
/// # Errors
/// When hosts or programs do not come up, or an app does not become healthy.
pub(super) async fn run(part: Part, settings: &Settings, machine: &Machine) -> Result<Report> {
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let (settings, machine) = (settings.clone(), machine.clone());
    let work = move || match part {
        Part::Deploy => deploy::run(&settings, &machine, &over),
        Part::Failover => failover::run(&settings, &machine, &over),
        Part::DataFailover => data::run(&settings, &machine, &over),
        Part::Backup => backup::run(&settings, &machine, &over),
    };
    tokio::task::spawn_blocking(work).await.context("the benchmark panicked")?
}

/// Fails when nobody waits for the result any more.
fn go_on(over: &CancellationToken) -> Result<()> {
    ensure!(!over.is_cancelled(), "told to stop");
    Ok(())
}

/// Deploys, and waits for health.
fn up(mesh: &Mesh<'_>, project: &Project) -> Result<()> {
    mesh.deploy(project, &[])?.done().map(drop)
}

/// A row of a table: its name, and the number of each round that it is about.
type Row<T> = (&'static str, fn(&T) -> f64);

/// A moment from which things are timed: by this machine's clock, which all its hosts share, and by what happened after it.
struct Since {
    at: Time,
    begun: Instant,
    last: u64,
}

impl Since {
    fn now(mesh: &Mesh<'_>) -> Result<Self> {
        let last = mesh.events()?.last().map_or(0, |event| event.seq);
        Ok(Self { at: SystemClock.now(), begun: Instant::now(), last })
    }

    /// Seconds until now.
    fn elapsed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Seconds until then.
    fn until(&self, then: Time) -> f64 {
        then.since(self.at).as_secs_f64()
    }

    /// Seconds until the first event of this kind.
    fn event(&self, mesh: &Mesh<'_>, kind: &str) -> Result<f64> {
        let events = mesh.events()?;
        let found = events.iter().find(|event| event.seq > self.last && event.kind == kind);
        Ok(self.until(found.with_context(|| format!("no {kind}"))?.at))
    }
}

/// A file of two services, one of which waits for the other. Compose 1.29 passes over `deploy`.
fn compose(ports: &str) -> String {
    format!(
        r#"version: "3.9"
services:
  cache:
    image: {image}
    healthcheck: {{test: ["CMD", "true"], interval: 500ms}}
  web:
    image: {image}
    command: http 80
    ports: ["{ports}"]
    depends_on:
      cache: {{condition: service_healthy}}
    healthcheck: {{test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"], interval: 500ms}}
    deploy: {{update_config: {{monitor: 0s}}}}
"#,
        image = testbed::IMAGE,
    )
}
