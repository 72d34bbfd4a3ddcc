//! I5: controllers that have applied the same entries hold the same state, byte for byte, also after a restart
//! from snapshot and log; and a controller never goes back while it runs.

use super::super::member::name;
use anyhow::{Context, Result, ensure};
use omni_common::ids::ControllerId;
use omni_controller::state::{State, snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of this many states one is compared while the cluster runs: encoding is what a run spends most on.
const ONE_OF: u64 = 8;

/// The first state that was seen of each compared index, and how far each process is.
#[derive(Default)]
pub struct Replicas {
    first: BTreeMap<u64, First>,
    at: BTreeMap<ControllerId, u64>,
}

struct First {
    by: ControllerId,
    state: Arc<State>,
    bytes: Vec<u8>,
}

impl Replicas {
    /// A process starts; what it shows before it has read its log again is older.
    pub(super) fn process_started(&mut self, id: ControllerId) {
        self.at.remove(&id);
    }

    /// A controller shows a state.
    pub(super) fn published(&mut self, id: ControllerId, state: &Arc<State>) -> Result<()> {
        let before = self.at.insert(id, state.index).unwrap_or(0);
        ensure!(state.index >= before, "I5: {} went back from entry {before} to {}", name(id), state.index);
        if state.index.is_multiple_of(ONE_OF) { self.compare(id, state) } else { Ok(()) }
    }

    /// Compares a controller's state with the first one seen of the same index.
    pub(super) fn compare(&mut self, id: ControllerId, state: &Arc<State>) -> Result<()> {
        if let Some(first) = self.first.get(&state.index)
            && Arc::ptr_eq(&first.state, state)
        {
            return Ok(());
        }
        let bytes = snapshot::encode(state).context("a state cannot be encoded")?;
        let first = self.first.entry(state.index).or_insert_with(|| First {
            by: id,
            state: Arc::clone(state),
            bytes: bytes.clone(),
        });
        ensure!(
            first.bytes == bytes,
            "I5: {} and {} differ at entry {}: {}",
            name(first.by),
            name(id),
            state.index,
            difference(&first.state, state)
        );
        Ok(())
    }
}

impl super::Invariants {
    /// Compares whole states of controllers that are at the same entry.
    ///
    /// # Errors
    /// When two of them differ.
    pub fn compare(&mut self, id: ControllerId, state: &Arc<State>) -> Result<()> {
        self.replicas.compare(id, state)
    }
}

/// Which parts of two states differ.
fn difference(a: &State, b: &State) -> String {
    let parts = [
        ("now", a.now != b.now),
        ("cluster", a.cluster != b.cluster),
        ("controllers", a.controllers != b.controllers || a.next_controller != b.next_controller),
        ("hosts", a.hosts != b.hosts || a.host_names != b.host_names),
        ("tokens", a.join_tokens != b.join_tokens || a.api_tokens != b.api_tokens),
        ("environments", a.environments != b.environments),
        ("events", a.events != b.events || a.next_event != b.next_event),
        ("audit", a.audit != b.audit || a.next_audit != b.next_audit),
        ("replies", a.replies != b.replies),
    ];
    let differing: Vec<_> = parts.iter().filter(|(_, differs)| *differs).map(|(part, _)| *part).collect();
    if differing.is_empty() { "only their bytes".to_owned() } else { differing.join(", ") }
}
