//! (d) What thousands of hosts cost the controllers, and whether any is declared down that is not.
//!
//! ```text
//!  idle ─ enrol ─ all start at once ─ settle ─ steady window ─ lists ─ leader killed ─ watched ─ brought back
//! ```

mod changes;
mod course;
mod lists;
mod outcome;
mod udp;

use super::args::Settings;
use super::machine::Machine;
use super::omni::MEMBERS;
use super::report::{Report, note};
use anyhow::{Context, Result};
use course::Course;
use std::path::Path;
use std::time::Duration;

/// Containers on each host.
const CONTAINERS: u32 = 30;
/// Hosts for which DESIGN names limits of memory and processor.
const TARGET_HOSTS: u32 = 1_000;

/// How long each step takes.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Before anything is measured: several samples of every host.
    settle: Duration,
    /// The steady window.
    steady: Duration,
    /// Each kind of list.
    list: Duration,
    /// After a leader's death: longer than a host takes to be declared down under a fresh leader.
    watch: Duration,
}

/// Measures and reports.
///
/// # Errors
/// When the controllers or the fleet do not come up, or something is lost on the way.
pub(super) async fn run(
    settings: &Settings,
    programs: &Path,
    data: &Path,
    machine: &Machine,
) -> Result<Report> {
    let counts = match settings.hosts.is_empty() {
        true => settings.pick(vec![TARGET_HOSTS, 5_000], vec![100]),
        false => settings.hosts.clone(),
    };
    let times = Times {
        settle: settings.pick(Duration::from_secs(30), Duration::from_secs(10)),
        steady: settings.pick(Duration::from_secs(60), Duration::from_secs(10)),
        list: settings.pick(Duration::from_secs(10), Duration::from_secs(2)),
        watch: Duration::from_secs(25),
    };
    let mut report = Report::new("scale", settings.quick, machine);
    let mut outcomes = Vec::new();
    for hosts in counts {
        note(format!("{hosts} hosts with {CONTAINERS} containers each"));
        let folder = data.join(format!("{hosts}-hosts"));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let course = Course { programs, folder: &folder, hosts, times };
        // What fewer hosts came to is worth showing when more of them are too many.
        match Box::pin(course.run()).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => report.failures.push(format!("{hosts} hosts: {error:#}")),
        }
    }
    report.setup = vec![
        format!(
            "{MEMBERS} controllers on loopback, fsync on, defaults (heartbeat 1 s, sample 10 s); agents are the real session \
             over QUIC with a made-up host behind it, {CONTAINERS} containers each that do not change; all in one process"
        ),
        format!(
            "steady: {:?} without API calls, {:?} after the last host is up; lists: one caller, page after page, each \
             controller in turn, linearizable, decoding included",
            times.steady, times.settle
        ),
        format!("leader killed (kill -9), then {:?} of watching, then it comes back", times.watch),
    ];
    report.tables = outcome::tables(&outcomes);
    report.goals = outcome::goals(&outcomes);
    report.results = serde_json::to_value(&outcomes).context("encoding the results")?;
    Ok(report)
}
