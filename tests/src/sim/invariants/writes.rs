//! I2: an acknowledged write survives, and no linearizable read that begins after its acknowledgement misses it.

use super::super::history::{COUNTER, Effect, History, MARK, Promised};
use anyhow::{Result, ensure};
use omni_common::ids::HostId;
use omni_controller::state::State;

/// Whether `state` holds every write that had been acknowledged when `promised` was made.
///
/// # Errors
/// Names the first write that is missing.
pub fn hold(history: &History, promised: &Promised, state: &State) -> Result<()> {
    for (number, op) in history.acknowledged(promised) {
        let present = match &op.effect {
            Effect::Mark => op.ack.as_ref().is_some_and(|ack| is_marked(state, ack.event, number)),
            Effect::Made(name) => history.is_removed(name) || state.environments.contains_key(name),
            Effect::Removed(name) => !state.environments.contains_key(name),
            Effect::Joined { host, .. } => state.hosts.contains_key(host),
            // Counted below, all of them together.
            Effect::Added(_) => true,
        };
        ensure!(
            present,
            "I2: write {number} ({:?}) was acknowledged, and a state at entry {} lacks it",
            op.effect,
            state.index
        );
    }
    for (host, at_least) in &promised.counted {
        let (count, at_most) = (counter(state, *host), history.attempted(*host));
        ensure!(
            (*at_least..=at_most).contains(&count),
            "I2: host {host} was counted up {at_least} to {at_most} times, and a state at entry {} says {count}",
            state.index
        );
    }
    Ok(())
}

fn is_marked(state: &State, event: Option<u64>, number: usize) -> bool {
    let event = event.and_then(|seq| state.events.get(&seq));
    event.is_some_and(|event| event.data.get(MARK).is_some_and(|mark| *mark == number.to_string()))
}

/// The counter that writers keep as a label of a host.
pub fn counter(state: &State, host: HostId) -> u64 {
    let label = state.hosts.get(&host).and_then(|host| host.labels.get(COUNTER));
    label.map_or(0, |count| count.parse().expect("only writers set it"))
}
