//! The safe edge to the `restic` program: backups, restores and the care of repositories as typed operations.
//!
//! restic keeps the data; this crate starts it, listens to it and ends it. What lies in a repository is plain
//! restic: it can be listed, checked and restored with restic alone.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use omni_restic::{Backup, Credentials, Repository, Restic, Secret, Settings};
//!
//! let settings = Settings::new("/usr/bin:/bin", "/root", "/var/cache/omni/restic", "/run/omni");
//! let restic = Restic::find(settings).await?;
//! let repository = Repository::new("/srv/backup".parse()?, Credentials::None, Secret::new("a long password"))?;
//! restic.init(&repository, None).await?;
//! let backup = Backup { paths: vec!["/srv/shop".into()], ..Backup::default() };
//! let running = restic.backup(&repository, &backup)?;
//! let progress = running.progress(); // a watch channel: show it, send it on
//! let report = running.end().await?; // dropping this future cancels the backup
//! if report.is_partial() {
//!     eprintln!("{} files are missing from it", report.unreadable.count());
//! }
//! # drop(progress);
//! # Ok(())
//! # }
//! ```
//!
//! # What can be relied on
//!
//! - **Versions.** Debian 12's 0.14 is enough for everything that does not say otherwise. What a newer one
//!   has and is asked of an older one is [`Error::TooOld`], before anything runs.
//! - **Secrets** reach restic through its environment, a new password through a pipe, and a key for `ssh`
//!   through a file of mode 0600 that goes with the operation. None is in an argument, in `Debug`, in a log
//!   line or in an error. restic inherits nothing from this process: its environment is made here, in UTC and
//!   without a language.
//! - **A stream** ([`Restic::backup_stream`]) becomes a snapshot only when its source has ended well. A
//!   source that fails, a cancellation and the death of this process leave none, with every version of
//!   restic.
//! - **Ends.** Cancelling, or dropping whatever waits for an operation, interrupts restic, which gives up its
//!   lock; after [`Settings::grace`] it is killed with all that it started, and its lock removed if that is
//!   the only one. A process beside it does the same when this process dies, or its runtime goes. So no
//!   restic is left behind; after such a death a lock may be, which [`Restic::unlock`] takes for stale.
//! - **Failures** are told apart ([`Error`]), in versions with exit codes and without, and also where restic
//!   calls them a success: a server that refuses to remove a snapshot, an id that is not there. What cannot
//!   end well is not repeated for the quarter of an hour that restic takes for it; see
//!   [`Settings::patience`]. A backup with unreadable files is no failure but *partial*
//!   ([`BackupReport::is_partial`]); a restore with unwritten ones is a failure.
//! - **Bounds.** Lines, lists of files and findings, answers and listings have one each, and say when they
//!   were cut. Progress is a single value, overwritten.
//!
//! What is not here: schedules, retries ([`Error::retry`] says whether one makes sense), the choice of
//! snapshots, and databases.

#[cfg(test)]
mod captured;
mod failure;
mod operations;
mod process;
mod report;
mod repository;
mod request;
mod restic;
mod running;
mod secret;
mod version;

pub use failure::{Error, FullPlace, Retry};
pub use operations::Unlock;
pub use process::Source;
pub use report::{
    BackupReport, CopiedSnapshot, CopyReport, Entry, EntryKind, Folder, ForgetGroup, Initialised, Key, KeyId,
    Listing, Lock, Progress, PruneReport, RepositoryInfo, RestoreReport, Snapshot, Stats, Unreadable,
    UnreadableFiles,
};
pub use repository::{
    BadCredentials, BadLocation, Credentials, Location, LocationKind, Repository, S3Keys, SshKey,
};
pub use request::{
    Backup, BadSnapshotId, BadStreamName, BadTag, Check, Copy, Existing, Filter, GroupBy, Keep, Labels,
    Limits, Prune, ReadData, Restore, Retention, SnapshotId, StatsMode, StreamBackup, StreamName, Tag,
    Unused, Within,
};
pub use restic::{Restic, Settings};
pub use running::Running;
pub use secret::Secret;
pub use version::{Feature, NoVersion, Version};
