//! Refused calls on their way into the audit trail.
//!
//! Strangers can cause refusals as fast as they can send, so these never become one command each: equal ones
//! are counted together, at most [`MAX_KINDS`] kinds are held, and they are written at most once a second.
//! What does not fit is counted and written as one entry that says how many there were.

use super::ports::Propose;
use crate::state::command::NewAudit;
use crate::state::{Actor, Command, Proposal};
use omni_common::clock::{Clock, Time};
use omni_common::ids::RequestId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Different refusals held for one write.
const MAX_KINDS: usize = 64;
/// Writes come at most this often.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest text kept of anything a stranger chose.
const MAX_TEXT: usize = 200;

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedCall {
    /// Who called, as far as it is known.
    pub who: String,
    /// With which role.
    pub role: Option<String>,
    /// From which address.
    pub from: Option<String>,
    /// What was asked.
    pub action: String,
    /// Of what.
    pub target: String,
    /// Stable word of the refusal.
    pub outcome: String,
}

#[derive(Default)]
struct Pending {
    counts: BTreeMap<RefusedCall, (u64, Time)>,
    beyond: u64,
}

/// Collects refusals. Cheap to clone.
#[derive(Clone, Default)]
pub struct Refusals {
    pending: Arc<Mutex<Pending>>,
    wake: Arc<Notify>,
}

impl Refusals {
    /// Notes a refused call.
    pub fn note(&self, mut call: RefusedCall, at: Time) {
        for text in [&mut call.who, &mut call.action, &mut call.target] {
            if text.chars().nth(MAX_TEXT).is_some() {
                *text = text.chars().take(MAX_TEXT).collect();
            }
        }
        let mut pending = self.pending.lock().expect("no panic while locked");
        if let Some((count, last)) = pending.counts.get_mut(&call) {
            *count += 1;
            *last = at;
        } else if pending.counts.len() < MAX_KINDS {
            pending.counts.insert(call, (1, at));
        } else {
            pending.beyond += 1;
        }
        self.wake.notify_one();
    }

    /// Writes what was noted, at most once a second, until `stop`. What cannot be written (no leader) is
    /// kept and counted on.
    pub async fn run(self, proposer: Arc<dyn Propose>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while stop.run_until_cancelled(self.wake.notified()).await.is_some() {
            self.flush(&*proposer, clock.now()).await;
            if stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_none() {
                break;
            }
        }
        self.flush(&*proposer, clock.now()).await;
    }

    /// Writes what was noted.
    pub async fn flush(&self, proposer: &dyn Propose, now: Time) {
        let taken = std::mem::take(&mut *self.pending.lock().expect("no panic while locked"));
        if taken.counts.is_empty() && taken.beyond == 0 {
            return;
        }
        let proposal = Proposal {
            request: RequestId::mint(),
            fingerprint: None,
            at: now,
            actor: Actor::system(),
            command: Command::RecordAudit(entries(&taken, now)),
        };
        if let Err(error) = proposer.propose(proposal).await {
            tracing::debug!(%error, "refused calls are kept until they can be audited");
            self.put_back(taken);
        }
    }

    fn put_back(&self, taken: Pending) {
        let mut pending = self.pending.lock().expect("no panic while locked");
        pending.beyond += taken.beyond;
        for (call, (count, at)) in taken.counts {
            if pending.counts.len() < MAX_KINDS || pending.counts.contains_key(&call) {
                let slot = pending.counts.entry(call).or_insert((0, at));
                slot.0 += count;
            } else {
                pending.beyond += count;
            }
        }
        // The next refusal, or the next round, tries again.
        self.wake.notify_one();
    }
}

fn entries(taken: &Pending, now: Time) -> Vec<NewAudit> {
    let mut entries: Vec<NewAudit> = taken
        .counts
        .iter()
        .map(|(call, (count, at))| NewAudit {
            at: *at,
            who: call.who.clone(),
            role: call.role.clone(),
            from: call.from.clone(),
            action: call.action.clone(),
            target: call.target.clone(),
            outcome: call.outcome.clone(),
            detail: (*count > 1).then(|| format!("{count} times")),
        })
        .collect();
    if taken.beyond > 0 {
        entries.push(NewAudit {
            at: now,
            who: "anonymous".to_owned(),
            role: None,
            from: None,
            action: "many calls".to_owned(),
            target: "api".to_owned(),
            outcome: "refused".to_owned(),
            detail: Some(format!("{} more refused calls of other kinds", taken.beyond)),
        });
    }
    entries
}
