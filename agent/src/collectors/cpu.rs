//! CPU time, from `/proc/stat`.
//!
//! Waiting for disks counts as idle, as in `top`: the CPU could have run something. Guests' time is already
//! part of user time.

use super::Roots;
use super::rates::percent;
use super::read::{Reader, SourceError};
use omni_common::domain::CpuSample;
use procfs::{CpuTime, FromBufReadSI, KernelStats, LocalSystemInfo};
use std::path::PathBuf;

/// Clock ticks since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    user: u64,
    system: u64,
    idle: u64,
    iowait: u64,
    steal: u64,
}

/// One reading of the kernel's statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    total: Ticks,
    cores: Vec<Ticks>,
    /// Seconds since the epoch at which the machine booted, by the wall clock of now.
    pub(super) booted: u64,
}

impl Counters {
    /// Logical CPUs that are on.
    pub(super) fn cpus(&self) -> usize {
        self.cores.len()
    }
}

/// The collector.
#[derive(Debug)]
pub(super) struct Cpu {
    path: PathBuf,
    before: Option<Counters>,
}

impl Cpu {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc.join("stat"), before: None }
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<Counters, SourceError> {
        parse(&reader.text(&self.path)?).map_err(|what| SourceError::form(&self.path, what))
    }

    /// Shares since the sample before. Ticks are their own measure of time, so no clock is needed.
    pub(super) fn sample(&mut self, reader: &mut Reader) -> Option<CpuSample> {
        let now = self.read(reader).ok()?;
        let sample = self.before.as_ref().and_then(|before| delta(before, &now));
        self.before = Some(now);
        sample
    }
}

fn parse(text: &str) -> Result<Counters, procfs::ProcError> {
    let stats = KernelStats::from_buf_read(text.as_bytes(), &LocalSystemInfo)?;
    Ok(Counters {
        total: ticks(&stats.total),
        cores: stats.cpu_time.iter().map(ticks).collect(),
        booted: stats.btime,
    })
}

fn ticks(time: &CpuTime) -> Ticks {
    Ticks {
        user: time.user.saturating_add(time.nice),
        system: time.system.saturating_add(time.irq.unwrap_or(0)).saturating_add(time.softirq.unwrap_or(0)),
        idle: time.idle,
        iowait: time.iowait.unwrap_or(0),
        steal: time.steal.unwrap_or(0),
    }
}

/// Shares between two readings. `None` when no tick has passed: nothing is known then.
fn delta(before: &Counters, now: &Counters) -> Option<CpuSample> {
    let spent = since(&before.total, &now.total);
    let all = spent.all();
    if all == 0 {
        return None;
    }
    // A CPU that was switched on or off shifts the list, so cores have no earlier reading in that sample.
    let cores = if before.cores.len() == now.cores.len() {
        before.cores.iter().zip(&now.cores).map(|(a, b)| since(a, b).busy_percent()).collect()
    } else {
        Vec::new()
    };
    Some(CpuSample {
        total: spent.busy_percent(),
        user: percent(spent.user, all),
        system: percent(spent.system, all),
        iowait: percent(spent.iowait, all),
        steal: percent(spent.steal, all),
        cores,
    })
}

/// Ticks between two readings. The kernel lets idle and I/O wait slip back a little: that counts as none.
fn since(before: &Ticks, now: &Ticks) -> Ticks {
    Ticks {
        user: now.user.saturating_sub(before.user),
        system: now.system.saturating_sub(before.system),
        idle: now.idle.saturating_sub(before.idle),
        iowait: now.iowait.saturating_sub(before.iowait),
        steal: now.steal.saturating_sub(before.steal),
    }
}

impl Ticks {
    fn busy(&self) -> u64 {
        self.user.saturating_add(self.system).saturating_add(self.steal)
    }

    fn all(&self) -> u64 {
        self.busy().saturating_add(self.idle).saturating_add(self.iowait)
    }

    fn busy_percent(&self) -> f32 {
        percent(self.busy(), self.all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEFORE: &str = "cpu  100 10 50 800 20 5 5 10 0 0\n\
        cpu0 60 5 25 400 10 3 2 5 0 0\n\
        cpu1 40 5 25 400 10 2 3 5 0 0\n\
        intr 1 2 3\nctxt 5\nbtime 1790000000\nprocesses 9\nprocs_running 1\nprocs_blocked 0\nsoftirq 1 2\n";
    const NOW: &str = "cpu  150 10 60 830 25 7 8 10 0 0\n\
        cpu0 110 5 35 400 10 5 5 5 0 0\n\
        cpu1 40 5 25 430 15 2 3 5 0 0\n\
        ctxt 5\nbtime 1790000000\nprocesses 9\n";

    #[test]
    fn shares_come_from_the_difference() {
        let (before, now) = (parse(BEFORE).expect("fixture"), parse(NOW).expect("fixture"));
        let sample = delta(&before, &now).expect("100 ticks passed");
        assert_eq!((sample.user, sample.system), (50.0, 15.0));
        assert_eq!((sample.iowait, sample.steal, sample.total), (5.0, 0.0, 65.0));
        assert_eq!(sample.cores, [100.0, 0.0]);
        assert_eq!(now.booted, 1_790_000_000);
    }

    #[test]
    fn no_ticks_is_no_knowledge() {
        let now = parse(NOW).expect("fixture");
        assert_eq!(delta(&now, &now), None);
    }

    #[test]
    fn a_core_that_was_switched_off_drops_the_list_once() {
        let (before, mut now) = (parse(BEFORE).expect("fixture"), parse(NOW).expect("fixture"));
        now.cores.pop();
        assert_eq!(delta(&before, &now).expect("ticks passed").cores, Vec::<f32>::new());
    }

    fn any_ticks() -> impl Strategy<Value = Ticks> {
        any::<[u64; 5]>().prop_map(|[user, system, idle, iowait, steal]| Ticks {
            user,
            system,
            idle,
            iowait,
            steal,
        })
    }

    proptest! {
        #[test]
        fn shares_are_percentages_whatever_the_counters_do(a in any_ticks(), b in any_ticks()) {
            let reading = |total| Counters { total, cores: vec![total], booted: 0 };
            if let Some(sample) = delta(&reading(a), &reading(b)) {
                for share in [sample.total, sample.user, sample.system, sample.iowait, sample.steal, sample.cores[0]] {
                    prop_assert!((0.0..=100.0).contains(&share));
                }
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            drop(parse(&text));
        }
    }
}
