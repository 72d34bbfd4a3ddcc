//! What a host is and does, read from the kernel and its drivers.
//!
//! ```text
//!                  ┌ cpu  memory  load  pressure  disks  filesystems  network  temperatures
//! HostCollector ───┤ containers (cgroup v1 and v2)      gpu (NVML, amdgpu)
//!   sample()       └ facts, processes: on request
//!       │
//!       └── each source: text of a kernel file ──parse──▶ counters ──delta(before, now, elapsed)──▶ rates
//! ```
//!
//! One source a file, and the same three rules in each:
//!
//! - **Roots are arguments.** A source reads below [`Roots`], so a test hands it a folder of captured files.
//! - **Absent is not zero.** What a host lacks, what cannot be read and what has no earlier reading to be
//!   compared with is `None` or left out. [`HostCollector::facts`] names each missing source and why.
//! - **Counters go backwards.** Devices are replugged and containers restarted: a counter below its earlier
//!   value yields no rate for that sample, never a negative one and never a spike.
//!
//! Everything here blocks: for two to three milliseconds with thirty containers, and longer when a driver is in
//! trouble, so it belongs on a blocking thread. Only network mounts are known to hang for good; those are asked
//! from threads of their own. What a sample costs on a machine is printed by the example `collector_cost`. How
//! to add a source: `docs/how-to/add-a-collector.md`.

mod cgroup;
mod containers;
mod cpu;
mod disks;
mod facts;
mod filesystems;
mod gpu;
mod host;
mod load;
mod memory;
mod network;
mod pressure;
mod processes;
mod rates;
mod read;
mod temperatures;
#[cfg(test)]
mod tests;

pub use containers::ContainerRef;
pub use gpu::{GpuLibrary, GpuLibraryLoader, GpuMemoryReading, GpuProcessReading, GpuTarget, SystemNvml};
pub use host::HostCollector;
pub use processes::MAX_PROCESSES;
pub use read::SourceError;

use std::path::{Path, PathBuf};

/// Where the kernel's file systems are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The process file system.
    pub proc: PathBuf,
    /// The device file system; control groups are looked for in `fs/cgroup` below it.
    pub sys: PathBuf,
}

impl Roots {
    /// Below another folder: `<root>/proc` and `<root>/sys`.
    pub fn below(root: &Path) -> Self {
        Self { proc: root.join("proc"), sys: root.join("sys") }
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}
