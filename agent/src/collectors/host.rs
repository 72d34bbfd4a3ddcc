//! All sources of a host together.

use super::Roots;
use super::containers::{ContainerRef, Containers};
use super::cpu::Cpu;
use super::disks::Disks;
use super::facts::{Facts, addresses};
use super::filesystems::Filesystems;
use super::gpu::{GpuLibraryLoader, Gpus, SystemNvml};
use super::load::Load;
use super::memory::Memory;
use super::network::Network;
use super::pressure::Pressure;
use super::processes::Processes;
use super::read::{Reader, SourceError};
use super::temperatures::Temperatures;
use omni_common::clock::Time;
use omni_common::domain::{Absence, DockerFacts, HostFacts, HostSample, Process};
use std::path::PathBuf;
use std::time::Instant;

/// Reads a host. It blocks, usually for a few milliseconds; keep one and call it from one blocking thread at a
/// time, since rates are relative to its own reading before.
pub struct HostCollector {
    reader: Reader,
    statm: PathBuf,
    page_size: u64,
    sampled: Option<Instant>,
    facts: Facts,
    cpu: Cpu,
    load: Load,
    memory: Memory,
    pressure: Pressure,
    disks: Disks,
    filesystems: Filesystems,
    network: Network,
    temperatures: Temperatures,
    gpus: Gpus,
    containers: Containers,
    processes: Processes,
}

impl HostCollector {
    /// A collector that has read nothing yet.
    pub fn new(roots: Roots) -> Self {
        Self::with_gpu_library(roots, Box::new(SystemNvml::load))
    }

    /// One that finds NVIDIA cards through another library than the installed one.
    pub fn with_gpu_library(roots: Roots, load: GpuLibraryLoader) -> Self {
        Self {
            reader: Reader::default(),
            statm: roots.proc.join("self/statm"),
            page_size: procfs::page_size(),
            sampled: None,
            facts: Facts::new(&roots),
            cpu: Cpu::new(&roots),
            load: Load::new(&roots),
            memory: Memory::new(&roots),
            pressure: Pressure::new(&roots),
            disks: Disks::new(&roots),
            filesystems: Filesystems::new(&roots),
            network: Network::new(&roots),
            temperatures: Temperatures::new(&roots),
            gpus: Gpus::new(&roots, load),
            containers: Containers::new(&roots),
            processes: Processes::new(&roots),
        }
    }

    /// What the host is, and what it cannot report and why. Two calls on an unchanged host are equal, so a
    /// difference is worth sending. `docker` is the engine's answer, or why there is none.
    pub fn facts(&mut self, docker: Result<DockerFacts, String>) -> HostFacts {
        let names = self.facts.names(&mut self.reader);
        let processor = self.facts.processor(&mut self.reader);
        let counters = self.cpu.read(&mut self.reader).ok();
        let memory = self.memory.read(&mut self.reader).ok();
        let (gpus, mut absent) = self.gpus.facts(&mut self.reader);
        absent.extend(self.absent());
        let docker = docker.map_err(|reason| absent.push(absence("docker", reason))).ok();
        absent.sort();
        HostFacts {
            hostname: names.hostname,
            os: names.os,
            kernel: names.kernel,
            arch: names.arch,
            cpu_model: processor.model,
            cpus: counters.as_ref().map_or(0, |counters| u32::try_from(counters.cpus()).unwrap_or(u32::MAX)),
            physical_cores: processor.physical_cores,
            memory_total: memory.as_ref().map_or(0, |memory| memory.total),
            swap_total: memory.as_ref().map_or(0, |memory| memory.swap_total),
            booted: self.facts.booted(counters.as_ref()),
            docker,
            gpus,
            addresses: addresses(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            absent,
        }
    }

    /// One reading. `now` is the host's wall clock, written into the sample; `at` measures the time since the
    /// sample before. `containers` are those that run. The caller fills in `dropped`.
    pub fn sample(&mut self, now: Time, at: Instant, containers: &[ContainerRef]) -> HostSample {
        let reader = &mut self.reader;
        let elapsed = self.sampled.replace(at).map(|before| at.saturating_duration_since(before));
        HostSample {
            at: now,
            interval_ms: elapsed.map_or(0, |elapsed| u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX)),
            dropped: 0,
            cpu: self.cpu.sample(reader),
            load: self.load.read(reader).ok(),
            memory: self.memory.read(reader).ok(),
            pressure: self.pressure.read(reader).ok(),
            disks: self.disks.sample(reader, at),
            filesystems: self.filesystems.sample(reader, at),
            networks: self.network.sample(reader, at),
            temperatures: self.temperatures.sample(reader, at),
            gpus: self.gpus.sample(reader, at),
            containers: self.containers.sample(reader, at, containers),
            agent_rss: resident_pages(reader, &self.statm).map(|pages| pages.saturating_mul(self.page_size)),
        }
    }

    /// The busiest processes, at most [`super::MAX_PROCESSES`]. On a host with thousands of them this takes
    /// tens of milliseconds: call it from a blocking thread.
    pub fn processes(&mut self) -> Result<Vec<Process>, SourceError> {
        self.processes.read(&mut self.reader)
    }

    /// Asks each source whether it has anything to report.
    fn absent(&mut self) -> Vec<Absence> {
        let reader = &mut self.reader;
        let checks = [
            ("cpu", self.cpu.read(reader).err()),
            ("load", self.load.read(reader).err()),
            ("memory", self.memory.read(reader).err()),
            ("pressure", self.pressure.read(reader).err()),
            ("disks", self.disks.read(reader).err()),
            ("filesystems", self.filesystems.check(reader).err()),
            ("network", self.network.read(reader).err()),
            ("temperatures", self.temperatures.check(reader).err()),
        ];
        checks.into_iter().filter_map(|(source, error)| Some(absence(source, error?.to_string()))).collect()
    }
}

fn absence(source: &str, reason: String) -> Absence {
    Absence { source: source.to_owned(), reason }
}

/// Second field of `statm`.
fn resident_pages(reader: &mut Reader, statm: &std::path::Path) -> Option<u64> {
    reader.text(statm).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}
