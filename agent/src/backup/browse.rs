//! What is in a folder of a snapshot, for somebody who looks at a screen: soon, or not at all.

use super::failure::Failure;
use super::repository::Opened;
use super::restore::base;
use super::take::files::within;
use omni_common::clock::Time;
use omni_common::domain::backup::{FileEntry, FileKind, FilesOrder, MAX_FILES};
use omni_restic::{Entry, EntryKind, Folder, Restic, SnapshotId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// All of a listing; the controllers wait a little longer, so that what is said here arrives.
const WITHIN: Duration = Duration::from_secs(24);
/// How long a server that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(12);
/// Listings at once: each is a restic, which may hold a large index in memory.
const AT_ONCE: usize = 2;
/// Snapshots of which is remembered what they were made of. Beyond, all are forgotten: it is asked again.
const MAX_KNOWN: usize = 256;
/// Longest target of a link that is told, bytes: the longest that Linux has.
const MAX_TARGET: usize = 4096;

/// Lists what is in snapshots.
pub struct Browser {
    /// The program, where it is there.
    restic: Option<Restic>,
    /// A private folder for short-lived files.
    work: PathBuf,
    slots: Semaphore,
    /// The paths that snapshots were made of, by id. An id stands for a content, so what is known stays true.
    known: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Browser {
    /// With these.
    pub fn new(restic: Option<&Restic>, work: impl Into<PathBuf>) -> Self {
        Self {
            restic: restic.map(|restic| restic.patient_for(PATIENCE)),
            work: work.into(),
            slots: Semaphore::new(AT_ONCE),
            known: Mutex::default(),
        }
    }

    /// The entries of a folder, by name. Dropping the future ends restic.
    pub async fn list(&self, order: &FilesOrder) -> Result<Vec<FileEntry>, Failure> {
        let listed = tokio::time::timeout(WITHIN, async {
            let slot = self.slots.acquire().await;
            let listed = self.listed(order).await;
            drop(slot);
            listed
        });
        listed.await.unwrap_or_else(|_| {
            let message = format!(
                "repository {} has not told within {} s what is in the snapshot; try again, now that more of it is known here",
                order.repository.name,
                WITHIN.as_secs()
            );
            Err(Failure::new("slow", message))
        })
    }

    async fn listed(&self, order: &FilesOrder) -> Result<Vec<FileEntry>, Failure> {
        let restic = self.restic.as_ref();
        let restic =
            restic.ok_or_else(|| Failure::new("no_restic", "there is no restic on this host; install it"))?;
        let opened = Opened::new(restic, &order.repository, &self.work)?;
        let id = order.snapshot.parse::<SnapshotId>();
        let id = id.map_err(|error| Failure::new("invalid", format!("`{}`: {error}", order.snapshot)))?;
        let inner = inner(&order.path)?;
        let made_of = self.made_of(&opened, &id).await?;
        let root = base(&made_of, &order.include)?;
        let place = match inner {
            Some(inner) => root.join(inner),
            None => root,
        };
        let most = order.most.min(MAX_FILES);
        let found = opened.restic.browse(&opened.repository, &id, &place, order.skip, most as usize).await?;
        entries(found, &place, order)
    }

    /// The paths that a snapshot was made of.
    async fn made_of(&self, opened: &Opened, id: &SnapshotId) -> Result<Vec<String>, Failure> {
        if let Some(known) = self.known().get(id.as_str()) {
            return Ok(known.clone());
        }
        let made_of = opened.restic.browse(&opened.repository, id, Path::new("/"), 0, 0).await?.made_of;
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id.as_str().to_owned(), made_of.clone());
        Ok(made_of)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The path below the item's root; absent for the root itself. Pure.
fn inner(path: &str) -> Result<Option<&Path>, Failure> {
    match path.trim_start_matches('/') {
        "" => Ok(None),
        _ => within(path).map(Some),
    }
}

/// What is told of what was found. Pure.
fn entries(found: Folder, place: &Path, order: &FilesOrder) -> Result<Vec<FileEntry>, Failure> {
    let whole = order.path.trim_matches('/').is_empty();
    match &found.itself {
        Some(one) if one.kind == EntryKind::Dir => {}
        // An item that is one file, or a dump.
        Some(one) if whole => {
            let wanted = order.skip == 0 && order.most > 0;
            return Ok(if wanted {
                vec![FileEntry { whole: true, ..told(one, &found) }]
            } else {
                Vec::new()
            });
        }
        Some(_) => {
            let message = format!("`{}` is no folder; list the one that it is in", order.path);
            return Err(Failure::new("not_a_folder", message));
        }
        // The root of a snapshot says nothing of itself.
        None if place == Path::new("/") => {}
        None => {
            let message = format!("there is no `{}` in the snapshot; list the folders above it", order.path);
            return Err(Failure::new("path_missing", message));
        }
    }
    Ok(found.entries.iter().map(|entry| told(entry, &found)).collect())
}

fn told(entry: &Entry, folder: &Folder) -> FileEntry {
    let name = Path::new(&entry.path).file_name().map(|name| name.to_string_lossy().into_owned());
    FileEntry {
        name: name.unwrap_or_default(),
        kind: match entry.kind {
            EntryKind::File => FileKind::File,
            EntryKind::Dir => FileKind::Folder,
            EntryKind::Symlink => FileKind::Link,
            EntryKind::Special => FileKind::Special,
        },
        size: entry.size,
        mode: entry.unix_mode(),
        uid: entry.uid,
        gid: entry.gid,
        modified: entry.mtime.map(|at| Time::from_millis(at.as_millisecond())),
        target: folder.targets.get(&entry.path).map(|target| cut(target)),
        whole: false,
    }
}

fn cut(target: &str) -> String {
    target[..target.floor_char_boundary(MAX_TARGET)].to_owned()
}
