//! Block devices, from `/proc/diskstats`.
//!
//! Whole devices only: a partition's traffic is its disk's. Loop devices, RAM disks (compressed ones too)
//! and optical drives are left out, and so is a device that has done nothing since boot, such as the
//! sixteen network block devices that exist before anyone attaches one. Device-mapper and RAID devices stay:
//! they are what a file system sees, though their traffic is counted again on the disks below them.

use super::Roots;
use super::rates::{Before, per_second};
use super::read::{Reader, SourceError};
use omni_common::domain::DiskSample;
use procfs::DiskStat;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sectors in `/proc/diskstats` are this long whatever the device's own are.
const SECTOR: f32 = 512.0;
/// At most this many devices are reported, in the kernel's order.
const MAX_DISKS: usize = 128;
const SKIPPED: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    reads: u64,
    sectors_read: u64,
    writes: u64,
    sectors_written: u64,
    busy_ms: u64,
}

pub(super) type Readings = BTreeMap<String, Counters>;

/// The collector.
#[derive(Debug)]
pub(super) struct Disks {
    path: PathBuf,
    class: PathBuf,
    before: Before<Readings>,
}

impl Disks {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            path: roots.proc.join("diskstats"),
            class: roots.sys.join("class/block"),
            before: Before::default(),
        }
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<Readings, SourceError> {
        Ok(parse(&reader.text(&self.path)?, |device| is_partition(&self.class, device)))
    }

    /// Rates since the sample before; empty in the first.
    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<DiskSample> {
        let Ok(now) = self.read(reader) else {
            return Vec::new();
        };
        self.before.step(at, now, delta).unwrap_or_default()
    }
}

fn is_partition(class: &Path, device: &str) -> bool {
    class.join(device).join("partition").exists()
}

/// A line that is not understood is skipped, so that one odd device does not hide the others.
fn parse(text: &str, is_partition: impl Fn(&str) -> bool) -> Readings {
    text.lines()
        .filter_map(|line| DiskStat::from_line(line).ok())
        .filter(|stat| !SKIPPED.iter().any(|prefix| is_numbered(&stat.name, prefix)))
        .filter(|stat| stat.reads != 0 || stat.writes != 0)
        .filter(|stat| !is_partition(&stat.name))
        .take(MAX_DISKS)
        .map(|stat| (stat.name.clone(), counters(&stat)))
        .collect()
}

/// Whether a device is the prefix and a number, as in `loop0`.
fn is_numbered(device: &str, prefix: &str) -> bool {
    device
        .strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn counters(stat: &DiskStat) -> Counters {
    Counters {
        reads: stat.reads,
        sectors_read: stat.sectors_read,
        writes: stat.writes,
        sectors_written: stat.sectors_written,
        busy_ms: stat.time_in_progress,
    }
}

/// Devices that are in both readings and did not start over in between.
fn delta(before: &Readings, now: &Readings, elapsed: Duration) -> Vec<DiskSample> {
    now.iter().filter_map(|(device, now)| rates(device, before.get(device)?, now, elapsed)).collect()
}

fn rates(device: &str, before: &Counters, now: &Counters, elapsed: Duration) -> Option<DiskSample> {
    Some(DiskSample {
        device: device.to_owned(),
        read_bytes: per_second(before.sectors_read, now.sectors_read, elapsed)? * SECTOR,
        write_bytes: per_second(before.sectors_written, now.sectors_written, elapsed)? * SECTOR,
        reads: per_second(before.reads, now.reads, elapsed)?,
        writes: per_second(before.writes, now.writes, elapsed)?,
        busy: (per_second(before.busy_ms, now.busy_ms, elapsed)? / 10.0).min(100.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEFORE: &str = "\
   7       0 loop0 5 0 5 5 0 0 0 0 0 0 0 0 0 0 0 0 0
   1       0 ram0 5 0 5 5 0 0 0 0 0 0 0
 253       0 zram0 9 0 9 9 0 0 0 0 0 0 0 0 0 0 0 0 0
  43       0 nbd0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
   8       0 sda 100 3 2000 50 200 8 4000 90 0 500 140 0 0 0 0 7 7
   8       1 sda1 90 3 1900 50 200 8 4000 90 0 500 140 0 0 0 0
 259       0 nvme0n1 10 0 80 1 10 0 80 1 0 2 2
 254       0 dm-0 10 0 80 1 10 0 80 1 0 2 2
";

    fn read(text: &str) -> Readings {
        parse(text, |device| device == "sda1")
    }

    #[test]
    fn whole_devices_only() {
        assert_eq!(read(BEFORE).keys().collect::<Vec<_>>(), ["dm-0", "nvme0n1", "sda"]);
    }

    #[test]
    fn rates_are_per_second_of_what_passed() {
        let now = "8 0 sda 120 3 6000 50 240 8 12000 90 0 1500 140\n";
        let rates = delta(&read(BEFORE), &read(now), Duration::from_secs(2));
        assert_eq!(rates.len(), 1);
        assert_eq!((rates[0].reads, rates[0].writes), (10.0, 20.0));
        assert_eq!((rates[0].read_bytes, rates[0].write_bytes), (2000.0 * 512.0, 4000.0 * 512.0));
        assert_eq!(rates[0].busy, 50.0);
    }

    #[test]
    fn a_replugged_disk_is_left_out_once() {
        let now = "8 0 sda 1 0 8 0 1 0 8 0 0 1 1\n";
        assert_eq!(delta(&read(BEFORE), &read(now), Duration::from_secs(1)), []);
    }

    #[test]
    fn an_odd_line_hides_only_itself() {
        let text = "8 0 sda what\n8 16 sdb 1 0 8 0 1 0 8 0 0 1 1\n\n";
        assert_eq!(read(text).keys().collect::<Vec<_>>(), ["sdb"]);
    }

    proptest! {
        #[test]
        fn rates_are_plain_numbers_whatever_the_counters_do(a: [u64; 5], b: [u64; 5], nanos: u64) {
            let counters = |[reads, sectors_read, writes, sectors_written, busy_ms]: [u64; 5]| Counters {
                reads, sectors_read, writes, sectors_written, busy_ms,
            };
            if let Some(s) = rates("sda", &counters(a), &counters(b), Duration::from_nanos(nanos)) {
                for rate in [s.read_bytes, s.write_bytes, s.reads, s.writes] {
                    prop_assert!(rate.is_finite() && rate >= 0.0);
                }
                prop_assert!((0.0..=100.0).contains(&s.busy));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[ 0-9a-z\\n]{0,300}") {
            let _ = read(&text);
        }
    }
}
