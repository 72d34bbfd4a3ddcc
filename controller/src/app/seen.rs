//! Which sessions were used lately, on its way into the state.
//!
//! Sessions are used with every call and written down once in [`COARSE`] at most, all of them in one command.

use super::ports::Propose;
use crate::state::{Actor, Command, Proposal, UserSession};
use omni_common::clock::{Clock, Time};
use omni_common::ids::{RequestId, TokenId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What the state knows of a session's use is this old at most. The shortest idle time is many times longer.
const COARSE: Duration = Duration::from_secs(10 * 60);
/// Writes come at most this often.
const PERIOD: Duration = Duration::from_secs(30);
/// Sessions held for one write; those beyond it are noted when they are used next.
const MOST: usize = 1_000;

/// Collects uses of sessions. Cheap to clone.
#[derive(Clone, Default)]
pub struct Seen {
    pending: Arc<Mutex<BTreeMap<TokenId, Time>>>,
    wake: Arc<Notify>,
}

impl Seen {
    /// Notes that a session is used.
    pub(super) fn note(&self, session: &UserSession, now: Time) {
        if now.since(session.seen) < COARSE {
            return;
        }
        let mut pending = self.pending.lock().expect("no panic while locked");
        if pending.len() < MOST || pending.contains_key(&session.id) {
            pending.insert(session.id, now);
            self.wake.notify_one();
        }
    }

    /// Writes what was noted until `stop`. What cannot be written is lost: the next use says it again.
    pub async fn run(self, proposer: Arc<dyn Propose>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while stop.run_until_cancelled(self.wake.notified()).await.is_some() {
            self.flush(&*proposer, clock.now()).await;
            if stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() {
                return;
            }
        }
    }

    /// Writes what was noted.
    pub async fn flush(&self, proposer: &dyn Propose, now: Time) {
        let taken = std::mem::take(&mut *self.pending.lock().expect("no panic while locked"));
        if taken.is_empty() {
            return;
        }
        let proposal = Proposal {
            request: RequestId::mint(),
            fingerprint: None,
            at: now,
            actor: Actor::system(),
            command: Command::TouchSessions(taken.into_iter().collect()),
        };
        if let Err(error) = proposer.propose(proposal).await {
            tracing::debug!(%error, "the use of sessions is not noted yet");
        }
    }
}
