//! What is said about repositories as a whole.

use crate::request::SnapshotId;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;

/// A repository, as its own configuration has it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct RepositoryInfo {
    /// Its id, which no other has.
    pub id: String,
    /// The version of its format.
    pub version: u32,
}

/// Whether `init` had something to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Initialised {
    /// There was none, and now there is.
    Created(RepositoryInfo),
    /// It was there, and its password is the given one.
    AlreadyThere(RepositoryInfo),
}

impl Initialised {
    /// The repository.
    pub fn repository(&self) -> &RepositoryInfo {
        let (Self::Created(info) | Self::AlreadyThere(info)) = self;
        info
    }
}

/// A key of a repository: one password that opens it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whether it is the one that the list was asked for with.
    #[serde(default)]
    pub current: bool,
    /// Who made it.
    #[serde(default, rename = "userName")]
    pub user: String,
    /// Where.
    #[serde(default, rename = "hostName")]
    pub host: String,
    /// When.
    #[serde(default, deserialize_with = "plain_time")]
    pub created: Option<Timestamp>,
}

/// The id of a key: 8 to 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyId(SnapshotId);

impl KeyId {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "no key id: expected 8 to 64 digits of 0-9 and a-f")
    }
}

impl TryFrom<String> for KeyId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// `2026-11-27 16:03:40`. The child's time zone is UTC.
fn plain_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| utc(&text)))
}

/// The moment that a text without a zone names in UTC.
pub(crate) fn utc(text: &str) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A lock: some process is at work in the repository, or died there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Lock {
    /// Its id; in a message of restic, the beginning of it.
    #[serde(default)]
    pub id: String,
    /// Since when. restic renews locks every five minutes, and takes one of more than thirty for left behind.
    pub time: Option<Timestamp>,
    /// Whether it keeps out everybody, or only who wants to keep out everybody.
    #[serde(default)]
    pub exclusive: bool,
    /// The host of the process.
    #[serde(default)]
    pub hostname: String,
    /// Its user.
    #[serde(default)]
    pub username: String,
    /// Its number there.
    #[serde(default)]
    pub pid: u32,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {} on {}", self.pid, self.username, self.hostname)?;
        if let Some(time) = self.time {
            write!(f, " since {time:.0}")?;
        }
        Ok(())
    }
}

/// What a prune did, or would do.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PruneReport {
    /// Bytes freed, to about a thousandth: restic says it for people.
    pub bytes_freed: Option<u64>,
    /// Bytes left in the repository, likewise.
    pub bytes_left: Option<u64>,
}

/// Reads the lines of a prune, which are text in every version.
#[derive(Default)]
pub(crate) struct PruneLines {
    report: PruneReport,
}

impl PruneLines {
    pub(crate) fn line(&mut self, line: &str) {
        let Some((label, rest)) = line.split_once(':') else { return };
        let bytes = || bytes(rest.rsplit_once('/').map_or(rest, |(_, size)| size));
        match label.trim() {
            "total prune" => self.report.bytes_freed = bytes(),
            "remaining" => self.report.bytes_left = bytes(),
            // What a repository without anything to remove gets instead.
            "this removes" => self.report.bytes_freed = self.report.bytes_freed.or_else(bytes),
            _ => {}
        }
    }

    pub(crate) fn report(self) -> PruneReport {
        self.report
    }
}

/// `12.345 MiB` as bytes.
fn bytes(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = words.next()?;
    let power = ["B", "KiB", "MiB", "GiB", "TiB"].iter().position(|known| *known == unit)?;
    let scale = f64::from(1_u32 << 10).powi(i32::try_from(power).ok()?);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2^53 bytes")]
    Some((number * scale).max(0.0) as u64)
}

/// Statistics. What a mode does not count is absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct Stats {
    /// Bytes.
    pub total_size: u64,
    /// Files and folders.
    pub total_file_count: Option<u64>,
    /// Pieces of data.
    pub total_blob_count: Option<u64>,
    /// Bytes before they were compressed.
    pub total_uncompressed_size: Option<u64>,
    /// Snapshots looked at.
    #[serde(default)]
    pub snapshots_count: u64,
}

/// A snapshot and its copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedSnapshot {
    /// In the one repository.
    pub source: SnapshotId,
    /// In the other.
    pub copy: SnapshotId,
    /// Whether it was there before.
    pub already_there: bool,
}

/// The end of a copy: what was asked for and, found by listing afterwards, where it is now.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CopyReport {
    /// One for each snapshot that was chosen.
    pub snapshots: Vec<CopiedSnapshot>,
}
