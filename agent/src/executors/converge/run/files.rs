//! Files of releases on the host. Everything is written beside its place and moved there as a whole, so that a container
//! never sees half of it and a crash leaves nothing that counts.
//!
//! Secrets only ever lie in memory: where their folder is not on a file system in memory already (`/run` usually is), a
//! small one is mounted there; where that is not possible, the allocation fails and says so.

use super::super::mounts::{HostFile, OnHost};
use super::super::plan::Dirs;
use bytes::Bytes;
use omni_common::domain::app::{ContentDigest, FileRef};
use rustix::mount::MountFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// What the kernel calls file systems in memory.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;
/// Secrets of all apps of a host; a release carries 1 MiB at most.
const SECRETS_MOUNT: &std::ffi::CStr = c"size=64m,mode=0700";
/// Folders of a release are for whoever the container runs as.
const FOLDER_MODE: u32 = 0o755;

/// The contents by digest.
pub(super) type Contents = BTreeMap<ContentDigest, Bytes>;

/// The contents that these need.
pub(super) fn needed(files: &[OnHost]) -> BTreeSet<ContentDigest> {
    let digests = files.iter().flat_map(|file| match file {
        OnHost::File(file) => vec![file.content.clone()],
        OnHost::Tree(_, entries) | OnHost::Folder(_, entries) => {
            entries.values().map(|entry| entry.digest.clone()).collect()
        }
    });
    digests.collect()
}

/// Lays everything out that is not there yet; an error is a sentence.
pub(super) fn lay(files: &[OnHost], contents: &Contents, dirs: &Dirs) -> Result<(), String> {
    if files.iter().any(|file| matches!(file, OnHost::File(file) if file.secret)) {
        in_memory(&dirs.secrets)?;
    }
    for file in files {
        match file {
            OnHost::File(file) => lay_file(file, contents),
            OnHost::Tree(path, entries) | OnHost::Folder(path, entries) => {
                lay_folder(path, entries, contents)
            }
        }
        .map_err(|error| format!("{} cannot be written: {error}", file.path().display()))?;
    }
    Ok(())
}

/// Makes sure that what lies in `folder` is never on a disk.
fn in_memory(folder: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!(
            "secrets are kept in memory only, and there is none to be had at {}: {error}",
            folder.display()
        )
    };
    private_folder(folder).map_err(|error| failed(&error))?;
    if is_in_memory(folder).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("omni-secrets", folder, "tmpfs", flags, SECRETS_MOUNT).map_err(|error| {
        failed(&format!("a tmpfs cannot be mounted ({error}); run the agent as root, or mount one"))
    })
}

fn is_in_memory(folder: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(folder)?.f_type;
    #[allow(clippy::useless_conversion, reason = "its width differs between architectures")]
    Ok([TMPFS, RAMFS].contains(&i64::from(kind)))
}

fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lay_file(file: &HostFile, contents: &Contents) -> io::Result<()> {
    let bytes = content(contents, &file.content)?;
    if fs::read(&file.path).is_ok_and(|there| there == *bytes) {
        return Ok(());
    }
    if let Some(parent) = file.path.parent() {
        private_folder(parent)?;
    }
    let beside = file.path.with_extension("new");
    write(&beside, bytes, file.mode)?;
    if file.uid.is_some() || file.gid.is_some() {
        chown(&beside, Some(file.uid.unwrap_or(0)), Some(file.gid.unwrap_or(0)))?;
    }
    fs::rename(&beside, &file.path)
}

/// A folder that is there is left as it is: a release's own is named by what is in it, and any other belongs to the app.
fn lay_folder(path: &Path, entries: &BTreeMap<String, FileRef>, contents: &Contents) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if entries.is_empty() {
        return open_folder(path);
    }
    let beside = path.with_extension("new");
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    open_folder(&beside)?;
    for (name, entry) in entries {
        let within = beside.join(name);
        let inner =
            within.strip_prefix(&beside).ok().and_then(Path::parent).into_iter().flat_map(Path::ancestors);
        let mut missing: Vec<PathBuf> =
            inner.map(|part| beside.join(part)).filter(|part| !part.exists()).collect();
        missing.reverse();
        missing.iter().try_for_each(|part| open_folder(part))?;
        write(&within, content(contents, &entry.digest)?, entry.mode)?;
    }
    fs::rename(&beside, path)
}

/// The process's umask decides nothing here.
fn open_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777))
}

fn content<'a>(contents: &'a Contents, digest: &ContentDigest) -> io::Result<&'a Bytes> {
    contents
        .get(digest)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("content {digest} is not here")))
}

/// Removes what no release needs any more. Folders that live on the host stay: they are the app's data.
pub(super) fn sweep(dirs: &Dirs, keep: &BTreeSet<PathBuf>) -> io::Result<()> {
    for root in [&dirs.files, &dirs.secrets] {
        // ENV / APP / GROUP.SLOT / files or trees / one of them
        for slot in below(root, 3)? {
            for kind in ["files", "trees"] {
                for path in below(&slot.join(kind), 1)? {
                    if keep.contains(&path) {
                        continue;
                    }
                    if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
                }
            }
        }
    }
    Ok(())
}

/// The entries so many levels below a folder.
fn below(folder: &Path, levels: u32) -> io::Result<Vec<PathBuf>> {
    if levels == 0 {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(below(&entry?.path(), levels - 1)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &'static [u8]) -> (FileRef, Bytes) {
        let digest = ContentDigest::of(bytes);
        (FileRef { digest, size: bytes.len() as u64, mode: 0o644 }, Bytes::from_static(bytes))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o7777
    }

    #[test]
    fn files_and_folders_of_a_release_come_and_go_and_data_stays() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dirs = Dirs { files: root.path().join("apps"), secrets: root.path().join("secrets") };
        let slot = dirs.files.join("default/shop/main.0");
        let (one, two) = (file(b"one"), file(b"two"));
        let contents: Contents =
            [&one, &two].map(|(entry, bytes)| (entry.digest.clone(), bytes.clone())).into_iter().collect();
        let config = HostFile {
            path: slot.join("files/config"),
            content: one.0.digest.clone(),
            mode: 0o440,
            uid: None,
            gid: None,
            secret: false,
        };
        let entries =
            BTreeMap::from([("deep/er/one".to_owned(), one.0.clone()), ("two".to_owned(), two.0.clone())]);
        let (tree, data) = (slot.join("trees/t"), slot.join("project/data"));
        let files = [
            OnHost::File(config.clone()),
            OnHost::Tree(tree.clone(), entries.clone()),
            OnHost::Folder(data.clone(), entries),
        ];
        assert_eq!(needed(&files).len(), 2);
        for _ in 0..2 {
            lay(&files, &contents, &dirs).expect("the disk works");
        }
        assert_eq!((mode(&config.path), mode(&tree), mode(&tree.join("deep/er/one"))), (0o440, 0o755, 0o644));
        assert_eq!(fs::read(tree.join("deep/er/one")).expect("there"), b"one");
        fs::write(data.join("two"), b"changed by the app").expect("the disk works");
        lay(&files, &contents, &dirs).expect("the disk works");
        assert_eq!(fs::read(data.join("two")).expect("there"), b"changed by the app");
        fs::write(&config.path, b"tampered").expect("root, or the owner");
        lay(&files, &contents, &dirs).expect("the disk works");
        assert_eq!(fs::read(&config.path).expect("there"), b"one");
        sweep(&dirs, &BTreeSet::from([config.path.clone()])).expect("the disk works");
        assert!(config.path.exists() && !tree.exists() && data.join("two").exists());
    }

    #[test]
    fn what_is_not_here_is_named() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dirs = Dirs { files: root.path().join("apps"), secrets: root.path().join("secrets") };
        let (entry, _) = file(b"one");
        let files = [OnHost::Tree(dirs.files.join("t"), BTreeMap::from([("x".to_owned(), entry)]))];
        let reason = lay(&files, &Contents::new(), &dirs).expect_err("nothing to write");
        assert!(reason.contains("apps/t cannot be written") && reason.contains("is not here"), "{reason}");
        assert!(!dirs.files.join("t").exists());
    }
}
