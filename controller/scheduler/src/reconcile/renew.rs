//! Slots that are to be filled afresh: the steps of a rollout. Which slots, and when, is the caller's to decide.

use super::{Planner, Team};
use crate::index::Held;
use crate::problem::AllocationState;
use crate::why::{PlaceWhy, StopWhy, Wait};

impl Planner<'_> {
    /// An outdated instance on a host that can be told things.
    ///
    /// Where a second one fits beside it, that starts first. Where none does (it may hold the very port that its
    /// successor needs), it stops first, and a later plan fills the slot. Unless room is on its way: another of the group
    /// is stopping.
    pub(super) fn renew(&mut self, team: &mut Team<'_>, held: &Held) {
        let (slot, here) = (held.allocation.slot, held.allocation.host);
        let starts_first = !team.group.exclusive && !team.group.renew_stops_first;
        if starts_first && let Ok(choice) = self.find(team, slot, Some(here)) {
            return match held.allocation.state {
                AllocationState::Healthy => self.start_first(team, held, choice, PlaceWhy::Renew),
                _ => self.swap(team, held, choice, PlaceWhy::Renew),
            };
        }
        let serves = held.allocation.state == AllocationState::Healthy;
        if starts_first
            && serves
            && let Some(other) = team.entry.held.iter().find(|other| self.stops(other))
        {
            let why = Wait::Stopping(Box::new(other.allocation.reference()), self.host_ref(other));
            return self.wait_at(team, held, why);
        }
        self.stop(team, held, StopWhy::Outdated);
        self.count_stopped(team, held);
        if team.group.exclusive {
            self.hold_room(team, slot);
        }
    }
}
