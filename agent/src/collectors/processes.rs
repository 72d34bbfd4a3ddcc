//! The process table, on request.
//!
//! Percentages cover the time since the table was last asked for. A process that is new since then, and every
//! process on the first request, is measured from its own start, as `ps` does: nothing has to wait for a
//! second reading. Time is the kernel's uptime, the clock that processes' start times are written in.

use super::read::{Reader, SourceError};
use super::{Roots, cgroup};
use omni_common::domain::Process;
use procfs::FromRead;
use procfs::process::Stat;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// At most this many processes are reported: those that use most CPU, then most memory.
pub const MAX_PROCESSES: usize = 500;
/// At most this many are looked at, so that a fork bomb cannot hold the agent for seconds.
const MAX_SEEN: usize = 20_000;
/// The kernel counts in hundredths of a second; a shorter time would divide by noise.
const SHORTEST: f64 = 0.01;

/// A process, told from a later one with its number by when it started.
type Key = (i32, u64);

/// CPU ticks of each process at some uptime.
#[derive(Debug, Default)]
struct Table {
    uptime: f64,
    ticks: HashMap<Key, u64>,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Processes {
    proc: PathBuf,
    ticks_per_second: f64,
    page_size: u64,
    before: Option<Table>,
}

impl Processes {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            proc: roots.proc.clone(),
            ticks_per_second: procfs::ticks_per_second() as f64,
            page_size: procfs::page_size(),
            before: None,
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader) -> Result<Vec<Process>, SourceError> {
        let uptime = uptime(&self.proc, reader)?;
        let mut now = Table { uptime, ticks: HashMap::new() };
        let mut processes = Vec::new();
        for pid in pids(&self.proc)? {
            let Some(stat) = stat(&self.proc, pid, reader) else {
                continue;
            };
            processes.push(self.process(&stat, uptime));
            now.ticks.insert((stat.pid, stat.starttime), cpu_ticks(&stat));
        }
        self.before = Some(now);
        let mut busiest = busiest(processes);
        for process in &mut busiest {
            process.container = cgroup::container_of(&self.proc.join(process.pid.to_string()), reader);
        }
        Ok(busiest)
    }

    fn process(&self, stat: &Stat, uptime: f64) -> Process {
        Process {
            pid: stat.pid.unsigned_abs(),
            name: stat.comm.clone(),
            cpu_percent: self.cpu_percent(stat, uptime),
            memory: stat.rss.saturating_mul(self.page_size),
            container: None,
        }
    }

    fn cpu_percent(&self, stat: &Stat, uptime: f64) -> f32 {
        let known = self.before.as_ref().and_then(|table| {
            let ticks = table.ticks.get(&(stat.pid, stat.starttime))?;
            (uptime - table.uptime >= SHORTEST).then_some((*ticks, table.uptime))
        });
        let (ticks_before, since) = known.unwrap_or((0, stat.starttime as f64 / self.ticks_per_second));
        let ticks = cpu_ticks(stat).saturating_sub(ticks_before);
        let seconds = (uptime - since).max(SHORTEST);
        (ticks as f64 / self.ticks_per_second / seconds * 100.0) as f32
    }
}

fn cpu_ticks(stat: &Stat) -> u64 {
    stat.utime.saturating_add(stat.stime)
}

fn busiest(mut processes: Vec<Process>) -> Vec<Process> {
    processes.sort_by(|a, b| {
        b.cpu_percent.total_cmp(&a.cpu_percent).then(b.memory.cmp(&a.memory)).then(a.pid.cmp(&b.pid))
    });
    processes.truncate(MAX_PROCESSES);
    processes
}

/// Seconds since boot.
fn uptime(proc: &Path, reader: &mut Reader) -> Result<f64, SourceError> {
    let path = proc.join("uptime");
    let text = reader.text(&path)?;
    text.split_ascii_whitespace()
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .ok_or_else(|| SourceError::form(&path, "no seconds since boot"))
}

fn pids(proc: &Path) -> Result<impl Iterator<Item = i32>, SourceError> {
    let entries =
        std::fs::read_dir(proc).map_err(|source| SourceError::Read { path: proc.to_owned(), source })?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).take(MAX_SEEN))
}

/// `None` when the process has ended meanwhile.
fn stat(proc: &Path, pid: i32, reader: &mut Reader) -> Option<Stat> {
    let text = reader.text(&proc.join(format!("{pid}/stat"))).ok()?;
    parse(&text)
}

/// `10 (name, which may hold anything) S 1 …`. The parser counts on the pid and both brackets being there.
fn parse(text: &str) -> Option<Stat> {
    let text = text.trim();
    let (pid, name_on) = text.split_once(" (")?;
    let (_, state_on) = name_on.rsplit_once(')')?;
    let well_formed = pid.parse::<u32>().is_ok() && state_on.starts_with(' ');
    well_formed.then(|| Stat::from_read(text.as_bytes()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4f5c0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

    fn process(tree: &Tree, pid: u32, name: &str, utime: u64, start: u64) {
        let zeros = "0 ".repeat(26);
        let stat = format!(
            "{pid} ({name}) S 1 1 1 0 -1 4194560 1 0 0 0 {utime} 50 0 0 20 0 1 0 {start} 9999 10 {zeros}\n"
        );
        tree.file(&format!("proc/{pid}/stat"), &stat);
    }

    fn machine() -> Tree {
        let tree = Tree::new();
        tree.file("proc/uptime", "100.00 150.00\n");
        process(&tree, 10, "init (odd) name", 50, 0);
        process(&tree, 20, "busy", 450, 5000);
        tree.file("proc/20/cgroup", &format!("0::/system.slice/docker-{ID}.scope\n"));
        tree.file("proc/30/status", "gone while we looked\n");
        tree.file("proc/31/stat", "(\n");
        tree
    }

    fn shown(processes: &[Process]) -> Vec<(u32, &str, f32)> {
        processes.iter().map(|p| (p.pid, p.name.as_str(), p.cpu_percent)).collect()
    }

    #[test]
    fn at_first_processes_are_measured_from_their_start() {
        let tree = machine();
        let mut source = Processes::new(&tree.roots());
        source.ticks_per_second = 100.0;
        let table = source.read(&mut Reader::default()).expect("a machine");
        assert_eq!(shown(&table), [(20, "busy", 10.0), (10, "init (odd) name", 1.0)]);
        assert_eq!(table[0].memory, 10 * procfs::page_size());
        assert_eq!((table[0].container.as_deref(), table[1].container.as_deref()), (Some(ID), None));
    }

    #[test]
    fn then_since_the_table_before() {
        let tree = machine();
        let (mut source, mut reader) = (Processes::new(&tree.roots()), Reader::default());
        source.ticks_per_second = 100.0;
        source.read(&mut reader).expect("a machine");
        tree.file("proc/uptime", "102.00 150.00\n");
        process(&tree, 10, "init", 250, 0);
        process(&tree, 20, "reused", 50, 10_100);
        let table = source.read(&mut reader).expect("a machine");
        assert_eq!(shown(&table), [(10, "init", 100.0), (20, "reused", 100.0)]);
    }

    #[test]
    fn the_table_is_bounded() {
        let many = (0..2000).map(|pid| Process {
            pid,
            name: String::new(),
            cpu_percent: pid as f32,
            memory: 0,
            container: None,
        });
        let table = busiest(many.collect());
        assert_eq!((table.len(), table[0].pid), (MAX_PROCESSES, 1999));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9]{0,3} ?[0-9() a-zä\\n]{0,100}") {
            drop(parse(&text));
        }
    }

    #[test]
    fn a_machine_without_processes_is_an_error() {
        assert!(Processes::new(&Tree::new().roots()).read(&mut Reader::default()).is_err());
    }
}
