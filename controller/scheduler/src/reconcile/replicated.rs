//! Groups with a number of replicas: which slots there should be.

use super::motion::Shape;
use super::{Planner, Team};
use crate::ids::Slot;
use crate::index::{Ask, Held, Placed};
use crate::problem::MAX_REPLICAS;
use crate::why::{Note, PlaceWhy, StopWhy, Wait};
use std::collections::BTreeMap;

impl<'a> Planner<'a> {
    pub(super) fn replicated(&mut self, team: &mut Team<'a>, asked: u32) {
        if asked > MAX_REPLICAS {
            self.plan.notes.push(Note::TooMany { group: team.group.key.clone(), asked });
        }
        let shape = self.shape(team.group, team.entry, asked);
        team.moving = self.moving_in(team.group, team.entry, &shape);
        team.free = self.free(team, &shape, asked.min(MAX_REPLICAS));
        for held in shape.strangers {
            self.stop_all(team, held, &StopWhy::NotWanted);
        }
        for held in shape.extra {
            self.stop_all(team, held, &StopWhy::ScaledDown);
        }
        // In the order of their numbers, so that a slot that stops first keeps its turn until it is filled again.
        let mut jobs: BTreeMap<u32, Option<&[Held]>> =
            shape.missing.into_iter().map(|number| (number, None)).collect();
        jobs.extend(shape.stays.into_iter().map(|(number, held)| (number, Some(held))));
        for (number, held) in jobs {
            match held {
                Some(held) => self.settle(team, held),
                None => self.fill_slot(team, Slot::Replica(number)),
            }
        }
    }

    fn stop_all(&mut self, team: &mut Team<'_>, slot: &[Held], why: &StopWhy) {
        for held in slot.iter().filter(|held| held.allocation.wanted()) {
            self.stop(team, held, why.clone());
        }
    }

    /// Places a slot that nothing fills.
    fn fill_slot(&mut self, team: &mut Team<'_>, slot: Slot) {
        let before = team.entry.of_slot(slot);
        if team.group.exclusive {
            if let Some(why) = self.blocked(before) {
                self.hold_room(team, slot);
                return self.wait(team.group, slot, None, why);
            }
            if let Some(why) = self.data_away(team, slot) {
                return self.wait(team.group, slot, None, why);
            }
        } else if let Some(why) = self.stops_first(team) {
            return self.wait(team.group, slot, None, why);
        }
        let previous = before.first().map(|held| held.allocation.host);
        match self.find(team, slot, previous) {
            Ok(choice) => {
                team.started += 1;
                self.place(team, slot, choice, PlaceWhy::Missing);
            }
            Err(why) => self.wait(team.group, slot, None, why),
        }
    }

    /// What has to stop before one more of a group starts that is renewed by stopping first: as many may run as there
    /// should be. What runs on a host that cannot be told anything is not waited for.
    fn stops_first(&self, team: &Team<'_>) -> Option<Wait> {
        if !team.group.renew_stops_first || team.started < team.free {
            return None;
        }
        let stopping = team.entry.held.iter().rfind(|held| self.stops(held))?;
        Some(Wait::Stopping(Box::new(stopping.allocation.reference()), self.host_ref(stopping)))
    }

    /// Whether it is a replica that was told to stop, and whose host can be expected to say when it has.
    pub(super) fn stops(&self, held: &Held) -> bool {
        let replica = matches!(held.allocation.slot, Slot::Replica(_));
        let told = !held.allocation.wanted() && !held.allocation.is_over();
        replica && told && held.host.is_some() && !self.index.state(held).is_down()
    }

    /// How many may start so that, with what still stops, no more run than should.
    fn free(&self, team: &Team<'_>, shape: &Shape<'_>, count: u32) -> usize {
        let stopping = team.entry.held.iter().filter(|held| self.stops(held)).count();
        let extra = shape.extra.iter().flat_map(|slot| slot.iter()).filter(|held| self.runs(held)).count();
        (count as usize).saturating_sub(shape.stays.len() + stopping + extra)
    }

    /// Notes what runs where it would not be placed today.
    pub(super) fn note_misplaced(&mut self, team: &mut Team<'_>, held: &Held) {
        let group = team.group;
        if group.constraints.is_empty() && group.region.is_none() && group.platforms.is_empty() {
            return;
        }
        let Some(ix) = held.host else { return };
        let nowhere = Placed::nowhere();
        let ask = Ask::new(group, held.allocation.slot, &nowhere, None);
        if let Some(why) = crate::filters::mismatch(&ask, self.index.view(&self.rooms, ix)) {
            let (allocation, host) = (held.allocation.reference(), self.host_ref(held));
            self.plan.notes.push(Note::Misplaced { allocation, host, why });
        }
    }
}
