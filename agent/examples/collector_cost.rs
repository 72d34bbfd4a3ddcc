//! What the collectors and the history cost on this machine.
//!
//! ```text
//! cargo run --release -p omni-agent --example collector_cost -- [SAMPLES] [ID:PID …]
//! ```
//!
//! Takes samples back to back, with the containers whose ids and main processes are given, and prints what one
//! costs in CPU time and what that is of a core at the usual pace of ten seconds. The process table and the
//! history (in a temporary folder) are measured beside it.

use anyhow::Context;
use omni_agent::collectors::{ContainerRef, HostCollector, Roots};
use omni_agent::history::History;
use omni_common::clock::{Clock, SystemClock, Time};
use omni_common::domain::HostSample;
use procfs::process::Process;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let samples: u32 = args.next().map_or(Ok(500), |count| count.parse()).context("SAMPLES is a number")?;
    let containers = args.map(|arg| container(&arg)).collect::<anyhow::Result<Vec<_>>>()?;

    let mut collector = HostCollector::new(Roots::default());
    let facts = collector.facts(Err("not asked for here".to_owned()));
    for absence in &facts.absent {
        writeln!(stdout(), "absent: {}: {}", absence.source, absence.reason)?;
    }
    let sample =
        measure("sample", samples, |_| collector.sample(SystemClock.now(), Instant::now(), &containers))?;
    writeln!(stdout(), "containers in a sample: {} of {}", sample.containers.len(), containers.len())?;
    measure("facts", 20, |_| collector.facts(Err("not asked for here".to_owned())))?;
    measure("processes", 20, |_| collector.processes())??;
    history(&sample)?;
    let rss = Process::myself()?.stat()?.rss * procfs::page_size();
    writeln!(stdout(), "resident memory: {:.1} MiB", rss as f64 / f64::from(1 << 20))?;
    Ok(())
}

fn container(arg: &str) -> anyhow::Result<ContainerRef> {
    let (id, pid) = arg.split_once(':').context("a container is given as ID:PID")?;
    Ok(ContainerRef { id: id.to_owned(), pid: pid.parse().context("PID is a number")? })
}

fn history(sample: &HostSample) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut history = History::open(dir.path())?;
    let at = |step: u32| Time::from_secs(i64::from(step) * 10);
    measure("history append", 8640, |step| history.append(&HostSample { at: at(step), ..sample.clone() }))?;
    let bytes: u64 =
        std::fs::read_dir(dir.path())?.map(|file| Ok(file?.metadata()?.len())).sum::<std::io::Result<_>>()?;
    writeln!(stdout(), "a day of history: {:.1} MiB", bytes as f64 / f64::from(1 << 20))?;
    measure("history open", 5, |_| History::open(dir.path()))??;
    measure("history day in 300", 5, |_| history.query(at(0), at(8640), 300))??;
    Ok(())
}

/// Runs something many times, prints what one run takes, and returns its last result.
fn measure<T>(what: &str, runs: u32, mut run: impl FnMut(u32) -> T) -> anyhow::Result<T> {
    let mut last = run(0);
    let (start, cpu) = (Instant::now(), cpu_time()?);
    for step in 1..=runs {
        last = run(step);
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(runs);
    let (wall, cpu) = (micros(start.elapsed()), micros(cpu_time()?.saturating_sub(cpu)));
    let share = cpu / 10e6 * 100.0;
    writeln!(stdout(), "{what:20} {wall:9.1} us wall  {cpu:9.1} us cpu  {share:.4} % of a core each 10 s")?;
    Ok(last)
}

fn cpu_time() -> anyhow::Result<Duration> {
    let stat = Process::myself()?.stat()?;
    Ok(Duration::from_secs(stat.utime + stat.stime) / u32::try_from(procfs::ticks_per_second())?)
}
