//! Every way in which an operation fails. Each message says what was wrong and what to do.

use crate::report::{Lock, UnreadableFiles};
use crate::version::{Feature, Version};
use std::io;
use std::path::PathBuf;

/// What has no room left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FullPlace {
    /// The repository.
    Repository,
    /// The file system that something is restored to.
    Target,
}

/// Whether the same again may end otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// By itself, after a while.
    Later,
    /// Not before somebody has changed something.
    AfterRepair,
}

/// Why an operation failed. No variant and no message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no restic.
    #[error("restic is not installed: not found in {looked_in}; install it (Debian: apt-get install restic)")]
    NotInstalled {
        /// Where it was looked for.
        looked_in: String,
    },
    /// Something is there that does not say a version.
    #[error("{} does not say which restic it is: {said}; install restic 0.14 or later", .binary.display())]
    NotRestic {
        /// What was called.
        binary: PathBuf,
        /// What it said.
        said: String,
    },
    /// restic is there and cannot do this.
    #[error("{what} takes restic {needed} or later, and here is {found}; install a newer restic")]
    TooOld {
        /// What was wanted.
        what: String,
        /// Since when it can be had.
        needed: Version,
        /// What is here.
        found: Version,
    },
    /// The request makes no sense. restic was not called.
    #[error("{0}")]
    Invalid(String),
    /// The repository's password is another.
    #[error("wrong password for {repository}: give the one it was made with, or that of one of its keys")]
    WrongPassword {
        /// Where.
        repository: String,
    },
    /// There is no repository.
    #[error("no repository at {repository}: check the location, or initialise it")]
    RepositoryMissing {
        /// Where.
        repository: String,
    },
    /// Another process is at work.
    #[error("{repository} is locked{}; wait for it, or unlock it when that process is gone", by(.lock.as_deref()))]
    Locked {
        /// Where.
        repository: String,
        /// By whom, where restic says it in words that are known.
        lock: Option<Box<Lock>>,
    },
    /// The server does not accept the credentials.
    #[error("{repository} refuses the credentials: {detail}; check user, keys and their rights")]
    AccessDenied {
        /// Where.
        repository: String,
        /// What restic said.
        detail: String,
    },
    /// The repository takes no changes of this kind: it is append-only, or read-only.
    #[error(
        "{repository} refuses the change: {detail}; it is append-only or read-only, use an access that may"
    )]
    Refused {
        /// Where.
        repository: String,
        /// What restic said.
        detail: String,
    },
    /// No room.
    #[error("{} is full: {detail}; free some space", full_place(.repository, *.place))]
    Full {
        /// The repository.
        repository: String,
        /// What is full.
        place: FullPlace,
        /// What restic said.
        detail: String,
    },
    /// The repository's server does not answer.
    #[error("{repository} cannot be reached: {detail}; check the network, the address and the server")]
    Unreachable {
        /// Where.
        repository: String,
        /// What restic said.
        detail: String,
    },
    /// No such snapshot.
    #[error("no such snapshot in {repository}: {detail}; list the snapshots")]
    SnapshotMissing {
        /// Where.
        repository: String,
        /// What restic said.
        detail: String,
    },
    /// The snapshot is there and has no such path.
    #[error("no such path in the snapshot: {detail}; list what is in it")]
    PathMissing {
        /// What restic said.
        detail: String,
    },
    /// None of the paths to back up is there.
    #[error("nothing to back up: {detail}; check the paths")]
    SourceMissing {
        /// What restic said.
        detail: String,
    },
    /// The repository's data is wrong or gone.
    #[error("{repository} is damaged: {}; use another copy, and `restic repair` this one", first_of(.problems, *.more))]
    Damaged {
        /// Where.
        repository: String,
        /// What restic found, first things first; at most 100.
        problems: Vec<String>,
        /// How many more there are.
        more: u64,
    },
    /// A restore left files out, or wrote them wrongly.
    #[error("{} files were not restored, such as {}; see to it and restore again", .files.count(), first_file(.files))]
    Incomplete {
        /// Which, and why.
        files: UnreadableFiles,
    },
    /// What should have been backed up failed while it was read. There is no snapshot of it.
    #[error(
        "no snapshot was made, because the source of the stream failed: {detail}; see to it and run again"
    )]
    Source {
        /// Why.
        detail: String,
    },
    /// A stream ended well and empty, which no dump is. There is no snapshot of it.
    #[error("the stream was empty, and no snapshot was made; check what produces it")]
    EmptyStream,
    /// Ended by whoever started it. What was done stays done.
    #[error("cancelled{}", after(.detail))]
    Cancelled {
        /// The last restic said, which may tell what it was waiting for.
        detail: String,
    },
    /// Ended by somebody else, such as a kernel out of memory.
    #[error("restic was killed by signal {signal}{}; look for memory shortage, and unlock the repository", after(.detail))]
    Killed {
        /// The signal.
        signal: i32,
        /// The last restic said.
        detail: String,
    },
    /// Something outside of restic failed.
    #[error("{doing} failed")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// restic said something that makes no sense here.
    #[error("restic's answer to {operation} cannot be used: {detail}")]
    Answer {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
    /// Anything else.
    #[error("restic {operation} failed with code {code}: {detail}")]
    Other {
        /// What was asked.
        operation: &'static str,
        /// restic's exit code.
        code: i32,
        /// The last restic said.
        detail: String,
    },
}

impl Error {
    /// Whether the same again may end otherwise.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Locked { .. } | Self::Unreachable { .. } | Self::Cancelled { .. } | Self::Killed { .. } => {
                Retry::Later
            }
            Self::Source { .. } | Self::EmptyStream | Self::Io { .. } => Retry::Later,
            _ => Retry::AfterRepair,
        }
    }

    /// Refuses what this version cannot do.
    pub(crate) fn if_too_old(found: Version, feature: Feature) -> Result<(), Self> {
        if found.has(feature) {
            return Ok(());
        }
        Err(Self::TooOld { what: feature.to_string(), needed: feature.since(), found })
    }
}

fn full_place(repository: &str, place: FullPlace) -> &str {
    match place {
        FullPlace::Repository => repository,
        FullPlace::Target => "the target's file system",
    }
}

fn by(lock: Option<&Lock>) -> String {
    lock.map_or_else(String::new, |lock| format!(" by {lock}"))
}

fn after(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

fn first_of(problems: &[String], more: u64) -> String {
    let first = problems.first().map_or("restic does not say how", String::as_str);
    match problems.len() as u64 + more {
        0 | 1 => first.to_owned(),
        all => format!("{first} (first of {all} findings)"),
    }
}

fn first_file(files: &UnreadableFiles) -> String {
    files.named.first().map_or_else(|| "some".to_owned(), |file| format!("{} ({})", file.path, file.reason))
}
