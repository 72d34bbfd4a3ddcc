//! I3: a run is done at least once, and what came of it is recorded once.

use super::super::world::World;
use anyhow::{Result, ensure};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use omni_common::ids::RunId;
use omni_controller::state::{Run, State};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was first recorded of each run that is over.
#[derive(Default)]
pub struct Runs(BTreeMap<RunId, Outcome>);

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    state: RunState,
    ended: Option<Time>,
    snapshots: Vec<Option<String>>,
}

impl Outcome {
    fn of(run: &Run) -> Self {
        let snapshots = run.items.iter().map(|item| item.snapshot.clone()).collect();
        Self { state: run.state, ended: run.ended, snapshots }
    }
}

impl Runs {
    /// A newer state was published.
    pub(super) fn published(&mut self, world: &World, before: &State, state: &State) -> Result<()> {
        for (id, run) in &state.runs {
            if before.runs.get(id).is_some_and(|old| Arc::ptr_eq(old, run)) {
                continue;
            }
            let now = Outcome::of(run);
            match self.0.get(id) {
                Some(first) => {
                    ensure!(*first == now, "I3: {first:?} was recorded of run {id}, and then {now:?}")
                }
                None if run.state.is_over() => {
                    let done = run.state != RunState::Succeeded || times_done(world, *id) > 0;
                    ensure!(done, "I3: run {id} is recorded as done, and no host did it");
                    self.0.insert(*id, now);
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn times_done(world: &World, run: RunId) -> u32 {
    world.hosts().values().map(|host| host.engine.times_done(run)).sum()
}
