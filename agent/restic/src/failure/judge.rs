//! From what restic said and how it ended to what went wrong. Pure.

use super::error::{Error, FullPlace};
use super::findings::{Findings, GiveUp};
use super::patterns::Cause;

/// How the child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// What restic was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Backup,
    Restore,
    Check,
    Dump,
    /// All that only reads or writes the repository.
    Plain(&'static str),
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Check => "check",
            Self::Dump => "dump",
            Self::Plain(name) => name,
        }
    }

    fn writes_outside(self) -> bool {
        matches!(self, Self::Restore | Self::Dump)
    }
}

/// restic's exit codes since 0.17, and the one for a backup that lacks something, which all have.
const NO_REPOSITORY: i32 = 10;
const LOCKED: i32 = 11;
const WRONG_PASSWORD: i32 = 12;
const PARTIAL: i32 = 3;

/// What went wrong. `None`: nothing did; a backup may be partial all the same. `cancelled`: whether it was us
/// who ended it, at the caller's wish.
pub(crate) fn judge(
    operation: Operation,
    repository: &str,
    exit: Exit,
    cancelled: bool,
    findings: &Findings,
) -> Option<Error> {
    if exit == Exit::Code(0) || is_partial(operation, exit) {
        return silent_failure(operation, repository, findings);
    }
    if cancelled {
        return Some(Error::Cancelled { detail: findings.last_words() });
    }
    let (cause, detail) = match exit {
        Exit::Code(NO_REPOSITORY) => (Cause::RepositoryMissing, String::new()),
        Exit::Code(LOCKED) => (Cause::Locked, String::new()),
        Exit::Code(WRONG_PASSWORD) => (Cause::WrongPassword, String::new()),
        Exit::Code(_) | Exit::Signal(_) => match findings.cause() {
            Some((cause, detail)) => (cause, detail.to_owned()),
            None => return Some(unexplained(operation, repository, exit, findings)),
        },
    };
    // A target that takes no files is not a repository that takes no changes.
    if operation == Operation::Restore && cause == Cause::Refused && !findings.files.is_empty() {
        return Some(Error::Incomplete { files: findings.files.clone() });
    }
    Some(explained(operation, repository, cause, detail, findings))
}

/// Whether a backup was made and lacks something.
pub(crate) fn is_partial(operation: Operation, exit: Exit) -> bool {
    operation == Operation::Backup && exit == Exit::Code(PARTIAL)
}

/// restic calls some failures a success: a server that refuses to remove a snapshot, an id that does not
/// exist.
fn silent_failure(operation: Operation, repository: &str, findings: &Findings) -> Option<Error> {
    if matches!(operation, Operation::Backup | Operation::Restore | Operation::Check) {
        return None;
    }
    [Cause::Refused, Cause::SnapshotMissing].into_iter().find_map(|cause| {
        let detail = findings.named(cause)?.to_owned();
        Some(explained(operation, repository, cause, detail, findings))
    })
}

fn explained(
    operation: Operation,
    repository: &str,
    cause: Cause,
    detail: String,
    findings: &Findings,
) -> Error {
    let repository = repository.to_owned();
    match cause {
        Cause::WrongPassword => Error::WrongPassword { repository },
        Cause::RepositoryMissing => Error::RepositoryMissing { repository },
        Cause::Locked => Error::Locked { repository, lock: findings.lock.clone().map(Box::new) },
        Cause::AccessDenied => Error::AccessDenied { repository, detail },
        Cause::Refused | Cause::AlreadyThere => Error::Refused { repository, detail },
        Cause::Full => {
            let outside = operation.writes_outside();
            let place = if outside { FullPlace::Target } else { FullPlace::Repository };
            Error::Full { repository, place, detail }
        }
        Cause::Unreachable => Error::Unreachable { repository, detail },
        Cause::SnapshotMissing => Error::SnapshotMissing { repository, detail },
        Cause::PathMissing => Error::PathMissing { detail },
        Cause::SourceMissing => Error::SourceMissing { detail },
        Cause::Damaged if findings.problems.is_empty() => {
            Error::Damaged { repository, problems: vec![detail], more: 0 }
        }
        Cause::Damaged => {
            Error::Damaged { repository, problems: findings.problems.clone(), more: findings.more_problems }
        }
    }
}

fn unexplained(operation: Operation, repository: &str, exit: Exit, findings: &Findings) -> Error {
    let detail = findings.last_words();
    if operation == Operation::Restore && !findings.files.is_empty() {
        return Error::Incomplete { files: findings.files.clone() };
    }
    // What was ended here because it only repeated itself is a server that does not do its work.
    if findings.given_up == Some(GiveUp::Patience) {
        return Error::Unreachable { repository: repository.to_owned(), detail };
    }
    match exit {
        Exit::Signal(signal) => Error::Killed { signal, detail },
        Exit::Code(code) => Error::Other { operation: operation.name(), code, detail },
    }
}
