//! What restic is asked to do, as values, and the arguments that say it. Pure.
//!
//! A value that a user chose never becomes a word of its own on the command line: it stands behind `--flag=`,
//! after `--`, or is checked first, so that none can pass for an option.

mod backup;
mod maintain;
mod restore;
mod retention;
#[cfg(test)]
mod tests;

pub use backup::{Backup, BadStreamName, StreamBackup, StreamName};
pub use maintain::{Check, Copy, Prune, ReadData, StatsMode, Unused};
pub use restore::{Existing, Restore};
pub use retention::{GroupBy, Keep, Retention, Within};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A snapshot, by its id or the beginning of it: 8 to 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

/// Digits of a whole id.
const ID_DIGITS: usize = 64;
/// Digits of the shortest id that is taken, which is what old versions of restic print.
const SHORT_ID_DIGITS: usize = 8;

impl SnapshotId {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the whole id.
    pub fn is_whole(&self) -> bool {
        self.0.len() == ID_DIGITS
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No id of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no snapshot id: expected 8 to 64 digits of 0-9 and a-f")]
pub struct BadSnapshotId;

impl FromStr for SnapshotId {
    type Err = BadSnapshotId;

    fn from_str(text: &str) -> Result<Self, BadSnapshotId> {
        let good = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if (SHORT_ID_DIGITS..=ID_DIGITS).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadSnapshotId)
        }
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = BadSnapshotId;

    fn try_from(text: String) -> Result<Self, BadSnapshotId> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

/// A tag of a snapshot: one word to restic, so it has no comma.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// No tag.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no tag: it has at least one character, no comma, no control character and no blank at its ends")]
pub struct BadTag;

impl FromStr for Tag {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Self, BadTag> {
        let bad =
            text.is_empty() || text.trim() != text || text.contains(|c: char| c == ',' || c.is_control());
        if bad { Err(BadTag) } else { Ok(Self(text.to_owned())) }
    }
}

impl TryFrom<String> for Tag {
    type Error = BadTag;

    fn try_from(text: String) -> Result<Self, BadTag> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a new snapshot is called.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Labels {
    /// The host it is from; this one's name when absent.
    pub host: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its time, in whole seconds; the present when absent.
    pub time: Option<Timestamp>,
    /// The snapshot that unchanged files are taken from; the newest of the same host and paths when absent.
    pub parent: Option<SnapshotId>,
}

impl Labels {
    fn add_to(&self, args: &mut Args) {
        args.each("--host=", &self.host);
        args.each("--tag=", &self.tags);
        let time =
            self.time.map(|time| time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string());
        args.each("--time=", &time);
        args.each("--parent=", &self.parent);
    }
}

/// How fast data may move, in KiB per second. Without a number, as fast as it goes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Towards the repository.
    pub upload_kib_per_second: Option<u32>,
    /// From the repository.
    pub download_kib_per_second: Option<u32>,
}

impl Limits {
    fn add_to(self, args: &mut Args) {
        args.each("--limit-upload=", &self.upload_kib_per_second);
        args.each("--limit-download=", &self.download_kib_per_second);
    }
}

/// Which snapshots. An empty part chooses all; several parts all have to fit.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Filter {
    /// From any of these hosts.
    pub hosts: Vec<String>,
    /// With all tags of any of these sets.
    pub tags: Vec<Vec<Tag>>,
    /// With any of these paths (before 0.17) or with all of them.
    pub paths: Vec<PathBuf>,
}

impl Filter {
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        self.add_to(&mut args);
        args.0
    }

    fn add_to(&self, args: &mut Args) {
        args.each("--host=", &self.hosts);
        for set in self.tags.iter().filter(|set| !set.is_empty()) {
            args.add(format!("--tag={}", joined(set)));
        }
        args.paths("--path=", &self.paths);
    }
}

fn joined(tags: &[Tag]) -> String {
    tags.iter().map(|tag| tag.0.as_str()).collect::<Vec<_>>().join(",")
}

/// Arguments being put together.
#[derive(Default)]
pub(crate) struct Args(pub(crate) Vec<OsString>);

impl Args {
    fn add(&mut self, word: impl Into<OsString>) {
        self.0.push(word.into());
    }

    fn flag(&mut self, wanted: bool, word: &str) {
        if wanted {
            self.add(word);
        }
    }

    /// `--flag=VALUE` for each value.
    fn each<'a, T: fmt::Display + 'a>(&mut self, flag: &str, values: impl IntoIterator<Item = &'a T>) {
        self.0.extend(values.into_iter().map(|value| OsString::from(format!("{flag}{value}"))));
    }

    fn paths(&mut self, flag: &str, paths: &[PathBuf]) {
        for path in paths {
            let mut word = OsString::from(flag);
            word.push(path);
            self.add(word);
        }
    }
}
