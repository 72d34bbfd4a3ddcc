//! Contents: specifications and files of releases, each in a file that is named by the digest of its bytes.
//!
//! A name proves its file, so there is no header. Secrets of releases are among them: they have to be there after a
//! reboot with every controller away, and are as safe as the key of this host, which lies beside them. Containers get
//! them from memory only (`executors/converge/files.rs`).

use super::{LedgerError, record};
use omni_common::domain::app::ContentDigest;
use omni_common::wire::MAX_CONTENT;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The contents in `dir`. What a crash left half written is not one of them.
pub(super) fn list(dir: &Path) -> Result<BTreeSet<ContentDigest>, LedgerError> {
    let failed = |source| LedgerError::Io { action: "list", path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        found.extend(ContentDigest::try_from(name).ok());
    }
    Ok(found)
}

pub(super) fn read(dir: &Path, digest: &ContentDigest) -> Result<Option<Vec<u8>>, LedgerError> {
    let path = dir.join(digest.as_str());
    let bytes = match record::read_private_up_to(&path, MAX_CONTENT as u64) {
        Ok(bytes) => bytes,
        Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if ContentDigest::of(&bytes) == *digest {
        return Ok(Some(bytes));
    }
    Err(LedgerError::TornContent { path })
}

/// A file that is there is left alone: the first to write it wrote the same bytes.
pub(super) fn write(dir: &Path, digest: &ContentDigest, bytes: &[u8]) -> Result<(), LedgerError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| LedgerError::Io {
        action: "create",
        path: dir.to_owned(),
        source,
    })?;
    match read(dir, digest)? {
        Some(_) => Ok(()),
        None => record::replace(&dir.join(digest.as_str()), bytes),
    }
}

pub(super) fn remove(dir: &Path, digest: &ContentDigest) -> Result<(), LedgerError> {
    record::remove(dir, digest.as_str())
}
