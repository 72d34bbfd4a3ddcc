//! Work on repositories as a whole.

use super::{Args, Filter, Limits, SnapshotId};
use std::ffi::OsString;
use std::fmt;

/// How much of the data a check reads. Without any, it looks at structure and sizes only, and misses flipped
/// bits.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub enum ReadData {
    /// None.
    #[default]
    Nothing,
    /// All.
    All,
    /// So many percent of the packs, chosen at random; more than 0, at most 100.
    Percent(f32),
    /// Packs of about so many bytes, chosen at random.
    Bytes(u64),
    /// One of `of` parts, `part` counted from 1: all of them together are everything, once.
    Part {
        /// Which.
        part: u32,
        /// Of how many.
        of: u32,
    },
}

/// A check.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Check {
    /// How much is read.
    pub read_data: ReadData,
    /// How fast.
    pub limits: Limits,
}

impl Check {
    pub(crate) fn args(&self) -> Result<Vec<OsString>, crate::Error> {
        let mut args = Args::default();
        args.add("check");
        let subset = match self.read_data {
            ReadData::Nothing => None,
            ReadData::All => {
                args.add("--read-data");
                None
            }
            ReadData::Percent(percent) if percent > 0.0 && percent <= 100.0 => Some(format!("{percent:.3}%")),
            // In KiB, because a bare number is a number of parts to restic.
            ReadData::Bytes(bytes) if bytes > 0 => Some(format!("{}K", bytes.div_ceil(1024))),
            ReadData::Part { part, of } if part >= 1 && part <= of => Some(format!("{part}/{of}")),
            wrong => return Err(crate::Error::Invalid(format!("a check cannot read {wrong:?} of the data"))),
        };
        args.each("--read-data-subset=", &subset);
        self.limits.add_to(&mut args);
        Ok(args.0)
    }
}

/// How much data that nothing needs may stay, because repacking it costs more than keeping it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unused {
    /// So many percent of the repository.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
    /// Any: only packs that nothing needs at all are removed, none is repacked.
    Unlimited,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// Removal of the data that no snapshot needs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Prune {
    /// What may stay; restic's own 5 % when absent.
    pub max_unused: Option<Unused>,
    /// Most bytes repacked in one go.
    pub max_repack_bytes: Option<u64>,
    /// Whether only packs of folders are repacked, which are small and cached.
    pub repack_cacheable_only: bool,
    /// Whether nothing is written and only the report made.
    pub dry_run: bool,
    /// How fast.
    pub limits: Limits,
}

impl Prune {
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        args.add("prune");
        args.each("--max-unused=", &self.max_unused);
        args.each("--max-repack-size=", &self.max_repack_bytes);
        args.flag(self.repack_cacheable_only, "--repack-cacheable-only");
        args.flag(self.dry_run, "--dry-run");
        self.limits.add_to(&mut args);
        args.0
    }
}

/// A copy of snapshots into another repository.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Which; all that fit `filter` when empty.
    pub snapshots: Vec<SnapshotId>,
    /// Which, when `snapshots` is empty.
    pub filter: Filter,
    /// How fast.
    pub limits: Limits,
}

impl Copy {
    pub(crate) fn args<'a>(&self, snapshots: impl IntoIterator<Item = &'a SnapshotId>) -> Vec<OsString> {
        let mut args = Args::default();
        args.add("copy");
        self.limits.add_to(&mut args);
        args.add("--");
        args.0.extend(snapshots.into_iter().map(|id| OsString::from(id.as_str())));
        args.0
    }
}

/// What statistics count.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum StatsMode {
    /// Files as they would be restored.
    #[default]
    RestoreSize,
    /// Files with different content.
    FilesByContents,
    /// Data as it lies in the repository.
    RawData,
}

impl StatsMode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::RestoreSize => "restore-size",
            Self::FilesByContents => "files-by-contents",
            Self::RawData => "raw-data",
        }
    }
}
