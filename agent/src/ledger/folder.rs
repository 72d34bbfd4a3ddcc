//! The data folder as a whole: who owns it, which layout it has, who uses it now.

use super::{LedgerError, record};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The layout this build writes.
const LAYOUT: u32 = 1;
const VERSION: &str = "VERSION";
const LOCK: &str = "lock";
/// What may lie in a folder that has no VERSION yet: an operator's settings, or what a crash left behind.
const HARMLESS: &[&str] = &[LOCK, crate::config::SETTINGS_FILE, "VERSION.new"];

/// Held while a process uses the folder; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, LedgerError> {
        let path = dir.join(LOCK);
        let failed = |source| LedgerError::Io { action: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Checks that `dir` is a data folder of ours, of a layout this build reads.
pub(super) fn check(dir: &Path) -> Result<(), LedgerError> {
    check_owner(dir)?;
    match layout(dir)? {
        None => Err(LedgerError::Empty { dir: dir.to_owned() }),
        Some(found) => check_layout(dir, found),
    }
}

/// Makes `dir` a data folder, or checks that it is one.
pub(super) fn prepare(dir: &Path) -> Result<(), LedgerError> {
    make(dir)?;
    check_owner(dir)?;
    match layout(dir)? {
        Some(found) => check_layout(dir, found),
        None => {
            check_empty(dir)?;
            record::replace(&dir.join(VERSION), format!("omni-agent {LAYOUT}\n").as_bytes())
        }
    }
}

fn make(dir: &Path) -> Result<(), LedgerError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| LedgerError::Io {
        action: "create",
        path: dir.to_owned(),
        source,
    })
}

fn check_owner(dir: &Path) -> Result<(), LedgerError> {
    let meta = match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LedgerError::Empty { dir: dir.to_owned() });
        }
        other => other.map_err(|source| LedgerError::Io { action: "open", path: dir.to_owned(), source })?,
    };
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() == user {
        return Ok(());
    }
    Err(LedgerError::Owner { path: dir.to_owned(), owner: meta.uid(), user })
}

/// The folder's layout; absent when it has no VERSION file.
fn layout(dir: &Path) -> Result<Option<u32>, LedgerError> {
    let path = dir.join(VERSION);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(LedgerError::Io { action: "read", path, source });
        }
    };
    let number = text.strip_prefix("omni-agent ").and_then(|rest| rest.trim().parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(LedgerError::Torn { path, reason: "it names no layout".to_owned() }),
    }
}

fn check_layout(dir: &Path, found: u32) -> Result<(), LedgerError> {
    if found <= LAYOUT {
        return Ok(());
    }
    Err(LedgerError::Newer { dir: dir.to_owned(), found, known: LAYOUT })
}

fn check_empty(dir: &Path) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::Io { action: "list", path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !HARMLESS.contains(&name.as_str()) {
            return Err(LedgerError::Foreign { dir: dir.to_owned(), example: name });
        }
    }
    Ok(())
}
