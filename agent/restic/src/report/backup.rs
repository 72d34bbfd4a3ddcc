//! The end of a backup.

use super::progress::{Progress, Status, cut};
use crate::request::SnapshotId;
use serde::Deserialize;

/// Most unreadable files that are named; the rest is counted.
const MAX_NAMED: usize = 200;
/// Longer names and reasons are cut.
const MAX_TEXT: usize = 1024;

/// A file or folder that could not be read, or written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Unreadable {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Files that are missing from a snapshot or a restore.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct UnreadableFiles {
    /// The first of them, each once; at most 200.
    pub named: Vec<Unreadable>,
    /// How many more there are.
    pub more: u64,
}

impl UnreadableFiles {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.more.saturating_add(self.named.len() as u64)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    pub(crate) fn add(&mut self, file: Unreadable) {
        if self.named.iter().any(|named| named.path == file.path) {
            return;
        }
        if self.named.len() < MAX_NAMED {
            self.named.push(file);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// An entry of that list, within bounds.
pub(crate) fn unreadable(path: &str, reason: &str) -> Unreadable {
    Unreadable { path: cut(path.to_owned(), MAX_TEXT), reason: cut(reason.trim().to_owned(), MAX_TEXT) }
}

/// The end of a backup.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct BackupReport {
    /// The snapshot; absent after a dry run, and when an unchanged one was to be left out.
    pub snapshot: Option<SnapshotId>,
    /// What the snapshot lacks. With any, it is *partial*: good for what it has, and no complete backup.
    pub unreadable: UnreadableFiles,
    /// Files that were not in the parent.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files taken from the parent.
    pub files_unmodified: u64,
    /// Files in the snapshot.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the repository did not have before, not compressed.
    pub bytes_added: u64,
    /// The same as they lie there now, compressed. Since restic 0.17.
    pub bytes_stored: Option<u64>,
    /// How long restic took.
    pub seconds: f64,
}

impl BackupReport {
    /// Whether something is missing from the snapshot.
    pub fn is_partial(&self) -> bool {
        !self.unreadable.is_empty()
    }
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    files_new: u64,
    #[serde(default)]
    files_changed: u64,
    #[serde(default)]
    files_unmodified: u64,
    #[serde(default)]
    data_added: u64,
    data_added_packed: Option<u64>,
    #[serde(default)]
    total_files_processed: u64,
    #[serde(default)]
    total_bytes_processed: u64,
    #[serde(default)]
    total_duration: f64,
    #[serde(default)]
    snapshot_id: String,
    #[serde(default)]
    dry_run: bool,
}

/// A line of a backup's output.
#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Line {
    Status(Status),
    Summary(Summary),
    #[serde(other)]
    Other,
}

/// Reads the lines of a backup.
#[derive(Default)]
pub(crate) struct BackupLines {
    report: Option<BackupReport>,
}

impl BackupLines {
    /// Takes a line in; says how far the backup is when the line does.
    pub(crate) fn line(&mut self, line: &str) -> Option<Progress> {
        match serde_json::from_str(line).ok()? {
            Line::Status(status) => return Some(status.into()),
            Line::Summary(summary) => self.report = Some(summary.into()),
            Line::Other => {}
        }
        None
    }

    /// The report, once restic has made it.
    pub(crate) fn report(self) -> Option<BackupReport> {
        self.report
    }
}

impl From<Summary> for BackupReport {
    fn from(summary: Summary) -> Self {
        Self {
            // A dry run names a snapshot that does not exist.
            snapshot: summary.snapshot_id.parse().ok().filter(|_| !summary.dry_run),
            unreadable: UnreadableFiles::default(),
            files_new: summary.files_new,
            files_changed: summary.files_changed,
            files_unmodified: summary.files_unmodified,
            files: summary.total_files_processed,
            bytes: summary.total_bytes_processed,
            bytes_added: summary.data_added,
            bytes_stored: summary.data_added_packed,
            seconds: summary.total_duration,
        }
    }
}
