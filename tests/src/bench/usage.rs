//! What a process costs: processor time and memory, as the kernel counts them.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::time::Duration;
use tokio::time::Instant;

/// The search path of started programs; their environment is otherwise empty, so that nobody's settings change
/// what is measured.
pub(super) const fn path() -> &'static str {
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

/// One reading of one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usage {
    /// Processor time since its start, its ended children not counted.
    pub(super) cpu: Duration,
    /// Bytes resident.
    pub(super) rss: u64,
    /// Bytes resident, shared ones divided among those who share them.
    pub(super) pss: u64,
    /// Bytes resident that nobody shares: what its end would free.
    pub(super) private: u64,
    /// Times that its threads were put on a processor, those that have ended not counted.
    pub(super) switches: u64,
    /// When it was read.
    pub(super) at: Instant,
}

impl Usage {
    /// Of a process; `None` when there is none, or it is a zombie.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in field 2 may hold anything, so counting begins after its bracket.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after_name.split(' ').collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        Some(Self {
            cpu: from_ticks(ticks(11)? + ticks(12)?),
            rss: kib(&memory, "Rss:"),
            pss: kib(&memory, "Pss:"),
            private: kib(&memory, "Private_Clean:") + kib(&memory, "Private_Dirty:"),
            switches: switches(pid),
            at: Instant::now(),
        })
    }
}

/// Context switches of all threads.
fn switches(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |status: &str| -> u64 {
        let counts = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        counts.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .map(|s| of(&s))
        .sum()
}

/// The children of a process, whichever of its threads started them.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Linux counts in hundredths of a second towards programs, whatever it uses inside. The sum of user and system
/// time is exact to that; only their split is sampled.
fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(10))
}

/// Bytes of a line `Name:   123 kB`; zero when it is missing.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    value.unwrap_or_default() << 10
}

/// What a process cost between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Percent of one core.
    pub(super) cpu_percent: f64,
    /// MiB resident at the end.
    pub(super) rss_mib: f64,
    /// MiB resident at the end, shared pages divided.
    pub(super) pss_mib: f64,
    /// MiB resident at the end that nobody shares.
    pub(super) private_mib: f64,
    /// Times a second that it was put on a processor.
    pub(super) switches_per_second: f64,
}

impl Cost {
    /// Between `before` and `after`.
    pub(super) fn between(before: &Usage, after: &Usage) -> Self {
        let elapsed = after.at.duration_since(before.at).as_secs_f64().max(f64::EPSILON);
        Self {
            cpu_percent: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 100.0 / elapsed,
            rss_mib: mib(after.rss),
            pss_mib: mib(after.pss),
            private_mib: mib(after.private),
            switches_per_second: after.switches.saturating_sub(before.switches) as f64 / elapsed,
        }
    }

    /// Over `time` from now on, of several processes at once, in their order.
    ///
    /// # Errors
    /// When one of them is gone, now or at the end.
    pub(super) async fn over(pids: &[u32], time: Duration) -> Result<Vec<Self>> {
        let before = read(pids)?;
        tokio::time::sleep(time).await;
        let after = read(pids)?;
        Ok(before.iter().zip(&after).map(|(before, after)| Self::between(before, after)).collect())
    }
}

fn read(pids: &[u32]) -> Result<Vec<Usage>> {
    pids.iter().map(|pid| Usage::of(*pid).with_context(|| format!("process {pid} has ended"))).collect()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(std::process::id()).expect("this process lives");
        assert!(usage.rss > 0 && usage.pss > 0 && usage.pss <= usage.rss && usage.private <= usage.pss);
        assert!(usage.switches > 0);
        assert_eq!(Usage::of(u32::MAX), None);
    }

    #[test]
    fn cost_is_what_was_added() {
        let at = Instant::now();
        let before = Usage { cpu: Duration::from_secs(1), rss: 0, pss: 0, private: 0, switches: 5, at };
        let after = Usage {
            cpu: Duration::from_millis(1_500),
            rss: 3 << 20,
            pss: 1 << 20,
            private: 0,
            switches: 25,
            at: at + Duration::from_secs(5),
        };
        let cost = Cost::between(&before, &after);
        let wanted = Cost {
            cpu_percent: 10.0,
            rss_mib: 3.0,
            pss_mib: 1.0,
            private_mib: 0.0,
            switches_per_second: 4.0,
        };
        assert_eq!(cost, wanted);
    }
}
