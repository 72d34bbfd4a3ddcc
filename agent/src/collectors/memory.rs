//! Memory and swap, from `/proc/meminfo`.

use super::Roots;
use super::read::{Reader, SourceError};
use omni_common::domain::MemorySample;
use procfs::{FromBufRead, Meminfo};
use std::path::PathBuf;

/// The collector.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc.join("meminfo") }
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<MemorySample, SourceError> {
        parse(&reader.text(&self.path)?).map_err(|what| SourceError::form(&self.path, what))
    }
}

fn parse(text: &str) -> Result<MemorySample, procfs::ProcError> {
    let info = Meminfo::from_buf_read(text.as_bytes())?;
    let cached = info.cached.saturating_add(info.buffers);
    Ok(MemorySample {
        total: info.mem_total,
        // Kernels before 3.14 make no estimate; what is free or cached is the classic one.
        available: info.mem_available.unwrap_or_else(|| info.mem_free.saturating_add(cached)),
        cached,
        swap_total: info.swap_total,
        swap_used: info.swap_total.saturating_sub(info.swap_free),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\n\
        Cached: 400 kB\nSwapCached: 0 kB\nActive: 1 kB\nInactive: 1 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\n\
        Dirty: 0 kB\nWriteback: 0 kB\nMapped: 1 kB\nSlab: 1 kB\nCommitted_AS: 1 kB\nVmallocTotal: 1 kB\n\
        VmallocUsed: 1 kB\nVmallocChunk: 1 kB\nSomethingNew: 7\n";

    #[test]
    fn kilobytes_become_bytes() {
        let sample = parse(TEXT).expect("fixture");
        assert_eq!(sample.total, 1000 << 10);
        assert_eq!(sample.used(), 400 << 10);
        assert_eq!(sample.cached, 450 << 10);
        assert_eq!((sample.swap_total, sample.swap_used), (200 << 10, 50 << 10));
    }

    #[test]
    fn a_table_without_the_needed_lines_is_an_error() {
        assert!(parse("MemTotal: 1000 kB\n").is_err());
    }
}
