//! Linearizable reads.
//!
//! ```text
//! readers ──▶ queue ──▶ one round at a time: leader's read index, then wait for it here ──▶ all who waited
//! ```
//!
//! A reader joins the first round that *begins* after it asked, so one question to the leader serves every
//! reader that came meanwhile.

use super::Attempt;
use super::{DEADLINE, LeaderLink, local_error, until};
use crate::app::ports::{LinearRead, ProposeError};
use crate::peer::{PeerAnswer, PeerCall};
use crate::state::State;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

/// Readers waiting for a round; more are turned away.
const WAITING: usize = 16_384;

type Answer = Result<Arc<State>, ProposeError>;

/// Reads that see every acknowledged write.
pub(crate) struct Reader {
    ask: mpsc::Sender<oneshot::Sender<Answer>>,
    _rounds: AbortOnDropHandle<()>,
}

impl Reader {
    pub(crate) fn new(link: LeaderLink) -> Self {
        let (ask, asked) = mpsc::channel(WAITING);
        Self { ask, _rounds: AbortOnDropHandle::new(tokio::spawn(rounds(link, asked))) }
    }
}

async fn rounds(link: LeaderLink, mut asked: mpsc::Receiver<oneshot::Sender<Answer>>) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, WAITING).await > 0 {
        // A read changes nothing, so there is no outcome to be unsure of: nobody could confirm who leads.
        let answer = until(DEADLINE, || round(&link)).await.map_err(|error| match error {
            ProposeError::Timeout => ProposeError::NoLeader,
            other => other,
        });
        for reader in waiting.drain(..) {
            // A reader that has gone needs no answer.
            reader.send(answer.clone()).ok();
        }
    }
}

async fn round(link: &LeaderLink) -> Result<Arc<State>, Attempt> {
    let leader = link.leader().await?;
    let index = if leader == link.me {
        link.node.read_index().await.map_err(local_error)?
    } else {
        match link.forward(leader, &PeerCall::ReadIndex).await? {
            PeerAnswer::ReadIndex(index) => index,
            _ => {
                let message = "the leader gave an answer of another kind".to_owned();
                return Err(Attempt::Final(ProposeError::Failed(message)));
            }
        }
    };
    Ok(link.node.store().at_least(index).await)
}

#[async_trait]
impl LinearRead for Reader {
    async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        let (tell, told) = oneshot::channel();
        self.ask.try_send(tell).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopping,
        })?;
        told.await.map_err(|_| ProposeError::Stopping)?
    }
}
