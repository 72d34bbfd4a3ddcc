//! Control groups v1: a folder for each controller.

use super::{Counters, Reading, field, pids};
use crate::collectors::cgroup::{controller_folder, group};
use crate::collectors::read::Reader;
use std::path::{Path, PathBuf};

/// The kernel writes "no limit" as the largest multiple of a page, close to 2^63.
const NO_LIMIT: u64 = 1 << 62;
/// Kernels differ in which of these they have; the first counts nested groups too.
const IO_FILES: [&str; 2] = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];

/// The files of a container's groups. A controller that the kernel lacks leaves its files out.
#[derive(Debug)]
pub(super) struct Files {
    cpu_usage: Option<PathBuf>,
    memory: Option<MemoryFiles>,
    io: Option<PathBuf>,
    pids: Option<PathBuf>,
}

#[derive(Debug)]
struct MemoryFiles {
    usage: PathBuf,
    stat: PathBuf,
    limit: PathBuf,
}

impl Files {
    /// `None` when no controller knows the container.
    pub(super) fn find(root: &Path, table: &str, id: &str) -> Option<Self> {
        let folder =
            |controller| Some(controller_folder(root, controller).join(group(table, controller, id)?));
        let (cpu, memory, io, pids) = (folder("cpuacct"), folder("memory"), folder("blkio"), folder("pids"));
        let found = [&cpu, &memory, &io, &pids].iter().any(|folder| folder.is_some());
        found.then(|| Self {
            cpu_usage: cpu.map(|folder| folder.join("cpuacct.usage")),
            memory: memory.map(|folder| MemoryFiles {
                usage: folder.join("memory.usage_in_bytes"),
                stat: folder.join("memory.stat"),
                limit: folder.join("memory.limit_in_bytes"),
            }),
            io: io.and_then(|folder| {
                IO_FILES.map(|name| folder.join(name)).into_iter().find(|path| path.exists())
            }),
            pids: pids.map(|folder| folder.join("pids.current")),
        })
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Reading {
        let io = self.io.as_ref().and_then(|path| Some(parse_io(&reader.text(path).ok()?)));
        let cpu_nanos = self.cpu_usage.as_ref().and_then(|path| reader.number(path));
        Reading {
            counters: Counters {
                cpu_nanos,
                read_bytes: io.map(|(read, _)| read),
                write_bytes: io.map(|(_, written)| written),
                ..Counters::default()
            },
            memory_used: self.memory.as_ref().and_then(|files| files.used(reader)),
            memory_limit: self.memory.as_ref().and_then(|files| files.limit(reader)),
            pids: self.pids.as_ref().and_then(|path| pids(reader, path)),
        }
    }
}

impl MemoryFiles {
    fn used(&self, reader: &mut Reader) -> Option<u64> {
        let usage = reader.number(&self.usage)?;
        let reclaimable = field(&reader.text(&self.stat).ok()?, "total_inactive_file")?;
        Some(usage.saturating_sub(reclaimable))
    }

    fn limit(&self, reader: &mut Reader) -> Option<u64> {
        reader.number(&self.limit).filter(|limit| *limit < NO_LIMIT)
    }
}

/// Bytes read and written over all devices: lines such as `8:0 Read 4096`.
fn parse_io(text: &str) -> (u64, u64) {
    let mut sums = (0u64, 0u64);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (operation, bytes) = (words.next(), words.next().and_then(|bytes| bytes.parse().ok()));
        match (operation, bytes) {
            (Some("Read"), Some(bytes)) => sums.0 = sums.0.saturating_add(bytes),
            (Some("Write"), Some(bytes)) => sums.1 = sums.1.saturating_add(bytes),
            _ => {}
        }
    }
    sums
}
