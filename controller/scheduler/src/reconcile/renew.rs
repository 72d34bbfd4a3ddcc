//! Slots that are to be filled afresh: the steps of a rollout. Which slots, and when, is the caller's to decide.

use super::{Planner, Team};
use crate::choose::{Choice, stay};
use crate::index::{Ask, Held, Taken};
use crate::plan::{Placement, Step};
use crate::problem::{AllocationState, Renewal};
use crate::why::{PlaceWhy, StopWhy, Wait};

impl Planner<'_> {
    /// An outdated instance on a host that can be told things.
    ///
    /// Where a second one fits beside it, that starts first. Where none does (it may hold the very port that its
    /// successor needs), its host turns it into the new one; or it stops first, when its successor does not fit there or is
    /// to begin from nothing, and a later plan fills the slot. Unless room is on its way: another of the group is stopping.
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
        if let Some(choice) = self.stays(team, held) {
            self.turn_into(team, held, choice);
            return self.count_stopped(team, held);
        }
        self.stop(team, held, StopWhy::Outdated);
        self.count_stopped(team, held);
        if team.group.exclusive {
            self.hold_room(team, slot);
        }
    }

    /// Whether an instance may become what the group wants now where it is, as if it were not there itself.
    fn stays(&mut self, team: &mut Team<'_>, held: &Held) -> Option<Choice> {
        let (ix, slot) = (held.host?, held.allocation.slot);
        if team.group.renew.get(&slot) != Some(&Renewal::InPlace) {
            return None;
        }
        let others =
            team.entry.of_slot(slot).iter().filter(|other| other.allocation.id != held.allocation.id);
        if team.group.exclusive && self.blocked(others).is_some() {
            return None;
        }
        let host = self.index.host(ix);
        self.rooms.give(ix, host, &held.allocation);
        team.lift(self.index, host);
        let ask = Ask::new(team.group, slot, team.placed(self.index), None);
        let choice = stay(self.index, &self.rooms, &ask, ix);
        team.add(self.index, host);
        self.rooms.take(ix, host, &held.allocation);
        choice
    }

    fn turn_into(&mut self, team: &mut Team<'_>, held: &Held, choice: Choice) {
        let (slot, host) = (held.allocation.slot, self.index.host(choice.host));
        self.rooms.give(choice.host, host, &held.allocation);
        let ask = Ask::new(team.group, slot, team.placed(self.index), None);
        self.rooms.take(choice.host, host, Taken::of(&ask, &choice.gpus));
        let placement = Placement {
            group: team.group.key.clone(),
            slot,
            host: self.host_ref(held),
            epoch: team.next_epoch(slot),
            gpus: choice.gpus,
        };
        self.plan.steps.push(Step::Renew { allocation: held.allocation.reference(), placement });
    }
}
