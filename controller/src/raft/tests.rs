use super::backend::{LogBackend, LogOp, MemoryBackend, RedbBackend};
use super::log_store::{DiskHealth, LogStore, SyncLatency};
use super::machine::Machine;
use super::snapshots::{FileSnapshots, MemorySnapshots, SnapshotStore};
use super::types::Types;
use openraft::StorageError;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// openraft's own conformance suite for log and state machine, over each backend.
struct Build(bool);

impl StoreBuilder<Types, LogStore, Machine, tempfile::TempDir> for Build {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (log, snapshots): (_, Arc<dyn SnapshotStore>) = if self.0 {
            let backend = RedbBackend::open(&dir.path().join("raft.redb")).expect("opens");
            let snapshots = FileSnapshots::open(&dir.path().join("snapshots")).expect("opens");
            (LogStore::open(Box::new(backend)), Arc::new(snapshots))
        } else {
            let backend = Box::new(MemoryBackend::default());
            let log = LogStore::open_simulated(backend, SyncLatency::default());
            (log, Arc::new(MemorySnapshots::default()))
        };
        let (machine, _) = Machine::open(snapshots).expect("an empty machine");
        Ok((dir, log.expect("an empty log"), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redb_log_keeps_openrafts_promises() {
    Suite::test_all(Build(true)).await.expect("conforms");
}

#[tokio::test]
async fn the_memory_log_keeps_openrafts_promises() {
    Suite::test_all(Build(false)).await.expect("conforms");
}

#[test]
fn a_log_survives_reopening() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("raft.redb");
    let mut backend = RedbBackend::open(&path).expect("opens");
    let rows = (1..=5).map(|index| (index, vec![7; 3])).collect();
    backend.commit(&[LogOp::Append(rows), LogOp::Vote(vec![1]), LogOp::TruncateFrom(4)]).expect("commits");
    backend.commit(&[LogOp::Purge { upto: 1, id: vec![9] }, LogOp::Committed(vec![2])]).expect("commits");
    drop(backend);
    let image = RedbBackend::open(&path).expect("opens").load().expect("reads");
    assert_eq!(image.entries.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((image.vote, image.purged), (Some(vec![1]), Some(vec![9])));
}

#[tokio::test]
async fn an_undecodable_entry_stops_the_controller_and_names_it() {
    let mut backend = MemoryBackend::default();
    backend.commit(&[LogOp::Append(vec![(1, vec![255; 4])])]).expect("commits");
    let Err(error) = LogStore::open(Box::new(backend)) else { panic!("a damaged log was opened") };
    let text = error.to_string();
    assert!(text.contains("log entry 1 cannot be read") && text.contains("restore"), "{text}");
}

/// A disk that is full until space returns.
struct Full {
    inner: MemoryBackend,
    full: Arc<AtomicBool>,
}

impl LogBackend for Full {
    fn load(&mut self) -> io::Result<super::backend::LogImage> {
        self.inner.load()
    }

    fn commit(&mut self, ops: &[LogOp]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.inner.commit(ops)
    }

    fn pause(&self, _time: Duration) {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_nothing_is_lost_when_space_returns() {
    let full = Arc::new(AtomicBool::new(true));
    let backend = Full { inner: MemoryBackend::default(), full: Arc::clone(&full) };
    let mut log = LogStore::open(Box::new(backend)).expect("an empty log");
    let mut health = log.health();
    let vote = super::types::Vote::new(3, omni_common::ids::ControllerId(1));
    let saving = tokio::spawn(async move { log.save_vote(&vote).await.map(|()| log) });
    let failing =
        health.wait_for(|health| *health != DiskHealth::Fine).await.expect("the writer lives").clone();
    assert!(matches!(failing, DiskHealth::Failing(reason) if reason.contains("no storage space")));
    full.store(false, Ordering::SeqCst);
    let mut log = saving.await.expect("no panic").expect("saved once there is room");
    assert_eq!(openraft::RaftLogReader::read_vote(&mut log).await.expect("reads"), Some(vote));
    assert_eq!(
        *health.wait_for(|health| *health == DiskHealth::Fine).await.expect("the writer lives"),
        DiskHealth::Fine
    );
}

#[tokio::test]
async fn a_damaged_snapshot_is_an_error_and_not_an_empty_state() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let snapshots: Arc<dyn SnapshotStore> = Arc::new(FileSnapshots::open(dir.path()).expect("opens"));
    let (mut machine, _) = Machine::open(Arc::clone(&snapshots)).expect("empty");
    let mut builder = machine.get_snapshot_builder().await;
    openraft::storage::RaftSnapshotBuilder::build_snapshot(&mut builder).await.expect("writes");
    let path = dir.path().join("snapshot.omnisnap");
    let mut bytes = std::fs::read(&path).expect("written");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let Err(error) = Machine::open(snapshots) else { panic!("a damaged snapshot was opened") };
    assert!(error.to_string().contains("damaged"), "{error}");
}

/// A group that begins from a state goes on with its log after it, and its disk can be read when it has stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_begins_from_a_state_and_its_disk_tells_the_newest_one() {
    use super::{Disk, Pace, RaftNode, newest, seed};
    use crate::links::Links;
    use crate::state::{Actor, Command, Proposal, State};
    use omni_common::clock::Time;
    use omni_common::ids::{ControllerId, RequestId};
    use omni_common::wire::ALPN_RAFT;

    let dir = tempfile::tempdir().expect("a temporary folder");
    let id = ControllerId(1_001);
    let begin = State { index: 1_000_000_000_000, next_controller: 1_002, ..State::default() };
    seed(dir.path(), id, "c:7600".to_owned(), &begin).expect("an empty folder");
    // Interrupted before the end, it is done again.
    seed(dir.path(), id, "c:7600".to_owned(), &begin).expect("nothing but what was seeded");
    assert_eq!(newest(dir.path()).expect("reads"), begin);

    let network = omni_transport::sim::SimNet::new(1).endpoint("c", None);
    let links = Links::new(network, ALPN_RAFT);
    let node = RaftNode::start(id, Pace::default(), Disk::Folder(dir.path()), links).await.expect("starts");
    assert_eq!(node.leader_change(None).await, Some(id));
    let proposal = Proposal {
        request: RequestId::from_u128(1),
        fingerprint: None,
        at: Time::from_secs(1),
        actor: Actor::system(),
        command: Command::CreateEnvironment("staging".to_owned()),
    };
    let (index, outcome) = node.write(Arc::new(proposal)).await.expect("it leads");
    assert!(outcome.is_ok() && index > begin.index, "{outcome:?} at {index}");
    let state = node.store().at_least(index).await;
    node.shutdown().await;
    drop(node);
    // The log's writer ends with the last who holds it.
    let found = loop {
        match newest(dir.path()) {
            Ok(found) => break found,
            Err(error) if error.to_string().contains("already open") => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(found.environments, state.environments);
    let Err(error) = seed(dir.path(), id, "c:7600".to_owned(), &begin) else {
        panic!("a log was written over")
    };
    assert!(error.to_string().contains("log of another controller"), "{error}");
}
