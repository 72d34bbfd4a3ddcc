//! The host, its engine and containers, the controllers, and the programs under measurement.

use super::outcome::{Round, Seen, Watched};
use super::scrape::Scraper;
use super::{CONTAINERS, Times};
use crate::bench::omni::OmniCluster;
use crate::bench::process::{free_port, output};
use crate::bench::report::note;
use crate::bench::usage::{self, Cost, Usage};
use crate::testbed::{Engine, Host, IMAGE, Process, Testbed};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::ContainersQuery;
use omni_sdk::{Client, Options};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

/// Name of the host.
const HOST: &str = "h1";
/// One container in so many logs a line a second, the others do nothing.
const LOGS_EACH: u32 = 6;
/// Joining takes a round trip and two commits.
const JOINS_WITHIN: Duration = Duration::from_secs(20);
/// The agent shows all containers with a sample within this; the first sample has no rates.
const SHOWS_WITHIN: Duration = Duration::from_secs(30);
/// A program that was told to stop gets this long.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Everything that is there during the measurement. Fields go in this order.
pub(super) struct Place {
    scraper: Scraper,
    exporter: u32,
    client: Client,
    _controllers: OmniCluster,
    agent: PathBuf,
    bed: Testbed,
}

impl Place {
    /// Makes it.
    ///
    /// # Errors
    /// When something of it does not come up.
    pub(super) async fn make(programs: &Path, data: &Path) -> Result<Self> {
        note(format!("starting a Docker engine with {CONTAINERS} containers"));
        let bed = bed().await?;
        let host = bed.host(HOST);
        let address = free_port()?;
        let exporter = start(host, "exporter", Path::new("prometheus-node-exporter"), |command| {
            command.arg(format!("--web.listen-address={address}"))
        })?;
        let exporter = exporter.pid().context("node_exporter ended at once")?;
        let scraper = Scraper::start(address).await?;

        note("starting three controllers");
        let controllers = OmniCluster::start(programs, data).await?;
        let client = controllers.client(&[0, 1, 2], Options::default())?;
        let agent = programs.join("omni-agent");
        let args = [
            ("--data-dir", host.dir().join("agent").display().to_string()),
            ("--docker-host", format!("unix://{}", host.docker_socket().display())),
            ("--controller", controllers.quic(0).to_string()),
            ("--token", controllers.agent_token().to_owned()),
            ("--name", HOST.to_owned()),
        ];
        let args = args.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        output(&agent, std::iter::once("join".to_owned()).chain(args), JOINS_WITHIN).await?;
        Ok(Self { scraper, exporter, client, _controllers: controllers, agent, bed })
    }

    fn host(&self) -> &Host {
        self.bed.host(HOST)
    }

    /// Who is measured.
    ///
    /// # Errors
    /// When a program does not say.
    pub(super) async fn versions(&self) -> Result<String> {
        let docker = self.host().docker(["version", "--format", "{{.Server.Version}}"])?;
        let exporter = output(Path::new("prometheus-node-exporter"), ["--version"], JOINS_WITHIN).await?;
        let exporter = exporter.split_whitespace().nth(2).unwrap_or("of unknown version").to_owned();
        Ok(format!("omni-agent {}, node_exporter {exporter}, Docker {docker}", env!("CARGO_PKG_VERSION")))
    }

    /// One window without and one with the agent.
    ///
    /// # Errors
    /// When a program ends, or the agent does not show what is there.
    pub(super) async fn round(&mut self, times: Times) -> Result<Round> {
        let without = self.window(None, times.window).await?;
        let mut agent = self.start_agent()?;
        let pid = agent.pid().context("the agent ended at once")?;
        self.settle(&agent, times.settle).await?;
        let start = Usage::of(pid).with_context(|| ended(&agent))?.cpu;
        let with = self.window(Some(pid), times.window).await.with_context(|| ended(&agent))?;
        self.shows_all().await?;
        stop(&mut agent)?;
        Ok(Round { without, with, start_cpu_ms: start.as_secs_f64() * 1_000.0 })
    }

    /// The agent while somebody looks at its host: a sample each second.
    ///
    /// # Errors
    /// As [`Place::round`].
    pub(super) async fn watched(&mut self, times: Times) -> Result<Watched> {
        let mut agent = self.start_agent()?;
        let pid = agent.pid().context("the agent ended at once")?;
        self.settle(&agent, times.settle).await?;
        let mut live = self.client.live_metrics(&[HOST.to_owned()]);
        live.next().await?;
        let mut samples = 0;
        let looking = async {
            loop {
                match live.next().await {
                    Ok(new) => samples += new.len(),
                    Err(error) => break error,
                }
            }
        };
        let pids = [pid];
        let cost = tokio::select! {
            cost = Cost::over(&pids, times.window) => cost.with_context(|| ended(&agent))?[0],
            error = looking => return Err(error.into()),
        };
        stop(&mut agent)?;
        Ok(Watched { agent: cost, samples_per_second: samples as f64 / times.window.as_secs_f64() })
    }

    fn start_agent(&self) -> Result<Process> {
        let folder = self.host().dir().join("agent");
        start(self.host(), "agent", &self.agent, |command| command.arg("run").arg("--data-dir").arg(folder))
    }

    /// Waits until the agent shows everything, and then until `time` has passed since its start.
    async fn settle(&self, agent: &Process, time: Duration) -> Result<()> {
        let since = Instant::now();
        while let Err(error) = self.shows_all().await {
            ensure!(since.elapsed() < SHOWS_WITHIN, "{error:#}\n{}", ended(agent));
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(time.saturating_sub(since.elapsed())).await;
        Ok(())
    }

    /// Fails unless all containers are shown, each with a sample of its own.
    async fn shows_all(&self) -> Result<()> {
        let containers = self.client.containers(ContainersQuery::default()).await?;
        let sampled = containers.iter().filter(|one| {
            one.sample
                .as_ref()
                .is_some_and(|sample| sample.memory_used.is_some() && sample.cpu_percent.is_some())
        });
        let (listed, sampled) = (containers.len(), sampled.count());
        ensure!(
            listed == CONTAINERS as usize && sampled == listed,
            "{listed} containers are shown, {sampled} with a sample, of {CONTAINERS}"
        );
        Ok(())
    }

    /// What everything costs over a window.
    async fn window(&self, agent: Option<u32>, time: Duration) -> Result<Seen> {
        let dockerd = self.host().engine_pid()?;
        let containerd = child(dockerd, "containerd").context("dockerd has no containerd")?;
        let pids: Vec<u32> = [self.exporter, dockerd, containerd].into_iter().chain(agent).collect();
        let scrapes = self.scraper.done();
        let costs = Cost::over(&pids, time).await?;
        Ok(Seen {
            exporter: costs[0],
            dockerd: costs[1],
            containerd: costs[2],
            agent: costs.get(3).copied(),
            scrapes: self.scraper.done() - scrapes,
        })
    }
}

/// A host whose containers run.
async fn bed() -> Result<Testbed> {
    let mut bed = Testbed::empty()?;
    bed.add_hosts(&[HOST], Engine::Docker)?;
    for number in 1..=CONTAINERS {
        let program: &[&str] = if number % LOGS_EACH == 0 { &["logger", "1"] } else { &["idle"] };
        let (name, component) =
            (format!("service-{number}"), format!("omni.quantum.component=service-{number}"));
        let run = ["run", "-d", "--name", &name, "--label", &component, IMAGE];
        bed.host(HOST).docker(run.iter().chain(program))?;
        // The call above blocks; here Ctrl-C is heard.
        tokio::task::yield_now().await;
    }
    Ok(bed)
}

/// Starts a program on the host, on this machine's network.
fn start(
    host: &Host,
    name: &str,
    program: &Path,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<Process> {
    let mut command = host.local_command(program)?;
    arguments(command.env_clear().env("PATH", usage::path()));
    host.spawn_command(name, command)
}

fn stop(program: &mut Process) -> Result<()> {
    program.signal(Signal::TERM)?;
    program.wait(STOPS_WITHIN).map(drop)
}

fn ended(program: &Process) -> String {
    let log = program.log().unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!(
        "the end of the log of {}:\n{}",
        program.name(),
        lines[lines.len().saturating_sub(15)..].join("\n")
    )
}

/// The child of that name.
fn child(parent: u32, name: &str) -> Option<u32> {
    let called =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    usage::children(parent).into_iter().find(called)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_by_name() {
        let mut sleeper = Command::new("sleep").arg("1000").spawn().expect("there is sleep");
        let found = child(std::process::id(), "sleep");
        sleeper.kill().expect("it runs");
        sleeper.wait().expect("it was killed");
        assert_eq!(found, Some(sleeper.id()));
        assert_eq!(child(std::process::id(), "no such program"), None);
    }
}
