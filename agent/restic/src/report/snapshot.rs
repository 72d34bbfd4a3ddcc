//! Snapshots and what is in them.

use crate::request::SnapshotId;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// A snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The whole id.
    pub id: SnapshotId,
    /// When it was made, or is said to have been.
    pub time: Timestamp,
    /// The host it is from.
    #[serde(default)]
    pub hostname: String,
    /// The user who made it.
    #[serde(default)]
    pub username: String,
    /// The paths it was made of.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<String>,
    /// Its tags.
    #[serde(default, deserialize_with = "list")]
    pub tags: Vec<String>,
    /// What was left out.
    #[serde(default, deserialize_with = "list")]
    pub excludes: Vec<String>,
    /// The id of its content: snapshots with the same tree hold the same.
    pub tree: String,
    /// The snapshot it was compared with.
    pub parent: Option<SnapshotId>,
    /// The snapshot that this is a copy of.
    pub original: Option<SnapshotId>,
}

impl Snapshot {
    /// What this snapshot and all its copies have in common.
    pub fn origin(&self) -> &SnapshotId {
        self.original.as_ref().unwrap_or(&self.id)
    }
}

/// Go prints an empty list as `null`.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A group of snapshots under a retention, and what the rules made of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ForgetGroup {
    /// The host, where grouped by it.
    #[serde(default)]
    pub host: String,
    /// The paths, where grouped by them.
    #[serde(default, deserialize_with = "list")]
    pub paths: Vec<String>,
    /// The tags, where grouped by them.
    #[serde(default, deserialize_with = "list")]
    pub tags: Vec<String>,
    /// What stays.
    #[serde(default, deserialize_with = "list")]
    pub keep: Vec<Snapshot>,
    /// What was removed, or would be.
    #[serde(default, deserialize_with = "list")]
    pub remove: Vec<Snapshot>,
}

/// What a thing in a snapshot is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe, a socket.
    #[serde(other)]
    Special,
}

/// A thing in a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Entry {
    /// Its whole path.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Bytes of a file.
    #[serde(default)]
    pub size: u64,
    /// Kind and permissions as Go counts them; see [`Entry::unix_mode`].
    #[serde(default)]
    pub mode: u32,
    /// As `ls -l` shows it.
    #[serde(default)]
    pub permissions: String,
    /// Owner.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// When its content last changed; absent for a moment that no calendar shows.
    #[serde(default, deserialize_with = "moment")]
    pub mtime: Option<Timestamp>,
}

impl Entry {
    /// Its permissions as `chmod` counts them, with the set-user, set-group and sticky bits.
    pub fn unix_mode(&self) -> u32 {
        const SPECIAL: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
        let special = SPECIAL.iter().filter(|(go, _)| self.mode & go != 0).map(|(_, unix)| unix);
        (self.mode & 0o777) | special.sum::<u32>()
    }
}

/// A clock that was never set must not hide the file.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Things in a snapshot.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Listing {
    /// In restic's order.
    pub entries: Vec<Entry>,
    /// Whether there are more than were asked for.
    pub truncated: bool,
}

/// Reads the lines of a listing.
pub(crate) struct EntryLines {
    most: usize,
    listing: Listing,
}

impl EntryLines {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, listing: Listing::default() }
    }

    /// Takes a line in; says whether more are wanted.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        // The first line is the snapshot, which has no type.
        let Ok(entry) = serde_json::from_str(line) else { return true };
        if self.listing.entries.len() < self.most {
            self.listing.entries.push(entry);
        } else {
            self.listing.truncated = true;
        }
        !self.listing.truncated
    }

    pub(crate) fn listing(self) -> Listing {
        self.listing
    }
}
