//! Apps on several real hosts: three with a Docker engine, an agent and a controller each, and the operator's desk.

mod faults;
mod shop;
mod site;

use anyhow::{Context, Result, ensure};
use omni_common::api::v1::Event;
use omni_tests::mesh::{Mesh, Place, Project};
use omni_tests::testbed::{Engine, Host, Testbed};
use std::time::Duration;

/// Where apps can run.
pub(super) const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

/// Hosts with engines, and a desk that no test touches.
pub(super) fn test(body: impl FnOnce(&Testbed, &Mesh<'_>) -> Result<()>) {
    super::testbed::test(HOSTS.len(), |bed| {
        bed.add_hosts(&["desk"], Engine::None)?;
        let bed = &*bed;
        let on = |name: &str| Place::On(bed.host(name));
        let mut mesh = Mesh::form(&HOSTS.map(on), on("desk"))?;
        for name in HOSTS {
            mesh.add_agent_with_docker(on(name), name)?;
        }
        body(bed, &mesh)?;
        mesh.all_run()
    });
}

/// A project on the desk.
pub(super) fn project(bed: &Testbed, name: &str, compose: &str) -> Result<Project> {
    Project::new(bed.host("desk").dir().join(name), compose)
}

/// A web server without data. Its command can be replaced by one that fails.
pub(super) fn site(name: &str, replicas: u32, more: &str) -> String {
    format!(
        r#"
name: {name}
services:
  web:
    image: omni-test/busybox:1
    command: ${{COMMAND:-http 80}}
    environment: {{WORD: "${{WORD:-one}}"}}
    restart: always
    healthcheck:
      test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"]
      interval: 500ms
      retries: 3
    deploy:
      replicas: {replicas}
      update_config: {{parallelism: 1, monitor: 500ms, order: start-first, failure_action: rollback}}
{more}"#
    )
}

/// What the operator gets from a port of a host.
pub(super) fn page(bed: &Testbed, host: &str, at: &str) -> Result<String> {
    let url = format!("http://{}:{at}", bed.host(host).address());
    bed.host("desk").run("curl", ["-sf", "--max-time", "2", &url])
}

/// Names of a host's containers that carry a label.
pub(super) fn containers(host: &Host, label: &str) -> Result<Vec<String>> {
    let filter = format!("label={label}");
    let names = host.docker(["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Checks that these kinds of events happened, in this order; others may lie between.
pub(super) fn happened(events: &[Event], kinds: &[&str]) -> Result<()> {
    let mut rest = events.iter();
    for kind in kinds {
        let told = || events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>();
        rest.find(|event| event.kind == *kind)
            .with_context(|| format!("no {kind} in its place among {:?}; wanted {kinds:?}", told()))?;
    }
    Ok(())
}

/// Prints how long something took, for whoever reads the output of a run.
pub(super) fn took(what: &str, time: Duration) {
    eprintln!("{what}: {time:.1?}");
}

/// Checks that a text has all of these words.
pub(super) fn says(text: &str, words: &[&str]) -> Result<()> {
    words.iter().try_for_each(|word| {
        ensure!(text.contains(word), "it does not say {word:?}:\n{text}");
        Ok(())
    })
}
