//! One member of the Raft group, without openraft's types on the outside.

use super::backend::{LogBackend, MemoryBackend, RedbBackend};
use super::compaction;
use super::log_store::{DiskHealth, LogStore, SyncLatency};
use super::machine::Machine;
use super::network::Factory;
use super::seed::{LOG, SNAPSHOTS};
use super::snapshots::{FileSnapshots, MemorySnapshots, SnapshotStore};
use super::types::{LogData, Member, Raft, StoredMembership, Types};
use crate::links::Links;
use crate::state::{Outcome, Proposal};
use crate::store::Store;
use omni_common::ids::ControllerId;
use omni_transport::Connection;
use openraft::Instant as _;
use openraft::async_runtime::WatchReceiver;
use openraft::error::{ClientWriteError, InitializeError, LinearizableReadError, RaftError};
use openraft::raft::Precondition;
use openraft::{ChangeMembers, Config, ReadPolicy, ServerState, SnapshotPolicy};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Entries kept behind a snapshot, so that a controller that was away for a moment needs no snapshot.
const ENTRIES_KEPT: u64 = 2_000;
/// A member further behind gets a snapshot in place of entries.
const MOST_LAG: u64 = 5_000;
/// A leader without answers of a quorum for this many election timeouts is none any more.
const QUORUM_SILENCE: u64 = 3;
/// Most entries in one append to a follower.
const ENTRIES_PER_APPEND: u64 = 512;

/// Raft's timing, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// The leader tells the others that it lives.
    pub heartbeat: u64,
    /// A follower waits at least this long before it stands for election.
    pub election_min: u64,
    /// And at most this long. It is also the time a dead leader's lease blocks the next one.
    pub election_max: u64,
}

impl Default for Pace {
    /// For controllers in one site. From a leader's death to the next write takes twice `election_max` at worst, which is the
    /// dead leader's lease and the longest wait after it, and some milliseconds to vote. The target is 600 ms at p99, and
    /// with 300 ms here it was 613 (docs/benchmarks.md, "Failover of the leader").
    fn default() -> Self {
        Self { heartbeat: 50, election_min: 140, election_max: 270 }
    }
}

/// Where a controller keeps its log and snapshots.
pub(crate) enum Disk<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In memory that outlives a simulated crash.
    Memory(&'a MemoryDisk),
}

/// A simulated disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    log: MemoryBackend,
    snapshots: MemorySnapshots,
    latency: SyncLatency,
}

impl MemoryDisk {
    /// What a crash at this moment leaves: all that was synced. The crashed process keeps the old disk, so
    /// whatever its last tasks still write is lost with it.
    pub fn survivor(&self) -> Self {
        Self {
            log: self.log.survivor(),
            snapshots: self.snapshots.survivor(),
            latency: SyncLatency::default(),
        }
    }

    /// How long a sync of the log takes from now on.
    pub fn set_sync_latency(&self, latency: Duration) {
        self.latency.set(latency);
    }
}

/// Why a write or read could not be served here.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// Another controller leads, or nobody does right now.
    #[error("this controller does not lead")]
    NotLeader(Option<ControllerId>),
    /// The log cannot be written.
    #[error("this controller cannot write its log: {0}")]
    Disk(String),
    /// Raft has stopped here.
    #[error("raft has stopped: {0}")]
    Stopped(String),
    /// A change of members was refused.
    #[error("{0}")]
    Refused(String),
}

/// A member's place in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RaftRole {
    /// Takes writes.
    Leader,
    /// Votes.
    Follower,
    /// Stands for election.
    Candidate,
    /// Catches up, does not vote.
    Learner,
    /// Is stopping.
    Stopped,
}

/// What a member knows about itself and the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftStatus {
    /// Who this is.
    pub id: ControllerId,
    /// Its place.
    pub role: RaftRole,
    /// The leader it follows.
    pub leader: Option<ControllerId>,
    /// Term.
    pub term: u64,
    /// Last entry in its log.
    pub last_log: u64,
    /// Last entry it has applied.
    pub applied: u64,
    /// Last entry its newest snapshot includes.
    pub snapshot: Option<u64>,
    /// Last entry purged from its log.
    pub purged: Option<u64>,
    /// Members with a vote.
    pub voters: BTreeSet<ControllerId>,
    /// Members without.
    pub learners: BTreeSet<ControllerId>,
    /// On the leader: how far each member's log is known to match.
    pub matched: BTreeMap<ControllerId, Option<u64>>,
    /// Why its log cannot be written.
    pub disk_error: Option<String>,
}

/// One member of the group.
#[derive(Clone)]
pub(crate) struct RaftNode {
    raft: Raft,
    store: Store,
    disk: watch::Receiver<DiskHealth>,
    _compaction: Arc<AbortOnDropHandle<()>>,
}

impl RaftNode {
    /// Loads what the disk holds and takes part.
    pub(crate) async fn start(
        id: ControllerId,
        pace: Pace,
        disk: Disk<'_>,
        links: Links,
    ) -> io::Result<Self> {
        let (log, snapshots): (LogStore, Arc<dyn SnapshotStore>) = match disk {
            Disk::Folder(dir) => {
                let backend: Box<dyn LogBackend> = Box::new(RedbBackend::open(&dir.join(LOG))?);
                (LogStore::open(backend)?, Arc::new(FileSnapshots::open(&dir.join(SNAPSHOTS))?))
            }
            Disk::Memory(disk) => {
                let log = LogStore::open_simulated(Box::new(disk.log.clone()), disk.latency.clone())?;
                (log, Arc::new(disk.snapshots.clone()))
            }
        };
        let health = log.health();
        let (machine, store) = Machine::open(snapshots)?;
        let config = Arc::new(config(pace).map_err(io::Error::other)?);
        let raft = Raft::new(id, config, Factory(links), log, machine).await.map_err(io::Error::other)?;
        let compaction = Arc::new(AbortOnDropHandle::new(tokio::spawn(compaction::run(raft.clone()))));
        Ok(Self { raft, store, disk: health, _compaction: compaction })
    }

    /// The published state.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Makes this the only member of a new group. Harmless when the group exists.
    pub(crate) async fn initialize(&self, id: ControllerId, quic: String) -> Result<(), NodeError> {
        match self.raft.initialize(BTreeMap::from([(id, Member { quic })])).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(NodeError::Stopped(error.to_string())),
        }
    }

    /// Serves another controller's Raft calls.
    pub(crate) async fn serve(&self, connection: Connection) {
        super::server::serve(connection, self.raft.clone()).await;
    }

    /// Commits a proposal; only the leader can.
    pub(crate) async fn write(&self, proposal: Arc<Proposal>) -> Result<(u64, Outcome), NodeError> {
        if let Some(reason) = self.disk_error() {
            return Err(NodeError::Disk(reason));
        }
        let written = self.raft.client_write(LogData(proposal)).await.map_err(write_error)?;
        let outcome = written.data.outcome.expect("a proposal always has an outcome");
        Ok((written.data.index, outcome))
    }

    /// The log index that a linearizable read must wait for; only the leader knows.
    pub(crate) async fn read_index(&self) -> Result<u64, NodeError> {
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Ok(read.index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(NodeError::NotLeader(forward.leader_id))
            }
            Err(RaftError::APIError(_)) => Err(NodeError::NotLeader(None)),
            Err(RaftError::Fatal(error)) => Err(NodeError::Stopped(error.to_string())),
        }
    }

    /// Adds a member: first it catches up, then it votes. Repeating it is harmless.
    pub(crate) async fn add_voter(&self, id: ControllerId, quic: String) -> Result<(), NodeError> {
        let member = Member { quic };
        let seen = self.group()?;
        if seen.membership().get_node(&id).is_some_and(|known| *known != member) {
            let moved = ChangeMembers::SetNodes(BTreeMap::from([(id, member.clone())]));
            self.change(moved, true, &seen).await?;
        }
        self.raft.add_learner(id, member, true).await.map_err(write_error)?;
        let seen = self.group()?;
        let voters: BTreeSet<_> = seen.membership().voter_ids().chain([id]).collect();
        self.change(voters, true, &seen).await
    }

    /// Removes a member, the leader itself included. Repeating it is harmless.
    pub(crate) async fn remove_member(&self, id: ControllerId) -> Result<(), NodeError> {
        let seen = self.group()?;
        let (learns, voters): (bool, BTreeSet<_>) = (
            seen.membership().learner_ids().any(|learner| learner == id),
            seen.membership().voter_ids().collect(),
        );
        if voters == BTreeSet::from([id]) {
            return Err(NodeError::Refused("the last voter cannot be removed".to_owned()));
        }
        if voters.contains(&id) {
            let voters: BTreeSet<_> = voters.into_iter().filter(|voter| *voter != id).collect();
            self.change(voters, false, &seen).await
        } else if learns {
            self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id])), false, &seen).await
        } else {
            Ok(())
        }
    }

    /// The group as this member knows it. Nobody who was removed may change it: a leader that has removed itself
    /// goes on leading for a moment, and openraft takes for granted that it is asked nothing then.
    fn group(&self) -> Result<StoredMembership, NodeError> {
        let group = self.raft.metrics().borrow_watched().membership_config.as_ref().clone();
        match group.membership().get_node(self.raft.node_id()) {
            Some(_) => Ok(group),
            None => Err(NodeError::NotLeader(None)),
        }
    }

    /// Changes the group, unless it is no longer as it was `seen`.
    async fn change(
        &self,
        change: impl Into<ChangeMembers<ControllerId, Member>>,
        retain: bool,
        seen: &StoredMembership,
    ) -> Result<(), NodeError> {
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: *seen.log_id() };
        self.raft.change_membership_if(change, retain, [unchanged]).await.map_err(write_error)?;
        Ok(())
    }

    /// Hands leadership to another voter. Returns once asked; watch [`Self::leader`] for the effect.
    pub(crate) async fn transfer_leader(&self, to: ControllerId) -> Result<(), NodeError> {
        self.raft.trigger().transfer_leader(to).await.map_err(|e| NodeError::Stopped(e.to_string()))
    }

    /// Takes a snapshot now.
    pub(crate) async fn snapshot(&self) -> Result<(), NodeError> {
        self.raft.trigger().snapshot().await.map_err(|e| NodeError::Stopped(e.to_string()))
    }

    /// The leader this member follows at the moment.
    ///
    /// A leader that the others have not answered for a while does not count, its own word least of all.
    pub(crate) fn leader(&self) -> Option<ControllerId> {
        let leader = self.raft.metrics().borrow_watched().current_leader?;
        let alone = leader == *self.raft.node_id() && self.lost_quorum();
        (!alone).then_some(leader)
    }

    fn lost_quorum(&self) -> bool {
        let Ok(leading) = self.raft.as_leader() else { return false };
        let limit = Duration::from_millis(self.raft.config().election_timeout_max * QUORUM_SILENCE);
        self.raft.voter_ids().count() > 1
            && leading.last_quorum_acked().is_some_and(|acked| acked.elapsed() > limit)
    }

    /// A member's address as the group knows it; works before any state was applied here.
    pub(crate) fn address(&self, id: ControllerId) -> Option<String> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        metrics.membership_config.membership().get_node(&id).map(|member| member.quic.clone())
    }

    /// Waits until the leader is another one than `than`, or somebody leads at all.
    pub(crate) async fn leader_change(&self, than: Option<ControllerId>) -> Option<ControllerId> {
        let mut metrics = self.raft.metrics();
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if leader != than {
                return leader;
            }
            if metrics.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// What this member knows.
    pub(crate) fn status(&self) -> RaftStatus {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<_> = membership.voter_ids().collect();
        RaftStatus {
            id: metrics.id,
            role: role(metrics.state),
            leader: self.leader(),
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or(0),
            applied: metrics.last_applied.map_or(0, |id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
            learners: membership.learner_ids().collect(),
            voters,
            matched: metrics
                .replication
                .unwrap_or_default()
                .into_iter()
                .map(|(id, matched)| (id, matched.map(|matched| matched.index)))
                .collect(),
            disk_error: self.disk_error(),
        }
    }

    /// Why this member's disk takes no writes, when it does not.
    pub(crate) fn disk_error(&self) -> Option<String> {
        match &*self.disk.borrow() {
            DiskHealth::Fine => None,
            DiskHealth::Failing(reason) => Some(reason.clone()),
        }
    }

    /// Why Raft stopped here by itself; waits until it does.
    pub(crate) async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_watched().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "raft is gone".to_owned();
            }
        }
    }

    /// Stops taking part.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(error = %error, "raft did not stop cleanly");
        }
    }
}

fn config(pace: Pace) -> Result<Config, openraft::ConfigError> {
    Config {
        cluster_name: "omni".to_owned(),
        heartbeat_interval: pace.heartbeat,
        election_timeout_min: pace.election_min,
        election_timeout_max: pace.election_max,
        enable_pre_vote: Some(true),
        // The state machine is in memory and the mark of what was committed is written behind the log, so one that led
        // before a crash may know less than it has acknowledged. It hears that from an election.
        enable_leader_restore: Some(false),
        max_payload_entries: ENTRIES_PER_APPEND,
        snapshot_policy: SnapshotPolicy::Never, // see compaction.rs
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        replication_lag_threshold: MOST_LAG,
        install_snapshot_timeout: 60_000,
        ..Config::default()
    }
    .validate()
}

fn role(state: ServerState) -> RaftRole {
    match state {
        ServerState::Leader => RaftRole::Leader,
        ServerState::Follower => RaftRole::Follower,
        ServerState::Candidate => RaftRole::Candidate,
        ServerState::Learner => RaftRole::Learner,
        ServerState::Shutdown => RaftRole::Stopped,
    }
}

fn write_error(error: RaftError<Types, ClientWriteError<Types>>) -> NodeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            NodeError::NotLeader(forward.leader_id)
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            NodeError::Refused(error.to_string())
        }
        RaftError::APIError(error) => NodeError::Refused(error.to_string()),
        RaftError::Fatal(error) => NodeError::Stopped(error.to_string()),
    }
}
