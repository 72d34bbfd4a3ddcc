//! Writes.

use super::{Attempt, DEADLINE, LeaderLink, local_error, until};
use crate::app::ports::{Applied, Propose, ProposeError};
use crate::metrics::{PROPOSAL_SECONDS, PROPOSALS};
use crate::peer::{PeerAnswer, PeerCall};
use crate::state::Proposal;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Proposals in flight from one controller. More are turned away at once rather than queued without bound.
const IN_FLIGHT: usize = 4_096;

/// Commits proposals wherever the leader is.
pub(crate) struct Proposer {
    link: LeaderLink,
    room: Semaphore,
}

impl Proposer {
    pub(crate) fn new(link: LeaderLink) -> Self {
        Self { link, room: Semaphore::new(IN_FLIGHT) }
    }

    async fn attempt(&self, proposal: &Arc<Proposal>) -> Result<Applied, Attempt> {
        let leader = self.link.leader().await?;
        if leader == self.link.me {
            let (index, outcome) = self.link.node.write(Arc::clone(proposal)).await.map_err(local_error)?;
            return Ok(Applied { index, outcome });
        }
        let call = PeerCall::Propose(Box::new((**proposal).clone()));
        match self.link.forward(leader, &call).await? {
            PeerAnswer::Applied { index, outcome } => Ok(Applied { index, outcome }),
            _ => Err(Attempt::Final(ProposeError::Failed(
                "the leader gave an answer of another kind".to_owned(),
            ))),
        }
    }
}

#[async_trait]
impl Propose for Proposer {
    async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        let started = Instant::now();
        let _room = self.room.try_acquire().map_err(|_| ProposeError::Overloaded)?;
        let proposal = Arc::new(proposal);
        let result = until(DEADLINE, || self.attempt(&proposal)).await;
        let word = match &result {
            Ok(Applied { outcome: Ok(_), .. }) => "done",
            Ok(_) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!(PROPOSALS, "outcome" => word).increment(1);
        metrics::histogram!(PROPOSAL_SECONDS).record(started.elapsed().as_secs_f64());
        let applied = result?;
        // So that the caller reads its own write here.
        let here = self.link.node.store().at_least(applied.index);
        tokio::time::timeout(DEADLINE, here).await.map_err(|_| ProposeError::Timeout)?;
        Ok(applied)
    }
}
