//! What the measurements were made on. Numbers without it cannot be compared with anything.

use super::stats::Percentiles;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

/// Bytes of one test write: what a commit of a small entry touches.
const BLOCK: usize = 4 << 10;
/// Test writes; a second or less on any disk that is worth measuring on.
const SYNCS: usize = 200;

/// The machine, its disk, and how busy it was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    /// Processor.
    pub(super) cpu: String,
    /// Logical processors.
    pub(super) cores: usize,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// Kernel release.
    pub(super) kernel: String,
    /// Distribution.
    pub(super) os: String,
    /// File system under the data of both sides.
    pub(super) file_system: String,
    /// One 4 KiB write with `fdatasync`, milliseconds: the floor under every durable write.
    pub(super) sync_ms: Percentiles,
    /// Load averages (1, 5, 15 minutes) before anything was started: others' work.
    pub(super) load_before: [f64; 3],
}

impl Machine {
    /// Looks at the machine and tries the disk under `data`.
    ///
    /// # Errors
    /// When `data` is not on a disk, or cannot be written.
    pub(super) fn look(data: &Path) -> Result<Self> {
        let load_before = load();
        let file_system = file_system(data)?;
        ensure!(
            !matches!(file_system.as_str(), "tmpfs" | "ramfs"),
            "{} is in memory, where fsync costs nothing; choose a folder on a disk with --data",
            data.display()
        );
        let uname = rustix::system::uname();
        Ok(Self {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory().unwrap_or_default(),
            kernel: uname.release().to_string_lossy().into_owned(),
            os: os_name().unwrap_or_else(|| "unknown".to_owned()),
            file_system,
            sync_ms: try_disk(data).with_context(|| format!("trying the disk under {}", data.display()))?,
            load_before,
        })
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        format!(
            "{} cores ({}), {} GiB, {}, Linux {}, {}; fdatasync of 4 KiB {:.2} ms (p99 {:.2}); load {:.1} before",
            self.cores,
            self.cpu,
            self.memory >> 30,
            self.os,
            self.kernel,
            self.file_system,
            self.sync_ms.p50,
            self.sync_ms.p99,
            self.load_before[0],
        )
    }

    /// Whether others keep the machine so busy that absolute numbers say little.
    pub(super) fn is_busy(&self) -> bool {
        self.load_before[0] > self.cores as f64 / 2.0
    }
}

/// The load averages; zeros where there are none.
pub(super) fn load() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = text.split(' ').map(|field| field.parse().unwrap_or_default());
    std::array::from_fn(|_| fields.next().unwrap_or_default())
}

/// The value of the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

fn memory() -> Option<u64> {
    let kib: u64 = field("/proc/meminfo", "MemTotal")?.split(' ').next()?.parse().ok()?;
    Some(kib << 10)
}

fn os_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// The type of the file system that holds `path`: the mount with the longest matching point.
fn file_system(path: &Path) -> Result<String> {
    let path = path.canonicalize().with_context(|| format!("finding {}", path.display()))?;
    let table = fs::read_to_string("/proc/self/mounts").context("reading the mount table")?;
    let mounts = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let found = mounts
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| Path::new(point).iter().count());
    Ok(found.map_or("unknown", |(_, kind)| kind).to_owned())
}

fn try_disk(folder: &Path) -> std::io::Result<Percentiles> {
    let path = folder.join("sync-test");
    let mut file = File::create(&path)?;
    let block = [0x5a; BLOCK];
    file.write_all(&block)?;
    file.sync_all()?;
    let mut taken = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&block)?;
        file.sync_data()?;
        taken.push(began.elapsed());
    }
    fs::remove_file(path)?;
    Ok(Percentiles::of_durations(&taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_wins() {
        assert_eq!(file_system(Path::new("/proc/self")).expect("a mounted path"), "proc");
        assert!(file_system(Path::new("/no/such/folder")).is_err());
    }
}
