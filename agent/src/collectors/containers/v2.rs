//! Control groups v2: one folder.

use super::{Counters, Reading, field, pids};
use crate::collectors::cgroup::group;
use crate::collectors::read::Reader;
use std::path::{Path, PathBuf};

/// The files of a container's group. A controller that is not enabled has none, which reading them shows.
#[derive(Debug)]
pub(super) struct Files {
    cpu_stat: PathBuf,
    memory_current: PathBuf,
    memory_stat: PathBuf,
    memory_max: PathBuf,
    io_stat: PathBuf,
    pids_current: PathBuf,
}

impl Files {
    /// `None` when the process is not in the container's group.
    pub(super) fn find(root: &Path, table: &str, id: &str) -> Option<Self> {
        let folder = root.join(group(table, "", id)?);
        Some(Self {
            cpu_stat: folder.join("cpu.stat"),
            memory_current: folder.join("memory.current"),
            memory_stat: folder.join("memory.stat"),
            memory_max: folder.join("memory.max"),
            io_stat: folder.join("io.stat"),
            pids_current: folder.join("pids.current"),
        })
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Reading {
        let io = reader.text(&self.io_stat).ok().map(|text| parse_io(&text));
        let cpu_micros = reader.text(&self.cpu_stat).ok().and_then(|text| field(&text, "usage_usec"));
        Reading {
            counters: Counters {
                cpu_nanos: cpu_micros.map(|micros| micros.saturating_mul(1000)),
                read_bytes: io.map(|(read, _)| read),
                write_bytes: io.map(|(_, written)| written),
                ..Counters::default()
            },
            memory_used: self.memory_used(reader),
            // The file holds `max` where there is no limit.
            memory_limit: reader.number(&self.memory_max),
            pids: pids(reader, &self.pids_current),
        }
    }

    fn memory_used(&self, reader: &mut Reader) -> Option<u64> {
        let current = reader.number(&self.memory_current)?;
        let reclaimable = field(&reader.text(&self.memory_stat).ok()?, "inactive_file")?;
        Some(current.saturating_sub(reclaimable))
    }
}

/// Bytes read and written over all devices: `8:0 rbytes=4096 wbytes=0 rios=1 …`. An empty file is a group
/// that has done no I/O.
fn parse_io(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        text.split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
            .fold(0u64, u64::saturating_add)
    };
    (sum("rbytes="), sum("wbytes="))
}
