//! File systems, from `/proc/self/mountinfo` and `statvfs`.
//!
//! Local ones are asked on the spot, which takes a microsecond. Those whose server may be gone are asked in
//! the background ([`prober`]): they appear a sample later, and disappear, named in the facts, when they stop
//! answering.

mod mounts;
mod prober;

use super::Roots;
use super::read::{Reader, SourceError};
use mounts::Mount;
use omni_common::domain::FilesystemSample;
use prober::{Ask, Prober, Usage, ask_kernel};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// At most this many file systems are reported, by mount point.
const MAX_FILESYSTEMS: usize = 64;

/// The collector.
pub(super) struct Filesystems {
    path: PathBuf,
    /// The table that `mounts` was read from: it changes with every container, mostly in lines of no use,
    /// and otherwise not for weeks.
    table: String,
    mounts: Vec<Mount>,
    ask: Ask,
    prober: Prober,
    asked: Option<Instant>,
}

impl Filesystems {
    pub(super) fn new(roots: &Roots) -> Self {
        Self::asking(roots, Arc::new(ask_kernel))
    }

    fn asking(roots: &Roots, ask: Ask) -> Self {
        Self {
            path: roots.proc.join("self/mountinfo"),
            table: String::new(),
            mounts: Vec::new(),
            prober: Prober::new(Arc::clone(&ask)),
            ask,
            asked: None,
        }
    }

    /// Why file systems are missing, when some are.
    pub(super) fn check(&mut self, reader: &mut Reader) -> Result<(), SourceError> {
        self.refresh(reader)?;
        let silent: Vec<&str> = self.asked.iter().flat_map(|at| self.prober.silent(*at)).collect();
        if !silent.is_empty() {
            return Err(SourceError::Absent(format!("no answer from {}", silent.join(", "))));
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<FilesystemSample> {
        if self.refresh(reader).is_err() {
            return Vec::new();
        }
        self.asked = Some(at);
        let (ask, prober) = (&self.ask, &mut self.prober);
        self.mounts
            .iter()
            .filter_map(|mount| {
                let usage = if mount.remote {
                    prober.usage(&mount.point, at)
                } else {
                    ask(Path::new(&mount.point)).ok()
                };
                sample(mount, usage?)
            })
            .collect()
    }

    fn refresh(&mut self, reader: &mut Reader) -> Result<(), SourceError> {
        let table = reader.text(&self.path)?;
        if table != self.table {
            self.mounts = mounts::parse(&table);
            self.mounts.truncate(MAX_FILESYSTEMS);
            self.table = table.into_owned();
            let mounts = &self.mounts;
            self.prober.retain(|point| mounts.iter().any(|mount| mount.point == point));
        }
        Ok(())
    }
}

/// A file system without any blocks is a view of something else.
fn sample(mount: &Mount, usage: Usage) -> Option<FilesystemSample> {
    (usage.total > 0).then(|| FilesystemSample {
        mount: mount.point.clone(),
        device: mount.device.clone(),
        kind: mount.kind.clone(),
        total: usage.total,
        available: usage.available,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;
    use std::io;

    fn answers(path: &Path) -> io::Result<Usage> {
        match path.to_str() {
            Some("/") => Ok(Usage { total: 1000, available: 250 }),
            Some("/empty") => Ok(Usage { total: 0, available: 0 }),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn local_file_systems_are_there_at_once() {
        let tree = Tree::new();
        tree.file(
            "proc/self/mountinfo",
            "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             28 1 8:2 / /empty rw - ext4 /dev/sda2 rw\n\
             29 1 8:3 / /gone rw - ext4 /dev/sda3 rw\n",
        );
        let mut source = Filesystems::asking(&tree.roots(), Arc::new(answers));
        let samples = source.sample(&mut Reader::default(), Instant::now());
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].mount.as_str(), samples[0].total, samples[0].available), ("/", 1000, 250));
        assert!(source.check(&mut Reader::default()).is_ok());
    }

    #[test]
    fn a_changed_table_is_read_again() {
        let tree = Tree::new();
        tree.file("proc/self/mountinfo", "");
        let mut source = Filesystems::asking(&tree.roots(), Arc::new(answers));
        assert_eq!(source.sample(&mut Reader::default(), Instant::now()), []);
        tree.file("proc/self/mountinfo", "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
        assert_eq!(source.sample(&mut Reader::default(), Instant::now()).len(), 1);
    }

    #[test]
    fn the_kernel_answers_for_the_root() {
        let usage = ask_kernel(Path::new("/")).expect("every machine has a root");
        assert!(usage.total >= usage.available);
    }
}
