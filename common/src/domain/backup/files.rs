//! What is in a snapshot, folder by folder.

use super::Repository;
use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most entries that an agent is asked for at once: a page of the API, and one to know whether more follow.
pub const MAX_FILES: u32 = 501;

/// One folder of a snapshot, to be listed. Travels as JSON, holds secrets and is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesOrder {
    /// Where the snapshot lies.
    pub repository: Repository,
    /// Its full id.
    pub snapshot: String,
    /// The paths below the item's root that it was limited to; empty for all of it.
    pub include: Vec<String>,
    /// Which folder, from the item's root `/`.
    pub path: String,
    /// So many of its entries are passed over.
    pub skip: u64,
    /// And at most so many told, up to [`MAX_FILES`].
    pub most: u32,
}

/// What a thing in a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Special,
}

/// A thing in a folder of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
    /// Its name. Bytes of it that are no UTF-8 show as U+FFFD; such a thing can only be restored with its folder.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of a file.
    pub size: u64,
    /// Permissions as `chmod` counts them, with the set-user, set-group and sticky bits.
    pub mode: u32,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
    /// When its content last changed; absent where no calendar has that moment.
    pub modified: Option<Time>,
    /// What a symbolic link points at, where it can be told.
    pub target: Option<String>,
    /// It is all that was taken, a file or a dump, and comes back without a path.
    pub whole: bool,
}
