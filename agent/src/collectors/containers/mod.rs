//! What containers use, from their control groups and network namespaces.
//!
//! Docker's own statistics call takes a second a container on older engines and keeps the engine busy; the
//! kernel's files take some fifty microseconds. Which files those are is found once for each run of a
//! container ([`v1`], [`v2`]), from the main process that Docker names, and kept until that process or its
//! group changes.

mod v1;
mod v2;

use super::cgroup::Hierarchies;
use super::rates::{Before, per_second};
use super::read::Reader;
use super::{Roots, network};
use omni_common::domain::ContainerSample;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// At most this many containers are sampled, in the order given.
const MAX_CONTAINERS: usize = 1000;

/// A running container, as Docker names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerRef {
    /// Docker's id, 64 hex digits.
    pub id: String,
    /// Main process on the host. Docker says zero for none: such a container is left out.
    pub pid: i64,
}

/// What only grows while a container runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    cpu_nanos: Option<u64>,
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
    read_bytes: Option<u64>,
    write_bytes: Option<u64>,
}

/// One reading of a group's files. What the group does not have is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    counters: Counters,
    memory_used: Option<u64>,
    memory_limit: Option<u64>,
    pids: Option<u32>,
}

/// The files of one container's group.
#[derive(Debug)]
enum Files {
    V1(v1::Files),
    V2(v2::Files),
}

impl Files {
    fn find(hierarchies: &Hierarchies, table: &str, id: &str) -> Option<Self> {
        match hierarchies {
            Hierarchies::V1 { root } => v1::Files::find(root, table, id).map(Self::V1),
            Hierarchies::V2 { root } => v2::Files::find(root, table, id).map(Self::V2),
        }
    }

    fn read(&self, reader: &mut Reader) -> Reading {
        match self {
            Self::V1(files) => files.read(reader),
            Self::V2(files) => files.read(reader),
        }
    }
}

/// One run of a container.
#[derive(Debug)]
struct Run {
    pid: i64,
    /// The process's group table: when it differs, the process has moved or another one has its pid.
    table: String,
    files: Option<Files>,
    /// Absent when the container shares the host's network, whose traffic is not the container's.
    network: Option<PathBuf>,
    before: Before<Counters>,
    /// Round in which it was last asked for.
    round: u64,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Containers {
    proc: PathBuf,
    hierarchies: Hierarchies,
    runs: HashMap<String, Run>,
    round: u64,
}

impl Containers {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            proc: roots.proc.clone(),
            hierarchies: Hierarchies::detect(roots),
            runs: HashMap::new(),
            round: 0,
        }
    }

    /// One entry for each container whose main process is there. Others are forgotten.
    pub(super) fn sample(
        &mut self,
        reader: &mut Reader,
        at: Instant,
        containers: &[ContainerRef],
    ) -> Vec<ContainerSample> {
        self.round += 1;
        let samples = containers
            .iter()
            .filter(|container| container.pid > 0)
            .take(MAX_CONTAINERS)
            .filter_map(|container| self.sample_one(reader, at, container))
            .collect();
        let round = self.round;
        self.runs.retain(|_, run| run.round == round);
        samples
    }

    fn sample_one(
        &mut self,
        reader: &mut Reader,
        at: Instant,
        container: &ContainerRef,
    ) -> Option<ContainerSample> {
        let folder = self.proc.join(container.pid.to_string());
        let table = reader.text(&folder.join("cgroup")).ok()?;
        let known =
            self.runs.get(&container.id).is_some_and(|run| run.pid == container.pid && run.table == table);
        if !known {
            let run = begin(&self.proc, &self.hierarchies, &folder, container, table.into_owned());
            self.runs.insert(container.id.clone(), run);
        }
        let run = self.runs.get_mut(&container.id)?;
        run.round = self.round;
        Some(run.sample(reader, at, &container.id))
    }
}

fn begin(
    proc: &Path,
    hierarchies: &Hierarchies,
    folder: &Path,
    container: &ContainerRef,
    table: String,
) -> Run {
    let files = Files::find(hierarchies, &table, &container.id);
    let own_network = files.is_some() && !shares_network(proc, folder);
    Run {
        pid: container.pid,
        files,
        network: own_network.then(|| folder.join("net/dev")),
        table,
        before: Before::default(),
        round: 0,
    }
}

/// Whether the process is in the agent's own network namespace.
fn shares_network(proc: &Path, folder: &Path) -> bool {
    let own = std::fs::read_link(proc.join("self/ns/net"));
    let theirs = std::fs::read_link(folder.join("ns/net"));
    matches!((own, theirs), (Ok(own), Ok(theirs)) if own == theirs)
}

impl Run {
    fn sample(&mut self, reader: &mut Reader, at: Instant, id: &str) -> ContainerSample {
        let mut reading = self.files.as_ref().map(|files| files.read(reader)).unwrap_or_default();
        let traffic = self.network.as_ref().and_then(|path| traffic(path, reader));
        reading.counters.rx_bytes = traffic.map(|(rx, _)| rx);
        reading.counters.tx_bytes = traffic.map(|(_, tx)| tx);
        let rates = self.before.step(at, reading.counters, rates).unwrap_or_default();
        ContainerSample {
            id: id.to_owned(),
            memory_used: reading.memory_used,
            memory_limit: reading.memory_limit,
            pids: reading.pids,
            ..rates.into_sample()
        }
    }
}

/// Bytes received and sent over all interfaces but the loopback.
fn traffic(path: &Path, reader: &mut Reader) -> Option<(u64, u64)> {
    let text = reader.text(path).ok()?;
    let sum = network::parse(&text).filter(|(name, _)| *name != "lo").fold(
        (0u64, 0u64),
        |(rx, tx), (_, counters)| {
            (rx.saturating_add(counters.rx_bytes), tx.saturating_add(counters.tx_bytes))
        },
    );
    Some(sum)
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rates {
    cpu_percent: Option<f32>,
    rx_bytes: Option<f32>,
    tx_bytes: Option<f32>,
    read_bytes: Option<f32>,
    write_bytes: Option<f32>,
}

impl Rates {
    fn into_sample(self) -> ContainerSample {
        ContainerSample {
            id: String::new(),
            cpu_percent: self.cpu_percent,
            memory_used: None,
            memory_limit: None,
            rx_bytes: self.rx_bytes,
            tx_bytes: self.tx_bytes,
            read_bytes: self.read_bytes,
            write_bytes: self.write_bytes,
            pids: None,
        }
    }
}

fn rates(before: &Counters, now: &Counters, elapsed: Duration) -> Rates {
    let rate = |before: Option<u64>, now: Option<u64>| per_second(before?, now?, elapsed);
    // Nanoseconds of CPU in a second of time: a whole core is 1e9, which is 100 percent.
    let cpu_nanos = rate(before.cpu_nanos, now.cpu_nanos);
    Rates {
        cpu_percent: cpu_nanos.map(|nanos| nanos / 1e7),
        rx_bytes: rate(before.rx_bytes, now.rx_bytes),
        tx_bytes: rate(before.tx_bytes, now.tx_bytes),
        read_bytes: rate(before.read_bytes, now.read_bytes),
        write_bytes: rate(before.write_bytes, now.write_bytes),
    }
}

/// The value of a `key value` line.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.trim().parse().ok()
}

/// A file with the number of processes and threads.
fn pids(reader: &mut Reader, path: &Path) -> Option<u32> {
    reader.number(path).and_then(|pids| u32::try_from(pids).ok())
}

#[cfg(test)]
mod tests;
