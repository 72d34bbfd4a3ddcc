//! Why a run, or an item of it, did not work: a stable word and a sentence for people.

use crate::docker::DockerError;
use crate::ledger::LedgerError;
use crate::runs::Done;
use omni_common::domain::backup::RunState;
use omni_restic::{Error, FullPlace};
use std::io;
use std::path::Path;

/// Why something did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Stable word.
    pub code: &'static str,
    /// What failed, where, and what to do.
    pub message: String,
}

/// The word of what was given up.
pub(super) const CANCELLED: &str = "cancelled";

impl Failure {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// It was given up.
    pub(super) fn cancelled() -> Self {
        Self::new(CANCELLED, "it was given up before it was done")
    }

    /// What the file system refused; a full one has a word of its own.
    pub(super) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let message = format!("{doing} {} failed: {error}", path.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new("disk_full", format!("{message}; free some space on this host"))
            }
            _ => Self::new("io", message),
        }
    }

    /// How a run or item ends with it.
    pub(super) fn state(&self) -> RunState {
        if self.code == CANCELLED { RunState::Cancelled } else { RunState::Failed }
    }

    /// Whether it says something about the repository as a whole, so that nothing else will work there either.
    pub(super) fn is_of_repository(&self) -> bool {
        matches!(
            self.code,
            "no_restic"
                | "restic_too_old"
                | "wrong_password"
                | "repository_missing"
                | "locked"
                | "access_denied"
                | "refused"
                | "full"
                | "unreachable"
                | CANCELLED
        )
    }
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        Self::without_items(failure.state(), failure.code, failure.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotInstalled { .. } | Error::NotRestic { .. } => "no_restic",
            Error::TooOld { .. } => "restic_too_old",
            Error::Invalid(_) => "invalid",
            Error::WrongPassword { .. } => "wrong_password",
            Error::RepositoryMissing { .. } => "repository_missing",
            Error::Locked { .. } => "locked",
            Error::AccessDenied { .. } => "access_denied",
            Error::Refused { .. } => "refused",
            Error::Full { place: FullPlace::Repository, .. } => "full",
            Error::Full { place: FullPlace::Target, .. } => "disk_full",
            Error::Unreachable { .. } => "unreachable",
            Error::SnapshotMissing { .. } => "snapshot_missing",
            Error::PathMissing { .. } => "path_missing",
            Error::SourceMissing { .. } => "source_missing",
            Error::Damaged { .. } => "damaged",
            Error::Incomplete { .. } => "incomplete",
            Error::Source { .. } => "source_failed",
            Error::EmptyStream => "source_empty",
            Error::Cancelled { .. } => CANCELLED,
            Error::Killed { .. } => "killed",
            Error::Io { .. } => "io",
            Error::Answer { .. } | Error::Other { .. } => "restic_failed",
        };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::new(code, format!("{error}{cause}"))
    }
}

impl From<DockerError> for Failure {
    fn from(error: DockerError) -> Self {
        let text = error.to_string();
        let code = if text.contains("no space left on device") { "disk_full" } else { "docker" };
        Self::new(code, text)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::new("io", format!("{error}{cause}"))
    }
}
