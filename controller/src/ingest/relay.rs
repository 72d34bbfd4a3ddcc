//! Carries heartbeats of this gateway's agents to the leader, one batch a tick, and its leases back.

use super::duty::LeaderDuty;
use super::sessions::Sessions;
use crate::coordinator::LeaderLink;
use crate::peer::wire::{Beat, Grant};
use crate::peer::{PeerAnswer, PeerCall};
use omni_common::ids::HostId;
use omni_common::wire::{GatewayFrame, Lease};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Four batches a heartbeat keep the way to the leader short against the lease.
const TICK: Duration = Duration::from_millis(250);
/// An answer later than this is given up; the next batch carries newer heartbeats anyway.
const LIMIT: Duration = Duration::from_millis(1_000);
/// A gateway that has had no answer for this long tells its agents of no lease any more, so that they look for another:
/// as long as a leader waits before it suspects a host.
const LEADERLESS: Duration = Duration::from_secs(3);

/// Why a batch got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unrelayed {
    /// Nobody leads, or the leader did not answer.
    Leaderless,
    /// The leader takes this controller for no member any more. Nobody else would tell it: the log no longer comes here.
    Removed,
}

/// Newest heartbeat of each agent since the last batch.
pub(crate) struct Relay {
    link: LeaderLink,
    duty: Arc<LeaderDuty>,
    sessions: Arc<Sessions>,
    waiting: Mutex<BTreeMap<HostId, Beat>>,
    /// When a leader answered last.
    answered: Mutex<Instant>,
}

impl Relay {
    pub(crate) fn new(link: LeaderLink, duty: Arc<LeaderDuty>, sessions: Arc<Sessions>) -> Self {
        Self { link, duty, sessions, waiting: Mutex::default(), answered: Mutex::new(Instant::now()) }
    }

    /// Notes a heartbeat; a newer one of the same host replaces it.
    pub(crate) fn beat(&self, beat: Beat) {
        self.waiting.lock().expect("no holder of this lock panics").insert(beat.host, beat);
    }

    /// Sends a batch each tick until told to stop.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => self.send().await,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn send(&self) {
        let batch: Vec<_> = std::mem::take(&mut *self.waiting.lock().expect("no holder of this lock panics"))
            .into_values()
            .collect();
        if batch.is_empty() {
            return;
        }
        match self.exchange(&batch).await {
            Ok(grants) => {
                *self.answered.lock().expect("no holder of this lock panics") = Instant::now();
                self.hand_out(&grants);
            }
            Err(Unrelayed::Leaderless) => {
                self.put_back(batch);
                self.withdraw();
            }
            Err(Unrelayed::Removed) => self.send_away(),
        }
    }

    async fn exchange(&self, batch: &[Beat]) -> Result<Vec<Grant>, Unrelayed> {
        let leader = self.link.node.leader().ok_or(Unrelayed::Leaderless)?;
        if leader == self.link.me {
            let granted = tokio::time::timeout(LIMIT, self.duty.heartbeats(batch)).await;
            return granted.ok().and_then(Result::ok).ok_or(Unrelayed::Leaderless);
        }
        let address = self.link.node.address(leader).ok_or(Unrelayed::Leaderless)?;
        let call = PeerCall::Heartbeats(batch.to_vec());
        match self.link.peers.call(leader, &address, &call, LIMIT).await {
            Ok(PeerAnswer::Grants(grants)) => Ok(grants),
            Ok(_) => Err(Unrelayed::Leaderless),
            Err(error) => {
                tracing::debug!(peer = %leader, error = %error, "heartbeats were not relayed");
                Err(if error.is_removed() { Unrelayed::Removed } else { Unrelayed::Leaderless })
            }
        }
    }

    /// Agents are told to go to another gateway, at once: their time is running.
    fn send_away(&self) {
        for session in self.sessions.all() {
            let reason = "this controller was removed from the cluster".to_owned();
            // One that does not read is left to find out by its lease.
            session.control.try_send(GatewayFrame::Goodbye { reason }).ok();
        }
    }

    /// Heartbeats that did not get through go with the next batch, where no newer one came meanwhile.
    fn put_back(&self, batch: Vec<Beat>) {
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        for beat in batch {
            if self.sessions.get(beat.host).is_some() {
                waiting.entry(beat.host).or_insert(beat);
            }
        }
    }

    /// Agents are told of no lease once no leader has answered for [`LEADERLESS`].
    fn withdraw(&self) {
        let answered = *self.answered.lock().expect("no holder of this lock panics");
        if answered.elapsed() < LEADERLESS {
            return;
        }
        for session in self.sessions.all() {
            session.lease.send_if_modified(|lease| lease.take().is_some());
        }
    }

    fn hand_out(&self, grants: &[Grant]) {
        for grant in grants {
            if let Some(session) = self.sessions.get(grant.host) {
                let lease = Lease { sent_ms: grant.sent_ms, ttl_ms: grant.ttl_ms };
                session.lease.send_replace(Some((lease, grant.generation)));
            }
        }
    }
}
