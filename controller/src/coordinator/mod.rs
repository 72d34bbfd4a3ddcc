//! Writes and linearizable reads, from any controller.
//!
//! A controller that does not lead forwards to the one that does. After an election, or while nobody leads,
//! both try again until their deadline: a repeated proposal applies once, because its request id is kept.

mod proposer;
mod reader;

pub(crate) use proposer::Proposer;
pub(crate) use reader::Reader;

use crate::app::ports::ProposeError;
use crate::peer::{PeerAnswer, PeerCall, PeerClient};
use crate::raft::{NodeError, RaftNode};
use backon::{BackoffBuilder, ExponentialBuilder};
use omni_common::ids::ControllerId;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// A write or read that has no answer by then fails with a clear error.
/// Shorter than clients wait for one controller, so that they hear the reason.
pub(crate) const DEADLINE: Duration = Duration::from_secs(4);
/// One forwarded call; the leader may be gone without our knowing yet.
const FORWARD: Duration = Duration::from_secs(2);

/// Who we are and how to reach the leader.
#[derive(Clone)]
pub(crate) struct LeaderLink {
    pub(crate) me: ControllerId,
    pub(crate) node: RaftNode,
    pub(crate) peers: PeerClient,
}

/// One try did not work.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Another try may.
    Again(ProposeError),
    /// No other try will.
    Final(ProposeError),
}

impl LeaderLink {
    /// Where the leader is; waits a little for one to be elected.
    async fn leader(&self) -> Result<ControllerId, Attempt> {
        let known = self.node.leader();
        let leader = match known {
            Some(leader) => Some(leader),
            None => tokio::time::timeout(Duration::from_millis(100), self.node.leader_change(None))
                .await
                .ok()
                .flatten(),
        };
        // Who cannot write its vote can elect nobody: where all disks are full, this is why nobody leads.
        leader.ok_or_else(|| {
            Attempt::Again(self.node.disk_error().map_or(ProposeError::NoLeader, ProposeError::ReadOnly))
        })
    }

    /// One call to the leader, which is another controller. Given up as soon as somebody else leads: a dead
    /// leader would be waited for in vain.
    async fn forward(&self, leader: ControllerId, call: &PeerCall) -> Result<PeerAnswer, Attempt> {
        let Some(address) = self.node.address(leader) else {
            return Err(Attempt::Again(ProposeError::NoLeader));
        };
        let answer = tokio::select! {
            answer = self.peers.call(leader, &address, call, FORWARD) => answer,
            _ = self.next_leader(leader) => return Err(Attempt::Again(ProposeError::NoLeader)),
        };
        match answer {
            Ok(PeerAnswer::NotLeader(_)) => Err(Attempt::Again(ProposeError::NoLeader)),
            Ok(PeerAnswer::Disk(reason)) => Err(Attempt::Again(ProposeError::ReadOnly(reason))),
            Ok(PeerAnswer::Refused { message, .. }) => Err(Attempt::Final(ProposeError::Failed(message))),
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!(peer = %leader, error = %error, "the leader did not answer");
                Err(Attempt::Again(ProposeError::Timeout))
            }
        }
    }

    /// Waits until this member follows another leader than `old`.
    async fn next_leader(&self, old: ControllerId) -> ControllerId {
        let mut leader = Some(old);
        loop {
            leader = self.node.leader_change(leader).await;
            if let Some(new) = leader
                && new != old
            {
                return new;
            }
        }
    }
}

/// What an error of the local member means for another try.
pub(crate) fn local_error(error: NodeError) -> Attempt {
    match error {
        NodeError::NotLeader(_) => Attempt::Again(ProposeError::NoLeader),
        NodeError::Disk(reason) => Attempt::Again(ProposeError::ReadOnly(reason)),
        NodeError::Stopped(_) => Attempt::Final(ProposeError::Stopping),
        NodeError::Refused(reason) => Attempt::Final(ProposeError::Failed(reason)),
    }
}

/// Tries until it works, cannot work, or `deadline` has passed; then the last reason is the answer.
pub(crate) async fn until<T, F, Fut>(deadline: Duration, mut attempt: F) -> Result<T, ProposeError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Attempt>>,
{
    let end = Instant::now() + deadline;
    // Leases run out within one election timeout, so the first tries come quickly.
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(100))
        .with_jitter()
        .without_max_times()
        .build();
    let mut last = ProposeError::NoLeader;
    loop {
        match tokio::time::timeout_at(end, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Attempt::Final(error))) => return Err(error),
            Ok(Err(Attempt::Again(error))) => last = error,
            Err(_) => {
                return Err(if last == ProposeError::NoLeader { ProposeError::Timeout } else { last });
            }
        }
        let pause = pauses.next().unwrap_or(Duration::from_millis(100));
        if Instant::now() + pause >= end {
            return Err(last);
        }
        tokio::time::sleep(pause).await;
    }
}
