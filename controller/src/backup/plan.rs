//! All that is decided about runs at one moment.

use super::moment::Moments;
use super::{Limits, Outline, due, give, lost};
use crate::state::command::RunStep;
use crate::state::{AppKey, State};
use omni_common::clock::Time;
use omni_common::ids::RunId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most steps in one command; the rest follows with the next plan.
const MAX_STEPS: usize = 500;

/// The data of each app's wanted release, and that of the controllers under [`AppKey::controllers`].
pub type Outlines = BTreeMap<AppKey, Arc<Outline>>;

/// Ids for runs that a plan begins.
pub trait Ids {
    /// For a run.
    fn run(&mut self) -> RunId;
}

/// What a decision looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Runs that are open, and what is due.
    Everything,
    /// Runs that are open. Whether something is due changes with time, not with each change of the state.
    Open,
}

/// Decides everything that can be decided about `state` at `now`.
pub fn decide(
    state: &State,
    outlines: &Outlines,
    limits: &Limits,
    now: Time,
    look: Look,
    ids: &mut dyn Ids,
) -> Vec<RunStep> {
    // Moments in the state come from other clocks than ours.
    let now = now.max(state.now);
    let mut steps = lost::steps(state, now);
    let moments = Moments::of(state, outlines, limits);
    steps.extend(give::steps(state, outlines, limits, &moments, now));
    if look == Look::Everything {
        steps.extend(due::steps(state, outlines, limits, &moments, now, ids));
    }
    steps.truncate(MAX_STEPS);
    steps
}
