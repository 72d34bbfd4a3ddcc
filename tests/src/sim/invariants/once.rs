//! Applied once: however often a request was repeated, through whichever controllers, it had one effect.

use super::super::history::{Effect, History, MARK};
use super::writes::counter;
use anyhow::{Result, ensure};
use omni_controller::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// Whether `state` holds exactly what `history` says, every write of which has been acknowledged by now.
///
/// # Errors
/// Names what is missing, doubled or too much.
pub fn exactly(history: &History, state: &State) -> Result<()> {
    ensure!(history.unresolved() == 0, "{} writes were never acknowledged", history.unresolved());
    marks(history, state)?;
    environments(history, state)?;
    counters(history, state)?;
    tokens(history, state)
}

fn marks(history: &History, state: &State) -> Result<()> {
    let mut found = BTreeMap::<String, u32>::new();
    for mark in state.events.values().filter_map(|event| event.data.get(MARK)) {
        *found.entry(mark.clone()).or_default() += 1;
    }
    for (number, op) in history.ops().iter().enumerate() {
        if matches!(op.effect, Effect::Mark) {
            let times = found.remove(&number.to_string()).unwrap_or(0);
            ensure!(times == 1, "write {number} was asked for once and applied {times} times");
        }
    }
    ensure!(found.is_empty(), "marks that nobody asked for: {found:?}");
    Ok(())
}

fn environments(history: &History, state: &State) -> Result<()> {
    let mut expected = BTreeSet::from(["default".to_owned()]);
    for op in history.ops() {
        match &op.effect {
            Effect::Made(name) => drop(expected.insert(name.clone())),
            Effect::Removed(name) => drop(expected.remove(name)),
            _ => {}
        }
    }
    let found: BTreeSet<_> = state.environments.keys().cloned().collect();
    ensure!(
        found == expected,
        "environments that should not be there: {:?}; missing: {:?}",
        found.difference(&expected).collect::<Vec<_>>(),
        expected.difference(&found).collect::<Vec<_>>()
    );
    Ok(())
}

fn counters(history: &History, state: &State) -> Result<()> {
    for (host, expected) in history.promised().counted {
        let found = counter(state, host);
        ensure!(found == expected, "host {host} was counted up {expected} times and says {found}");
    }
    Ok(())
}

/// Each use of a join token made one host, and nobody was turned away before it was used up.
fn tokens(history: &History, state: &State) -> Result<()> {
    for (token, uses) in history.tokens() {
        let asked: Vec<_> = history
            .ops()
            .iter()
            .filter_map(|op| match &op.effect {
                Effect::Joined { token: shown, host } if shown == token => Some((op, *host)),
                _ => None,
            })
            .collect();
        let joined = asked.iter().filter(|(_, host)| state.hosts.contains_key(host)).count();
        let accepted = asked.iter().filter(|(op, _)| op.ack.as_ref().is_some_and(|ack| ack.done)).count();
        let kept = state.join_tokens.get(token);
        let (used, left) = kept.map_or((0, None), |kept| (kept.used, kept.uses_left));
        let should = asked.len().min(usize::try_from(*uses)?);
        ensure!(
            joined == should && accepted == should && usize::try_from(used)? == should,
            "join token {token} for {uses} uses, shown by {} machines: {accepted} were accepted, {joined} are \
             hosts, {used} uses were counted; each should be {should}",
            asked.len()
        );
        ensure!(left == Some(uses - used), "join token {token} has {left:?} uses left, not {}", uses - used);
    }
    Ok(())
}
