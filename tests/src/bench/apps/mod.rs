//! (e) Apps on hosts of the testbed, with omni's real programs: what a deploy costs, and how soon a dead host is made up for.
//!
//! ```text
//!  deploy        desk ─ omni ─▶ c1, c2, c3 ─▶ h1: agent, dockerd  |  h1: docker-compose, the same dockerd   alternating
//!  app-failover  h1, h2, h3: controller, agent, dockerd each; the one with the instance loses power
//! ```
//!
//! The programs are those beside this one, as the testbed starts them.

mod deploy;
mod failover;

use super::args::Settings;
use super::machine::Machine;
use super::report::Report;
use crate::mesh::{Mesh, Project};
use crate::testbed;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Deploy,
    Failover,
}

/// Why these parts cannot be measured here, when they cannot.
pub(super) fn refusal() -> Option<String> {
    let missing = |program: &&str| {
        !super::usage::path().split(':').any(|folder| Path::new(folder).join(program).exists())
    };
    let needed = ["dockerd", "docker", "docker-compose", "ip", "nsenter", "busybox", "curl"];
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
