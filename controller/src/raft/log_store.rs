//! The Raft log: served from memory, made durable by one writer thread.
//!
//! ```text
//! openraft ──append──▶ memory, then queue ──▶ writer thread: drain the queue, one commit, one fsync, call back all
//!          ◀──read──── memory
//! ```
//!
//! Everything not yet purged stays in memory: snapshots come every few thousand entries, so that is a few
//! megabytes, and followers are fed without touching the disk. A commit that fails is retried until it
//! succeeds, with [`DiskHealth`] telling the rest of the controller to refuse writes meanwhile: a disk that
//! fills up and gets space again must not need a restart.

use super::backend::{LogBackend, LogImage, LogOp};
use super::types::{Entry, LogId, Types, Vote};
use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Operations waiting for the writer. When it is full, Raft itself waits: a controller whose disk is that
/// far behind must not pretend to lead.
const QUEUE: usize = 1_024;
/// Most operations in one commit.
const MAX_BATCH: usize = 256;
/// Pause between two tries of a commit that fails.
const RETRY: Duration = Duration::from_millis(200);
/// Bytes of entries handed to one follower at a time.
const READ_BYTES: usize = 4 << 20;

/// Whether the log can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DiskHealth {
    /// The last commit succeeded.
    #[default]
    Fine,
    /// The last commit failed, for this reason.
    Failing(String),
}

/// An entry and how many bytes it takes.
#[derive(Clone, Debug)]
struct Kept {
    entry: Entry,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Memory {
    entries: BTreeMap<u64, Kept>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

struct Job {
    op: LogOp,
    done: IOFlushed<Types>,
}

/// The log of one controller.
#[derive(Clone)]
pub(crate) struct LogStore {
    memory: Arc<Mutex<Memory>>,
    writer: mpsc::Sender<Job>,
    health: watch::Receiver<DiskHealth>,
}

/// How long a sync takes on a simulated disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct SyncLatency(Arc<AtomicU64>);

impl SyncLatency {
    pub(super) fn set(&self, latency: Duration) {
        self.0.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl LogStore {
    /// Loads the log and starts its writer. An entry that cannot be read is an error: skipping it would
    /// fork this controller's state from the others'.
    pub(crate) fn open(mut backend: Box<dyn LogBackend>) -> io::Result<Self> {
        let memory = load(backend.load()?)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (tell, health) = watch::channel(DiskHealth::Fine);
        std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || write(backend, jobs, &tell))?;
        Ok(Self { memory: Arc::new(Mutex::new(memory)), writer: queue, health })
    }

    /// The same with a task in place of the thread, for simulation: simulated time must not run on while a
    /// real thread works.
    pub(crate) fn open_simulated(mut backend: Box<dyn LogBackend>, latency: SyncLatency) -> io::Result<Self> {
        let memory = load(backend.load()?)?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (tell, health) = watch::channel(DiskHealth::Fine);
        tokio::spawn(write_simulated(backend, jobs, tell, latency));
        Ok(Self { memory: Arc::new(Mutex::new(memory)), writer: queue, health })
    }

    /// Whether the log can be written, now and from now on.
    pub(crate) fn health(&self) -> watch::Receiver<DiskHealth> {
        self.health.clone()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no holder of this lock panics")
    }

    async fn enqueue(&self, op: LogOp, done: IOFlushed<Types>) -> io::Result<()> {
        self.writer.send(Job { op, done }).await.map_err(|_| stopped())
    }

    /// Queues an operation and waits until it is durable.
    async fn commit(&self, op: LogOp) -> io::Result<()> {
        let (tell, told) = Types::oneshot();
        self.enqueue(op, IOFlushed::signal(tell)).await?;
        told.await.map_err(|_| stopped())?
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log writer has stopped")
}

/// Decodes what the backend holds and checks that it is a log: no gap, nothing undecodable.
fn load(image: LogImage) -> io::Result<Memory> {
    let mut memory = Memory {
        entries: BTreeMap::new(),
        purged: image.purged.as_deref().map(decode).transpose()?,
        vote: image.vote.as_deref().map(decode).transpose()?,
        committed: image.committed.as_deref().map(decode).transpose()?,
    };
    let mut expected = memory.purged.as_ref().map(|id| id.index + 1);
    for (index, bytes) in image.entries {
        if expected.is_some_and(|expected| expected != index) {
            let message =
                format!("the log has a gap before entry {index}; restore this controller from its peers");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let entry: Entry = decode(&bytes).map_err(|e| {
            let advice = "it is damaged or from a newer version; restore this controller from its peers";
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("log entry {index} cannot be read ({e}): {advice}"),
            )
        })?;
        memory.entries.insert(index, Kept { entry, bytes: bytes.len() });
        expected = Some(index + 1);
    }
    Ok(memory)
}

/// The entries of a log at rest, by index.
pub(super) fn entries(image: LogImage) -> io::Result<BTreeMap<u64, Entry>> {
    Ok(load(image)?.entries.into_iter().map(|(index, kept)| (index, kept.entry)).collect())
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    omni_common::codec::decode_limited::<T, { omni_common::codec::MAX_PEER_FRAME }>(bytes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
}

pub(super) fn encode<T: serde::Serialize>(value: &T) -> io::Result<Vec<u8>> {
    omni_common::codec::encode_limited::<T, { omni_common::codec::MAX_PEER_FRAME }>(value)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))
}

/// The writer thread: one commit for all that waits, then one call back each.
fn write(backend: Box<dyn LogBackend>, mut jobs: mpsc::Receiver<Job>, tell: &watch::Sender<DiskHealth>) {
    let mut writer = Writer { backend, hint: None };
    while let Some(first) = jobs.blocking_recv() {
        writer.write_group(first, &mut jobs, tell);
    }
}

/// The writer thread's stand-in in simulations. What waits while a sync takes its time is lost by a crash.
async fn write_simulated(
    backend: Box<dyn LogBackend>,
    mut jobs: mpsc::Receiver<Job>,
    tell: watch::Sender<DiskHealth>,
    latency: SyncLatency,
) {
    let mut writer = Writer { backend, hint: None };
    while let Some(first) = jobs.recv().await {
        let latency = latency.get();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        writer.write_group(first, &mut jobs, &tell);
    }
}

/// The one who writes.
struct Writer {
    backend: Box<dyn LogBackend>,
    /// The newest commit index that was not written yet. It is lost without harm and comes after each write, so it goes
    /// along with the next one: by itself it would cost a transaction for each write more.
    hint: Option<LogOp>,
}

impl Writer {
    fn write_group(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>, tell: &watch::Sender<DiskHealth>) {
        let mut ops = Vec::new();
        let mut done = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job.op {
                LogOp::Committed(_) => self.hint = Some(job.op),
                op => ops.push(op),
            }
            done.push(job.done);
            next = (done.len() < MAX_BATCH).then(|| jobs.try_recv().ok()).flatten();
        }
        if !ops.is_empty() {
            ops.extend(self.hint.take());
            commit(self.backend.as_mut(), &ops, tell);
            metrics::histogram!(crate::metrics::RAFT_BATCH)
                .record(f64::from(u32::try_from(ops.len()).unwrap_or(u32::MAX)));
        }
        for done in done {
            done.io_completed(Ok(()));
        }
    }
}

/// Commits, however long the disk takes to come back.
fn commit(backend: &mut dyn LogBackend, ops: &[LogOp], tell: &watch::Sender<DiskHealth>) {
    loop {
        let error = match backend.commit(ops) {
            Ok(()) => {
                tell.send_if_modified(|health| std::mem::take(health) != DiskHealth::Fine);
                return;
            }
            Err(error) => error,
        };
        let changed = tell.send_if_modified(|health| {
            let first = *health == DiskHealth::Fine;
            *health = DiskHealth::Failing(error.to_string());
            first
        });
        if changed {
            tracing::error!(error = %error, "the raft log cannot be written, retrying");
        }
        backend.pause(RETRY);
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + openraft::OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.memory().entries.range(range).map(|(_, kept)| kept.entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.memory().vote)
    }

    /// As many as fit a frame, and at least one.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let memory = self.memory();
        let mut room = READ_BYTES;
        let mut entries = Vec::new();
        for kept in memory.entries.range(start..end).map(|(_, kept)| kept) {
            if !entries.is_empty() && kept.bytes > room {
                break;
            }
            room = room.saturating_sub(kept.bytes);
            entries.push(kept.entry.clone());
        }
        Ok(entries)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let memory = self.memory();
        let last = memory.entries.last_key_value().map(|(_, kept)| kept.entry.log_id());
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: last.or(memory.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.commit(LogOp::Vote(encode(vote)?)).await?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        self.memory().committed = Some(committed);
        self.enqueue(LogOp::Committed(encode(&committed)?), IOFlushed::noop()).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + openraft::OptionalSend,
        I::IntoIter: openraft::OptionalSend,
    {
        let mut rows = Vec::new();
        let mut kept = Vec::new();
        for entry in entries {
            let bytes = encode(&entry)?;
            kept.push((entry.index(), Kept { entry, bytes: bytes.len() }));
            rows.push((kept[kept.len() - 1].0, bytes));
        }
        self.memory().entries.extend(kept);
        self.enqueue(LogOp::Append(rows), callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |id| id.index + 1);
        let dropped = self.memory().entries.split_off(&from);
        drop(dropped);
        self.commit(LogOp::TruncateFrom(from)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let dropped = {
            let mut memory = self.memory();
            memory.purged = Some(upto);
            let kept = memory.entries.split_off(&(upto.index + 1));
            std::mem::replace(&mut memory.entries, kept)
        };
        // Outside the lock: thousands of entries take a moment to free.
        drop(dropped);
        self.enqueue(LogOp::Purge { upto: upto.index, id: encode(&upto)? }, IOFlushed::noop()).await
    }
}
