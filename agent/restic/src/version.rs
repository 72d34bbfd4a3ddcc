//! Which restic is here, and what it can do.

use std::fmt;
use std::str::FromStr;

/// A version of restic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// Has been 0 for ten years.
    pub major: u16,
    /// Grows with features.
    pub minor: u16,
    /// Grows with corrections.
    pub patch: u16,
}

impl Version {
    /// The oldest that is used: what Debian 12 carries.
    pub const OLDEST: Self = Self::new(0, 14, 0);

    /// A version from its parts.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Whether this version has a feature.
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.since()
    }

    /// Reads what `restic version` prints: `restic 0.14.0 compiled with …`.
    pub(crate) fn from_output(output: &str) -> Option<Self> {
        output.split_whitespace().skip_while(|word| *word != "restic").nth(1)?.parse().ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// No version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no version of restic: expected three numbers such as 0.14.0")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    /// Development builds carry a suffix (`0.17.1-dev`), which says nothing about features.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let mut parts = numbers.split('.').map(|part| part.parse().map_err(|_| NoVersion));
        let mut next = || parts.next().unwrap_or(Err(NoVersion));
        let version = Self::new(next()?, next()?, next()?);
        if parts.next().is_some() { Err(NoVersion) } else { Ok(version) }
    }
}

/// What newer versions can do and [`Version::OLDEST`] cannot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// `restore --sparse`.
    SparseRestore,
    /// `restore --json`: progress and a summary.
    RestoreProgress,
    /// `restore --dry-run`.
    RestoreDryRun,
    /// `restore --overwrite` and `--delete`.
    RestoreInPlace,
    /// `backup --skip-if-unchanged`.
    SkipUnchanged,
}

impl Feature {
    /// The first version with it.
    pub const fn since(self) -> Version {
        match self {
            Self::SparseRestore => Version::new(0, 15, 0),
            Self::RestoreProgress => Version::new(0, 16, 0),
            Self::RestoreDryRun | Self::RestoreInPlace | Self::SkipUnchanged => Version::new(0, 17, 0),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SparseRestore => "restoring sparse files as sparse",
            Self::RestoreProgress => "progress of a restore",
            Self::RestoreDryRun => "a dry run of a restore",
            Self::RestoreInPlace => "deleting or keeping files that are already at the target of a restore",
            Self::SkipUnchanged => "leaving out unchanged snapshots",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_each_version_is_read() {
        for (output, version) in [
            ("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n", Some("0.14.0")),
            ("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n", Some("0.18.0")),
            ("restic 0.17.1-dev (compiled manually) compiled with go1.23 on linux/amd64\n", Some("0.17.1")),
            ("warning: something\nrestic 0.16.4 compiled with go1.21.6 on linux/arm64\n", Some("0.16.4")),
            ("restic dev compiled with go1.19\n", None),
            ("rustic 0.11.4\n", None),
            ("", None),
        ] {
            assert_eq!(Version::from_output(output).map(|v| v.to_string()).as_deref(), version, "{output}");
        }
    }

    #[test]
    fn features_come_with_their_version() {
        assert!(!Version::OLDEST.has(Feature::SparseRestore));
        assert!(Version::new(0, 16, 0).has(Feature::RestoreProgress));
        assert!(!Version::new(0, 16, 5).has(Feature::RestoreDryRun));
        assert!(Version::new(1, 0, 0).has(Feature::RestoreDryRun));
    }
}
