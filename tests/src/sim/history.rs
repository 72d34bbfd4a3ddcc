//! What clients asked for and what they were told: the yardstick of every check of a state.

use anyhow::{Result, ensure};
use omni_common::ids::{HostId, RequestId, TokenId};
use omni_controller::app::ports::Applied;
use omni_controller::state::{Outcome, State};
use std::collections::{BTreeMap, BTreeSet};

/// Key of the fact by which an event is known as a writer's mark.
pub(super) const MARK: &str = "mark";
/// Label of a host that writers count up.
pub(super) const COUNTER: &str = "sim-count";

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// One event that carries the write's number.
    Mark,
    /// One environment.
    Made(String),
    /// An environment is gone.
    Removed(String),
    /// One use of a join token makes one host.
    Joined {
        /// The token shown.
        token: TokenId,
        /// The host it makes.
        host: HostId,
    },
    /// A host's counter is one higher, unless somebody else was faster.
    Added(HostId),
}

/// A write that was asked for.
#[derive(Debug)]
pub struct Op {
    /// The id under which it is repeated.
    pub request: RequestId,
    /// What it does.
    pub effect: Effect,
    /// What its client was told first.
    pub ack: Option<Ack>,
}

/// An acknowledgement.
#[derive(Debug)]
pub struct Ack {
    /// Whether it was done, not refused.
    pub done: bool,
    /// Number of the event, for a mark.
    pub event: Option<u64>,
    outcome: Outcome,
}

/// What had been acknowledged at some moment.
#[derive(Clone, Debug, Default)]
pub struct Promised {
    acknowledged: usize,
    /// How often each host's counter had been counted up.
    pub counted: BTreeMap<HostId, u64>,
}

/// All writes, in the order they were begun.
#[derive(Debug, Default)]
pub struct History {
    ops: Vec<Op>,
    order: Vec<usize>,
    counted: BTreeMap<HostId, u64>,
    removals: BTreeSet<String>,
    tokens: BTreeMap<TokenId, u32>,
}

impl History {
    /// A join token that writers may use this often.
    pub fn add_token(&mut self, token: TokenId, uses: u32) {
        self.tokens.insert(token, uses);
    }

    /// Join tokens and how often each may be used.
    pub fn tokens(&self) -> &BTreeMap<TokenId, u32> {
        &self.tokens
    }

    /// Number of the next write.
    pub fn next(&self) -> usize {
        self.ops.len()
    }

    /// A write begins.
    pub fn begin(&mut self, request: RequestId, effect: Effect) {
        if let Effect::Removed(name) = &effect {
            self.removals.insert(name.clone());
        }
        self.ops.push(Op { request, effect, ack: None });
    }

    /// All of them.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// A client was told how a write ended; `state` holds it.
    ///
    /// # Errors
    /// When it was told something else before, or refused what nothing stands against.
    pub fn acknowledge(&mut self, number: usize, applied: &Applied, state: &State) -> Result<()> {
        let op = &mut self.ops[number];
        let done = applied.outcome.is_ok();
        if let Some(earlier) = &op.ack {
            ensure!(
                earlier.outcome == applied.outcome,
                "write {number} ({:?}) was answered {:?}, and {:?} when it was repeated",
                op.effect,
                earlier.outcome,
                applied.outcome
            );
            return Ok(());
        }
        let may_be_refused = matches!(op.effect, Effect::Joined { .. } | Effect::Added(_));
        ensure!(
            done || may_be_refused,
            "write {number} ({:?}) was refused: {:?}",
            op.effect,
            applied.outcome
        );
        let event = matches!(op.effect, Effect::Mark).then(|| event_of(state, number)).flatten();
        op.ack = Some(Ack { done, event, outcome: applied.outcome.clone() });
        if done && let Effect::Added(host) = op.effect {
            *self.counted.entry(host).or_default() += 1;
        }
        self.order.push(number);
        Ok(())
    }

    /// What is acknowledged by now.
    pub fn promised(&self) -> Promised {
        Promised { acknowledged: self.order.len(), counted: self.counted.clone() }
    }

    /// The writes that had been acknowledged as done, with their numbers.
    pub fn acknowledged(&self, promised: &Promised) -> impl Iterator<Item = (usize, &Op)> {
        let done = |op: &&Op| op.ack.as_ref().is_some_and(|ack| ack.done);
        let numbers = self.order[..promised.acknowledged].iter();
        numbers.map(|number| (*number, &self.ops[*number])).filter(move |(_, op)| done(op))
    }

    /// Whether somebody has begun to remove an environment.
    pub fn is_removed(&self, name: &str) -> bool {
        self.removals.contains(name)
    }

    /// How often somebody has begun to count a host up.
    pub fn attempted(&self, host: HostId) -> u64 {
        let tries = self.ops.iter().filter(|op| op.effect == Effect::Added(host)).count();
        u64::try_from(tries).unwrap_or(u64::MAX)
    }

    /// Writes that nobody has been told the end of.
    pub fn unresolved(&self) -> usize {
        self.ops.len() - self.order.len()
    }
}

/// The event that a mark made.
fn event_of(state: &State, number: usize) -> Option<u64> {
    let number = number.to_string();
    let mut newest_first = state.events.iter().rev();
    newest_first.find(|(_, event)| event.data.get(MARK) == Some(&number)).map(|(seq, _)| *seq)
}
