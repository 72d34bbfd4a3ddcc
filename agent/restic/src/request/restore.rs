//! Restores.

use super::{Args, Limits, SnapshotId};
use crate::failure::Error;
use crate::version::{Feature, Version};
use std::ffi::OsString;
use std::path::PathBuf;

/// What becomes of files that are at the target already. All but the first take restic 0.17.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Existing {
    /// They are overwritten.
    #[default]
    Overwrite,
    /// They are overwritten where size or time differ.
    IfChanged,
    /// They are overwritten where the snapshot's are newer.
    IfOlder,
    /// They are kept.
    Keep,
}

impl Existing {
    fn word(self) -> &'static str {
        match self {
            Self::Overwrite => "always",
            Self::IfChanged => "if-changed",
            Self::IfOlder => "if-newer",
            Self::Keep => "never",
        }
    }
}

/// A restore. Sparse files are restored as sparse from restic 0.15 on, and full of zeros before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restore {
    /// What.
    pub snapshot: SnapshotId,
    /// Where to, from `/`. Files lie below it with their whole path.
    pub target: PathBuf,
    /// Patterns; with any, only what fits one is restored.
    pub include: Vec<String>,
    /// Patterns of what is left out. Not together with `include`: restic refuses both at once.
    pub exclude: Vec<String>,
    /// Whether the restored files are read and compared with the repository afterwards.
    pub verify: bool,
    /// Files that are there already.
    pub existing: Existing,
    /// Whether files at the target that the snapshot lacks are deleted. Takes restic 0.17.
    pub delete: bool,
    /// Whether nothing is written and only the report made. Takes restic 0.17.
    pub dry_run: bool,
    /// How fast.
    pub limits: Limits,
}

impl Restore {
    /// A restore of the whole snapshot.
    pub fn new(snapshot: SnapshotId, target: impl Into<PathBuf>) -> Self {
        Self {
            snapshot,
            target: target.into(),
            include: Vec::new(),
            exclude: Vec::new(),
            verify: false,
            existing: Existing::default(),
            delete: false,
            dry_run: false,
            limits: Limits::default(),
        }
    }

    pub(crate) fn args(&self, version: Version) -> Result<Vec<OsString>, Error> {
        if !self.target.is_absolute() {
            let target = self.target.display();
            return Err(Error::Invalid(format!("`{target}` is not absolute; write the whole path, from /")));
        }
        if !self.include.is_empty() && !self.exclude.is_empty() {
            return Err(Error::Invalid("a restore has patterns to include or to exclude, not both".into()));
        }
        if self.dry_run {
            Error::if_too_old(version, Feature::RestoreDryRun)?;
        }
        if self.delete || self.existing != Existing::Overwrite {
            Error::if_too_old(version, Feature::RestoreInPlace)?;
        }
        let mut args = Args::default();
        args.add("restore");
        args.paths("--target=", std::slice::from_ref(&self.target));
        args.each("--include=", &self.include);
        args.each("--exclude=", &self.exclude);
        args.flag(self.verify, "--verify");
        args.flag(version.has(Feature::SparseRestore), "--sparse");
        if self.existing != Existing::Overwrite {
            args.add(format!("--overwrite={}", self.existing.word()));
        }
        args.flag(self.delete, "--delete");
        args.flag(self.dry_run, "--dry-run");
        self.limits.add_to(&mut args);
        args.add("--");
        args.add(self.snapshot.as_str());
        Ok(args.0)
    }
}
