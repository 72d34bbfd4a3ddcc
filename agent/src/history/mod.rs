//! The last day of a host, on that host: a ring of samples on disk.
//!
//! ```text
//! append ─▶ tail (memory) ─▶ newest segment ─ full ─▶ next segment … the oldest is deleted
//!                                                 0000000041.ring  0000000042.ring  …
//! query  ─▶ positions of all samples in range ─thin─▶ read, a bounded chunk at a time
//! ```
//!
//! A segment is a header and then records, each with its length, its moment and a checksum. Records are only
//! ever added behind the last one, so whatever byte a `kill -9` or a power cut stops at, what lies before it
//! stays readable: opening the ring cuts the torn end off the newest segment and goes on from there.
//!
//! Segments are numbered, not named by time, and are dropped by count: a clock that jumps cannot make the ring
//! forget. It holds a day at one sample each ten seconds, in [`MAX_DISK_BYTES`] at most; a host with so
//! many containers that a day does not fit keeps a shorter one. Samples that come faster, while somebody
//! watches, are thinned to that pace. Nothing is synced: after a power cut the last half minute may be
//! missing, which costs less than a flush each ten seconds would.
//!
//! When the disk is full the newest samples wait in memory, up to an hour of them, and are written once there
//! is room again. That is logged when it begins and when it ends, not in between.

mod query;
mod record;
mod segment;
mod tail;
#[cfg(test)]
mod tests;

pub use query::{Chunks, MAX_COLLECTED};

use omni_common::clock::Time;
use omni_common::domain::HostSample;
use query::Position;
use record::Record;
use segment::Segment;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tail::Tail;
use tracing::{info, warn};

/// Twenty-four full segments are a day; one more is being filled.
const MAX_SEGMENTS: usize = 25;
/// An hour of samples.
const SEGMENT_RECORDS: usize = 360;
/// A segment is closed earlier at this size: room for an hour of some two hundred containers.
const SEGMENT_BYTES: u64 = 8 << 20;
/// The ring never takes more room on disk than this.
pub const MAX_DISK_BYTES: u64 = MAX_SEGMENTS as u64 * SEGMENT_BYTES;
/// Samples closer together than this are thinned. A little under ten seconds, since timers are never exact.
const PACE: Duration = Duration::from_millis(9_500);

/// The history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file in the folder is not a segment. It was left as it is.
    #[error("{} is not a history file of omni-agent; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The folder was written by a later version. It was left as it is.
    #[error(
        "{} has format {found} and this omni-agent knows up to {}: it was written by a newer version; install that one, or move the file away",
        path.display(), segment::FORMAT
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl HistoryError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Where an appended sample went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Onto the disk.
    OnDisk,
    /// Into memory, because the disk takes nothing now.
    InMemory,
    /// Nowhere: it came too soon after the one before.
    Thinned,
    /// Nowhere: it is larger than a record may be.
    TooLarge,
}

/// The ring.
#[derive(Debug)]
pub struct History {
    dir: PathBuf,
    /// Oldest first; the last one is being filled.
    segments: VecDeque<Segment>,
    tail: Tail,
    newest: Option<Time>,
    /// The disk refused the last write, and that was logged.
    refused: bool,
    /// A sample was too large, and that was logged.
    too_large: bool,
}

impl History {
    /// Opens the ring in a folder, which is made when it is missing. A torn end is cut off; a file that is no
    /// segment, or one of a newer version, is an error and left alone.
    pub fn open(dir: &Path) -> Result<Self, HistoryError> {
        fs::create_dir_all(dir).map_err(HistoryError::io("make", dir))?;
        let mut segments = VecDeque::new();
        for number in segment::numbers(dir)? {
            segments.push_back(Segment::known(dir, number)?);
        }
        let mut history = Self {
            dir: dir.to_owned(),
            segments,
            tail: Tail::default(),
            newest: None,
            refused: false,
            too_large: false,
        };
        history.drop_oldest(MAX_SEGMENTS)?;
        if let Some(last) = history.segments.back_mut() {
            last.repair()?;
            history.newest = last.newest();
        }
        Ok(history)
    }

    /// Records a sample. It never fails: what the disk refuses waits in memory.
    pub fn append(&mut self, sample: &HostSample) -> Kept {
        if self.too_soon(sample.at) {
            return Kept::Thinned;
        }
        let record = match Record::encode(sample) {
            Ok(record) => record,
            Err(error) => {
                if !std::mem::replace(&mut self.too_large, true) {
                    warn!(%error, "a sample is too large for the history; such samples are not recorded");
                }
                return Kept::TooLarge;
            }
        };
        self.newest = Some(sample.at);
        self.tail.push(record);
        self.flush()
    }

    /// Samples from `from` to `to`, both included, oldest first: at most `max` and [`MAX_COLLECTED`], thinned
    /// evenly, the first and the last always among them. Samples that were damaged on disk are left out.
    pub fn query(&mut self, from: Time, to: Time, max: usize) -> Result<Vec<HostSample>, HistoryError> {
        let mut samples = Vec::new();
        for chunk in self.chunks(from, to, max.min(MAX_COLLECTED))? {
            samples.extend(chunk?);
        }
        Ok(samples)
    }

    /// The same a chunk at a time, for answers that should not be held whole. The chunks keep their files
    /// open, so they may be read from another thread while samples are appended.
    pub fn chunks(&mut self, from: Time, to: Time, max: usize) -> Result<Chunks, HistoryError> {
        let mut files = Vec::new();
        let mut positions = Vec::new();
        for segment in &mut self.segments {
            let entries = segment.entries_between(from, to)?;
            if !entries.is_empty() {
                positions.extend(entries.iter().map(|entry| Position::on_disk(*entry, files.len())));
                files.push(segment.source()?);
            }
        }
        positions.extend(self.tail.between(from, to).map(Position::in_memory));
        Ok(Chunks::new(files, positions, max))
    }

    /// A sample before the newest one means that the clock was set back; then the pace starts over.
    fn too_soon(&self, at: Time) -> bool {
        self.newest.is_some_and(|newest| at >= newest && at.since(newest) < PACE)
    }

    /// Writes what waits in memory, oldest first.
    fn flush(&mut self) -> Kept {
        while let Some(record) = self.tail.front() {
            if let Err(error) = self.write(&record) {
                if !self.refused {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, cause, "the history cannot be written; the newest samples wait in memory");
                }
                self.refused = true;
                return Kept::InMemory;
            }
            self.tail.pop();
        }
        if std::mem::take(&mut self.refused) {
            info!(dropped = self.tail.take_dropped(), "the history is written to disk again");
        }
        Kept::OnDisk
    }

    fn write(&mut self, record: &Record) -> Result<(), HistoryError> {
        if self.segments.back().is_none_or(|last| !last.has_room(record)) {
            // Before the new one is made, so that a full disk regains the room of the oldest.
            self.drop_oldest(MAX_SEGMENTS - 1)?;
            let number = self.segments.back_mut().map_or(0, |last| last.close().saturating_add(1));
            self.segments.push_back(Segment::create(&self.dir, number)?);
        }
        self.segments.back_mut().expect("one was made where there was none").append(record)
    }

    fn drop_oldest(&mut self, keep: usize) -> Result<(), HistoryError> {
        while self.segments.len() > keep {
            if let Some(oldest) = self.segments.front() {
                oldest.delete()?;
            }
            self.segments.pop_front();
        }
        Ok(())
    }
}

/// A record that waits in memory is shared with the queries that read it.
type Shared = Arc<Record>;
