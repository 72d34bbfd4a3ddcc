//! Where log bytes lie: redb on a disk, or memory that forgets what was not synced.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One change of the log.
#[derive(Clone, Debug)]
pub(crate) enum LogOp {
    /// Entries by index.
    Append(Vec<(u64, Vec<u8>)>),
    /// Removes entries from this index on.
    TruncateFrom(u64),
    /// Removes entries up to and with this index.
    Purge {
        /// The index.
        upto: u64,
        /// Its encoded log id.
        id: Vec<u8>,
    },
    /// The vote.
    Vote(Vec<u8>),
    /// The commit index: a hint, lost without harm.
    Committed(Vec<u8>),
}

impl LogOp {
    /// Whether losing it to a power failure would break a promise.
    fn must_be_durable(&self) -> bool {
        matches!(self, Self::Append(_) | Self::Vote(_) | Self::TruncateFrom(_))
    }
}

/// Everything a log holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogImage {
    /// Entries in index order.
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
    /// Log id up to which entries were purged.
    pub(crate) purged: Option<Vec<u8>>,
    /// The vote.
    pub(crate) vote: Option<Vec<u8>>,
    /// The commit index.
    pub(crate) committed: Option<Vec<u8>>,
}

/// A place for log bytes. One thread uses it.
pub(crate) trait LogBackend: Send {
    /// Reads everything.
    fn load(&mut self) -> io::Result<LogImage>;
    /// Makes all of `ops`, in order, durable at once. After an error nothing of them may be visible, and the
    /// same call may be tried again.
    fn commit(&mut self, ops: &[LogOp]) -> io::Result<()>;
    /// Waits before the next try.
    fn pause(&self, time: Duration);
}

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const PURGED: &str = "purged";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
/// redb's default cache is a gigabyte; the log is read once, at start.
const CACHE: usize = 4 << 20;

/// The log in a redb file.
pub(crate) struct RedbBackend {
    path: PathBuf,
    /// Absent after an error: redb refuses to go on with a file whose write failed, so it is opened anew.
    database: Option<Database>,
}

impl RedbBackend {
    /// Opens or makes the file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), database: Some(open(path)?) })
    }

    fn try_commit(&mut self, ops: &[LogOp]) -> Result<(), redb::Error> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(open_redb(&self.path)?),
        };
        let mut transaction = database.begin_write()?;
        let durable = ops.iter().any(LogOp::must_be_durable);
        transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut meta = transaction.open_table(META)?;
            for op in ops {
                match op {
                    LogOp::Append(rows) => {
                        for (index, bytes) in rows {
                            entries.insert(index, bytes.as_slice())?;
                        }
                    }
                    LogOp::TruncateFrom(from) => entries.retain_in::<u64, _>(*from.., |_, _| false)?,
                    LogOp::Purge { upto, id } => {
                        entries.retain_in::<u64, _>(..=*upto, |_, _| false)?;
                        meta.insert(PURGED, id.as_slice())?;
                    }
                    LogOp::Vote(bytes) => {
                        meta.insert(VOTE, bytes.as_slice())?;
                    }
                    LogOp::Committed(bytes) => {
                        meta.insert(COMMITTED, bytes.as_slice())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn try_load(&self) -> Result<LogImage, redb::Error> {
        let Some(database) = &self.database else {
            return Ok(LogImage::default());
        };
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let get = |key| meta.get(key).map(|found| found.map(|bytes| bytes.value().to_vec()));
        let mut entries = Vec::new();
        for row in transaction.open_table(ENTRIES)?.iter()? {
            let (index, bytes) = row?;
            entries.push((index.value(), bytes.value().to_vec()));
        }
        Ok(LogImage { entries, purged: get(PURGED)?, vote: get(VOTE)?, committed: get(COMMITTED)? })
    }
}

fn open(path: &Path) -> io::Result<Database> {
    open_redb(path).map_err(|e| {
        let advice = "if the disk is sound, remove this controller and join it again under a new id";
        io::Error::other(format!("cannot open the raft log {}: {e}; {advice}", path.display()))
    })
}

fn open_redb(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    Ok(database)
}

impl LogBackend for RedbBackend {
    fn load(&mut self) -> io::Result<LogImage> {
        self.try_load()
            .map_err(|e| io::Error::other(format!("cannot read the raft log {}: {e}", self.path.display())))
    }

    fn commit(&mut self, ops: &[LogOp]) -> io::Result<()> {
        self.try_commit(ops).map_err(|error| {
            self.database = None;
            io::Error::other(error)
        })
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the writer is a thread of its own and has nothing else to do"
    )]
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The log in memory, for simulation: a shared image that outlives a simulated crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryBackend {
    image: Arc<Mutex<MemoryImage>>,
}

impl MemoryBackend {
    /// What a crash at this moment leaves: whoever still writes to this one writes into the void.
    pub(super) fn survivor(&self) -> Self {
        let image = self.image.lock().expect("no holder of this lock panics").clone();
        Self { image: Arc::new(Mutex::new(image)) }
    }
}

#[derive(Clone, Debug, Default)]
struct MemoryImage {
    entries: BTreeMap<u64, Vec<u8>>,
    purged: Option<Vec<u8>>,
    vote: Option<Vec<u8>>,
    committed: Option<Vec<u8>>,
}

impl LogBackend for MemoryBackend {
    fn load(&mut self) -> io::Result<LogImage> {
        let image = self.image.lock().expect("no holder of this lock panics");
        Ok(LogImage {
            entries: image.entries.iter().map(|(index, bytes)| (*index, bytes.clone())).collect(),
            purged: image.purged.clone(),
            vote: image.vote.clone(),
            committed: image.committed.clone(),
        })
    }

    fn commit(&mut self, ops: &[LogOp]) -> io::Result<()> {
        let mut image = self.image.lock().expect("no holder of this lock panics");
        for op in ops.iter().cloned() {
            match op {
                LogOp::Append(rows) => image.entries.extend(rows),
                LogOp::TruncateFrom(from) => drop(image.entries.split_off(&from)),
                LogOp::Purge { upto, id } => {
                    image.entries = image.entries.split_off(&(upto + 1));
                    image.purged = Some(id);
                }
                LogOp::Vote(bytes) => image.vote = Some(bytes),
                LogOp::Committed(bytes) => image.committed = Some(bytes),
            }
        }
        Ok(())
    }

    fn pause(&self, _time: Duration) {}
}
