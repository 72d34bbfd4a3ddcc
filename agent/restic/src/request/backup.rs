//! Backups of files and of streams.

use super::{Args, Labels, Limits};
use crate::failure::Error;
use crate::version::{Feature, Version};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Most paths of one backup: they all stand on one command line.
const MAX_PATHS: usize = 1000;

/// A backup of files.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Files and folders, from `/`.
    pub paths: Vec<PathBuf>,
    /// Patterns of what is left out, as restic has them. One that begins with `!` takes something in again.
    pub exclude: Vec<String>,
    /// Whether folders that are marked as caches are left out.
    pub exclude_caches: bool,
    /// Files of more bytes are left out.
    pub exclude_larger_than: Option<u64>,
    /// Whether other file systems below the paths are left out.
    pub one_file_system: bool,
    /// What the snapshot is called.
    pub labels: Labels,
    /// Whether no snapshot is made when nothing has changed. Takes restic 0.17.
    pub skip_unchanged: bool,
    /// Whether nothing is written and only the report made.
    pub dry_run: bool,
    /// How fast.
    pub limits: Limits,
}

impl Backup {
    pub(crate) fn args(&self, version: Version) -> Result<Vec<OsString>, Error> {
        if self.paths.is_empty() || self.paths.len() > MAX_PATHS {
            let count = self.paths.len();
            return Err(Error::Invalid(format!("a backup has 1 to {MAX_PATHS} paths, not {count}")));
        }
        if let Some(path) = self.paths.iter().find(|path| !path.is_absolute()) {
            let path = path.display();
            return Err(Error::Invalid(format!("`{path}` is not absolute; write the whole path, from /")));
        }
        if self.skip_unchanged {
            Error::if_too_old(version, Feature::SkipUnchanged)?;
        }
        let mut args = Args::default();
        args.add("backup");
        args.each("--exclude=", &self.exclude);
        args.flag(self.exclude_caches, "--exclude-caches");
        args.each("--exclude-larger-than=", &self.exclude_larger_than);
        args.flag(self.one_file_system, "--one-file-system");
        args.flag(self.skip_unchanged, "--skip-if-unchanged");
        args.flag(self.dry_run, "--dry-run");
        self.labels.add_to(&mut args);
        self.limits.add_to(&mut args);
        args.add("--");
        args.0.extend(self.paths.iter().map(|path| path.clone().into_os_string()));
        Ok(args.0)
    }
}

/// The name of the one file of a stream's snapshot. No folders: restic 0.18.0 wants them to exist on the
/// host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamName(String);

/// No name for a stream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no name for a stream: expected the name of a file, such as shop.sql, without folders")]
pub struct BadStreamName;

impl FromStr for StreamName {
    type Err = BadStreamName;

    fn from_str(text: &str) -> Result<Self, BadStreamName> {
        let bad = text.is_empty()
            || text.len() > 255
            || matches!(text, "." | "..")
            || text.contains(|c: char| c == '/' || c.is_control());
        if bad { Err(BadStreamName) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A backup of a stream. The snapshot has one file, `/NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamBackup {
    /// What the file is called.
    pub name: StreamName,
    /// What the snapshot is called.
    pub labels: Labels,
    /// How fast.
    pub limits: Limits,
}

impl StreamBackup {
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args = Args::default();
        args.add("backup");
        args.add("--stdin");
        args.each("--stdin-filename=", [&self.name]);
        self.labels.add_to(&mut args);
        self.limits.add_to(&mut args);
        args.0
    }
}
