//! What restic says, as values. Pure: text in, values out.
//!
//! restic leaves out what is zero and adds fields with every version, so everything has a default and the
//! unknown is passed over.

mod backup;
mod folder;
mod maintain;
mod progress;
mod restore;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use backup::{BackupLines, unreadable};
pub use backup::{BackupReport, Unreadable, UnreadableFiles};
pub use folder::Folder;
pub(crate) use folder::{FolderLines, TargetLines};
pub use maintain::{
    CopiedSnapshot, CopyReport, Initialised, Key, KeyId, Lock, PruneReport, RepositoryInfo, Stats,
};
pub(crate) use maintain::{PruneLines, utc};
pub use progress::Progress;
pub(crate) use progress::cut;
pub(crate) use restore::RestoreLines;
pub use restore::RestoreReport;
pub(crate) use snapshot::EntryLines;
pub use snapshot::{Entry, EntryKind, ForgetGroup, Listing, Snapshot};

/// The JSON document in an output that may have lines of text around it, such as those about old caches.
pub(crate) fn document(output: &str) -> &str {
    let start = output
        .match_indices(['[', '{'])
        .map(|(at, _)| at)
        .find(|at| *at == 0 || output.as_bytes()[at - 1] == b'\n');
    start.map_or("", |start| &output[start..])
}
