//! What the sources' tests share, and tests of the collector as a whole.

use super::{HostCollector, Roots};
use nvml_wrapper::error::NvmlError;
use omni_common::clock::Time;
use omni_common::domain::{DockerFacts, HostSample};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder that stands for a machine: fixtures are files below its `proc` and `sys`.
pub(super) struct Tree(TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::below(self.0.path())
    }

    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("room for a folder");
        fs::write(path, text).expect("room for a fixture");
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("room for a folder");
        std::os::unix::fs::symlink(Path::new(target), path).expect("a fresh name");
    }

    pub(super) fn remove(&self, path: &str) {
        let path = self.0.path().join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).expect("it is there");
        } else {
            fs::remove_file(path).expect("it is there");
        }
    }
}

/// A small machine: two CPUs, one disk, one interface, pressure, no sensors, no GPU, no Docker.
fn machine() -> Tree {
    let tree = Tree::new();
    at_work(&tree, 0);
    tree.file("proc/loadavg", "0.50 0.25 0.10 1/90 4242\n");
    tree.file("proc/meminfo", MEMINFO);
    for name in ["cpu", "memory", "io"] {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=9\n";
        tree.file(&format!("proc/pressure/{name}"), text);
    }
    tree.file("proc/self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw\n");
    tree.file("proc/self/statm", "5000 3 2 1 0 1 0\n");
    tree.file("proc/sys/kernel/hostname", "box\n");
    tree.file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    let cpuinfo = "processor : 0\nmodel name : Fast CPU\nphysical id : 0\ncore id : 0\n";
    tree.file("proc/cpuinfo", cpuinfo);
    tree
}

const MEMINFO: &str = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\n\
    Cached: 400 kB\nSwapCached: 0 kB\nActive: 1 kB\nInactive: 1 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\n\
    Dirty: 0 kB\nWriteback: 0 kB\nMapped: 1 kB\nSlab: 1 kB\nCommitted_AS: 1 kB\nVmallocTotal: 1 kB\n\
    VmallocUsed: 1 kB\nVmallocChunk: 1 kB\n";

/// The machine's counters after some seconds of one busy CPU out of two.
fn at_work(tree: &Tree, seconds: u64) {
    let ticks = seconds * 100;
    let stat = format!(
        "cpu {ticks} 0 0 {ticks} 0 0 0 0 0 0\ncpu0 {ticks} 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 {ticks} 0 0 0 0 0 0\n\
         ctxt 1\nbtime 1790000000\nprocesses 1\n"
    );
    tree.file("proc/stat", &stat);
    let sectors = 8 + seconds * 2;
    tree.file("proc/diskstats", &format!("8 0 sda 1 0 {sectors} 0 1 0 8 0 0 {} 0\n", seconds * 250));
    let bytes = seconds * 1000;
    tree.file("proc/net/dev", &format!("eth0: {bytes} 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0\n"));
}

/// A collector moves to whichever blocking thread is free.
#[test]
fn a_collector_may_change_threads() {
    fn movable<T: Send + 'static>(_: &T) {}
    movable(&collector(&machine()));
}

fn collector(tree: &Tree) -> HostCollector {
    HostCollector::with_gpu_library(tree.roots(), Box::new(|| Err(NvmlError::LibraryNotFound)))
}

fn no_docker() -> Result<DockerFacts, String> {
    Err("the engine does not answer".to_owned())
}

#[test]
fn a_first_sample_has_levels_and_no_rates() {
    let tree = machine();
    let sample = collector(&tree).sample(Time::from_secs(5), Instant::now(), &[]);
    assert_eq!((sample.at, sample.interval_ms), (Time::from_secs(5), 0));
    assert_eq!((sample.cpu, sample.disks, sample.networks), (None, Vec::new(), Vec::new()));
    assert_eq!(sample.load, Some([0.5, 0.25, 0.1]));
    assert_eq!(sample.memory.map(|memory| memory.used()), Some(400 << 10));
    assert_eq!(sample.pressure.map(|pressure| pressure.io_full), Some(0.5));
    assert_eq!(sample.agent_rss, Some(3 * procfs::page_size()));
}

#[test]
fn a_second_sample_has_rates() {
    let tree = machine();
    let (mut collector, start) = (collector(&tree), Instant::now());
    collector.sample(Time::from_secs(5), start, &[]);
    at_work(&tree, 2);
    let sample = collector.sample(Time::from_secs(7), start + Duration::from_secs(2), &[]);
    assert_eq!(sample.interval_ms, 2000);
    let cpu = sample.cpu.expect("ticks passed");
    assert_eq!((cpu.total, cpu.cores), (50.0, vec![100.0, 0.0]));
    assert_eq!((sample.disks[0].read_bytes, sample.disks[0].busy), (1024.0, 25.0));
    assert_eq!(sample.networks[0].rx_bytes, 1000.0);
}

#[test]
fn a_source_that_comes_back_is_compared_with_its_own_last_reading() {
    let tree = machine();
    let (mut collector, start) = (collector(&tree), Instant::now());
    collector.sample(Time::from_secs(0), start, &[]);
    tree.remove("proc/net/dev");
    let away = collector.sample(Time::from_secs(1), start + Duration::from_secs(1), &[]);
    assert_eq!(away.networks, []);
    at_work(&tree, 4);
    let back = collector.sample(Time::from_secs(4), start + Duration::from_secs(4), &[]);
    assert_eq!((back.interval_ms, back.networks[0].rx_bytes), (3000, 1000.0));
}

#[test]
fn facts_say_what_is_absent_and_why() {
    let tree = machine();
    let facts = collector(&tree).facts(no_docker());
    assert_eq!((facts.hostname.as_str(), facts.kernel.as_str()), ("box", "6.1.0-18-amd64"));
    assert_eq!(
        (facts.cpu_model.as_deref(), facts.cpus, facts.physical_cores),
        (Some("Fast CPU"), 2, Some(1))
    );
    assert_eq!(facts.booted, Some(Time::from_secs(1_790_000_000)));
    let absent: Vec<&str> = facts.absent.iter().map(|absence| absence.source.as_str()).collect();
    assert_eq!(absent, ["amdgpu", "docker", "nvml", "temperatures"]);
    assert!(facts.absent[2].reason.contains("not installed"), "{:?}", facts.absent);
}

#[test]
fn a_machine_that_shows_nothing_reports_nothing() {
    let tree = Tree::new();
    let mut collector = collector(&tree);
    let sample = collector.sample(Time::EPOCH, Instant::now(), &[]);
    assert_eq!(sample, HostSample::default());
    assert_eq!(collector.facts(no_docker()).absent.len(), 11, "every source is named");
}

#[test]
fn small_corrections_of_the_clock_do_not_change_facts() {
    let tree = machine();
    let mut collector = collector(&tree);
    let before = collector.facts(no_docker());
    let stat = |booted: u64| {
        format!("cpu 1 0 0 1\ncpu0 1 0 0 1\ncpu1 1 0 0 1\nctxt 1\nbtime {booted}\nprocesses 1\n")
    };
    tree.file("proc/stat", &stat(1_790_000_001));
    assert_eq!(collector.facts(no_docker()), before);
    tree.file("proc/stat", &stat(1_790_009_000));
    assert_eq!(collector.facts(no_docker()).booted, Some(Time::from_secs(1_790_009_000)));
}

/// Samples the machine this test runs on until a clock tick has passed.
#[test]
fn this_machine_reports_itself() {
    let mut collector = HostCollector::new(Roots::default());
    let facts = collector.facts(no_docker());
    assert!(facts.cpus > 0 && facts.memory_total > 0 && !facts.kernel.is_empty(), "{facts:?}");
    assert!(facts.booted.is_some_and(|booted| booted > Time::EPOCH));
    assert_eq!(collector.facts(no_docker()), facts, "facts of an unchanged host are equal");

    let give_up = Instant::now() + Duration::from_secs(60);
    let sample = loop {
        let sample = collector.sample(Time::EPOCH, Instant::now(), &[]);
        if sample.cpu.is_some() {
            break sample;
        }
        assert!(Instant::now() < give_up, "the kernel counts no CPU time");
    };
    let cpu = sample.cpu.expect("just seen");
    assert!((0.0..=100.0).contains(&cpu.total));
    assert!(sample.memory.is_some_and(|memory| memory.available <= memory.total));
    assert!(sample.load.is_some() && sample.agent_rss.is_some_and(|rss| rss > 0));
    for network in &sample.networks {
        assert!(network.rx_bytes.is_finite() && network.rx_bytes >= 0.0, "{network:?}");
    }
    let processes = collector.processes().expect("a machine has processes");
    let own = processes.iter().find(|process| process.pid == std::process::id()).expect("this one too");
    assert!(own.memory > 0 && own.cpu_percent.is_finite());
}
