//! The one thing that outlives a host's processes: empty cgroup folders of its containers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::wait::eventually;

/// Begins the name of every cgroup that the testbed has made.
pub(super) const PREFIX: &str = "omni-bed-";

/// Killed processes leave their cgroup shortly after they are reaped, not at the same moment.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);

/// Removes the cgroups of a run, in every hierarchy (version 1 has one per controller).
pub(super) fn remove(run: &str) -> Result<()> {
    let mine = format!("{PREFIX}{run}-");
    for mount in hierarchies()? {
        let Ok(entries) = fs::read_dir(&mount) else {
            continue;
        };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine))
        {
            eventually("a cgroup of the testbed is empty", EMPTY_WITHIN, || remove_tree(&entry.path()).ok())?;
        }
    }
    Ok(())
}

/// A cgroup folder's files are not ours to delete: they go when the folder goes, children first.
fn remove_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the mounts")?;
    Ok(mounts.lines().filter_map(cgroup_mount).collect())
}

fn cgroup_mount(line: &str) -> Option<PathBuf> {
    let mut fields = line.split(' ').skip(1);
    let (path, kind) = (fields.next()?, fields.next()?);
    matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_cgroup_mounts_of_both_versions() {
        let path = |line| cgroup_mount(line).map(|path| path.display().to_string());
        assert_eq!(
            path("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0").as_deref(),
            Some("/sys/fs/cgroup/cpu")
        );
        assert_eq!(path("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0").as_deref(), Some("/sys/fs/cgroup"));
        assert_eq!(path("tmpfs /sys/fs/cgroup tmpfs rw 0 0"), None);
        assert_eq!(path("broken"), None);
    }
}
