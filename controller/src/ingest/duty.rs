//! The leader's duty to listen for heartbeats and to grant leases.

use super::liveness::Detector;
use crate::peer::wire::{Beat, Grant};
use crate::raft::{NodeError, RaftNode, RaftRole};
use crate::state::command::HostTransition;
use crate::state::{LivenessConfig, State};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Listens while this controller leads.
pub(crate) struct LeaderDuty {
    node: RaftNode,
    origin: Instant,
    term: Mutex<Option<Term>>,
}

struct Term {
    number: u64,
    detector: Detector,
}

impl LeaderDuty {
    pub(crate) fn new(node: RaftNode) -> Self {
        Self { node, origin: Instant::now(), term: Mutex::new(None) }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Runs `work` in the present term, which has a detector of its own.
    fn in_term<T>(&self, work: impl FnOnce(&mut Term, Duration) -> T) -> Result<T, NodeError> {
        let status = self.node.status();
        let mut held = self.term.lock().expect("no holder of this lock panics");
        if status.role != RaftRole::Leader {
            *held = None;
            return Err(NodeError::NotLeader(status.leader));
        }
        let now = self.now();
        let term = match held.take() {
            Some(term) if term.number == status.term => term,
            _ => Term { number: status.term, detector: Detector::new(now) },
        };
        Ok(work(held.insert(term), now))
    }

    /// Takes a gateway's batch and answers with leases.
    ///
    /// A lease is granted only after the group has confirmed, later than the heartbeats came, that this
    /// controller leads: a deposed leader cannot extend leases past the next one's full window. A host that counts
    /// as down gets none: first the log must say that it is up.
    pub(crate) async fn heartbeats(&self, beats: &[Beat]) -> Result<Vec<Grant>, NodeError> {
        let number = self.in_term(|term, now| {
            for beat in beats {
                term.detector.observe(beat.host, beat.boot, now);
            }
            term.number
        })?;
        let index = self.node.read_index().await?;
        let state = self.node.store().at_least(index).await;
        let default = state.cluster.as_ref().map_or_else(LivenessConfig::default, |cluster| cluster.liveness);
        self.in_term(|term, now| {
            // Another term's detector knows nothing of verdicts that were on their way when the index was read.
            let beats = if term.number == number { beats } else { &[] };
            let grants = beats.iter().filter_map(|beat| {
                let host = state.hosts.get(&beat.host).filter(|host| term.detector.may_lease(host))?;
                let config = host.liveness.unwrap_or(default);
                term.detector.granted(host.id, &config, now);
                let ttl_ms = config.lease_ms;
                let generation = state.generations.get(&beat.host).copied().unwrap_or(0);
                Some(Grant { host: beat.host, sent_ms: beat.sent_ms, ttl_ms, generation })
            });
            grants.collect()
        })
    }

    /// What should change about the status of hosts.
    pub(crate) fn sweep(&self, state: &State) -> Result<Vec<HostTransition>, NodeError> {
        self.in_term(|term, now| term.detector.sweep(state, now))
    }

    /// These transitions of the newest sweep were committed.
    pub(crate) fn decided(&self, transitions: &[HostTransition]) -> Result<(), NodeError> {
        self.in_term(|term, _| term.detector.decided(transitions))
    }
}
