//! From what is and what is wanted to steps.
//!
//! ```text
//!  orphans ─▶ groups, the important and depended-on first ─▶ rebalance, if asked for
//!               replicated.rs: which slots there should be (motion.rs: which of them are on their way)
//!               slot.rs:       one slot: who runs, who retires, who is lost
//!               depart.rs:     off hosts that are emptied
//!               renew.rs:      outdated ones make way for fresh ones
//!               global.rs:     one on every host
//! ```
//!
//! An instance that may run twice is moved by starting the new one first: two allocations of one slot then run
//! until the newer is healthy. An exclusive one is stopped first, and placed by a later plan. Nothing is moved
//! unless its host is lost or emptied, it failed, or someone asked for a rebalance.

mod depart;
mod global;
mod motion;
mod order;
mod rebalance;
mod renew;
mod replicated;
mod scale;
mod slot;
mod storm;
mod team;

use crate::choose::{Choice, choose, why_none};
use crate::ids::{GroupKey, HostRef, Slot};
use crate::index::{Ask, Held, HostIx, Index, Rooms};
use crate::plan::{Placement, Plan, Step, Waiting};
use crate::problem::{AllocationState, Group, Mode};
use crate::why::{PlaceWhy, StopWhy, Wait};
use omni_common::ids::HostId;
use std::collections::BTreeSet;
use team::Team;

/// A plan in the making.
struct Planner<'a> {
    index: &'a Index,
    /// What is free once the steps so far are done.
    rooms: Rooms,
    /// Hosts whose loss is part of a storm.
    storm: BTreeSet<HostId>,
    /// Slots that move because hosts are emptied or the mesh is rebalanced.
    moving: u32,
    plan: Plan,
}

/// What to do now.
pub(crate) fn plan(index: &Index) -> Plan {
    let (halted, storm) = storm::find(index);
    let rooms = index.rooms.clone();
    let mut planner = Planner { index, rooms, storm, moving: 0, plan: Plan { halted, ..Plan::default() } };
    planner.moving = planner.in_motion();
    planner.orphans();
    let (order, circle) = order::order(index);
    planner.plan.notes.extend(circle);
    for key in order {
        planner.group(key);
    }
    if let Some(request) = index.policy.rebalance
        && planner.plan.halted.is_none()
    {
        planner.rebalance(request);
    }
    planner.plan
}

impl<'a> Planner<'a> {
    /// Stops what no app wants.
    fn orphans(&mut self) {
        for entry in self.index.groups.values().filter(|entry| entry.group.is_none()) {
            for held in entry.held.iter().filter(|held| held.allocation.wanted()) {
                self.tell_to_stop(held, StopWhy::NotWanted);
            }
        }
    }

    fn group(&mut self, key: &GroupKey) {
        let Some((group, entry)) =
            self.index.groups.get(key).and_then(|entry| Some((entry.group.as_ref()?, entry)))
        else {
            return;
        };
        let mut team = Team::new(self.index, group, entry);
        match group.mode {
            Mode::Replicated(count) => self.replicated(&mut team, count),
            Mode::Global => self.global(&mut team),
        }
    }

    /// Whether it is meant to run, on a host that can be told so.
    fn runs(&self, held: &Held) -> bool {
        held.allocation.wanted() && !self.index.state(held).is_down()
    }

    /// Whether it may be running, whatever it was told.
    fn may_run(&self, held: &Held) -> bool {
        use crate::problem::HostState::Down;
        let told_and_done = held.allocation.is_over();
        !told_and_done && self.index.state(held) != Down { fenced: true }
    }

    fn host_ref(&self, held: &Held) -> HostRef {
        self.index.host_ref(held.allocation.host)
    }

    /// Stops one of a group, which from then on stands in nobody's way.
    fn stop(&mut self, team: &mut Team<'_>, held: &Held, why: StopWhy) {
        team.leave(self.index, held);
        self.tell_to_stop(held, why);
    }

    fn tell_to_stop(&mut self, held: &Held, why: StopWhy) {
        let (allocation, host) = (held.allocation.reference(), self.host_ref(held));
        self.plan.steps.push(Step::Stop { allocation, host, why });
    }

    fn lose(&mut self, held: &Held) {
        if held.allocation.state != AllocationState::Lost {
            let (allocation, host) = (held.allocation.reference(), self.host_ref(held));
            self.plan.steps.push(Step::Lose { allocation, host });
        }
    }

    fn wait(&mut self, group: &Group, slot: Slot, host: Option<HostRef>, why: Wait) {
        self.plan.waiting.push(Waiting { group: group.key.clone(), slot, host, why });
    }

    fn wait_at(&mut self, team: &Team<'_>, held: &Held, why: Wait) {
        let host = self.host_ref(held);
        self.wait(team.group, held.allocation.slot, Some(host), why);
    }

    /// The best host for a slot, or what is missing.
    fn find(&self, team: &mut Team<'_>, slot: Slot, previous: Option<HostId>) -> Result<Choice, Wait> {
        if let Some(why) = team.unplaceable(slot) {
            return Err(why);
        }
        let ask = Ask::new(team.group, slot, team.placed(self.index), previous);
        let bound = ask.bound_by_data();
        if let Some(choice) = choose(self.index, &self.rooms, &ask) {
            return Ok(choice);
        }
        let why = Wait::NoHost(why_none(self.index, &self.rooms, &ask));
        if !bound {
            team.note_unplaceable(why.clone());
        }
        Err(why)
    }

    /// Takes a chosen host, and says what is placed there.
    fn take(&mut self, team: &mut Team<'_>, slot: Slot, choice: Choice) -> Placement {
        let host = self.index.host(choice.host);
        self.take_room(team, slot, choice.host, &choice);
        team.add(self.index, host);
        Placement {
            group: team.group.key.clone(),
            slot,
            host: HostRef { id: host.id, name: host.name.clone() },
            epoch: team.next_epoch(slot),
            gpus: choice.gpus,
        }
    }

    fn take_room(&mut self, team: &mut Team<'_>, slot: Slot, ix: HostIx, choice: &Choice) {
        let ask = Ask::new(team.group, slot, team.placed(self.index), None);
        self.rooms.take(ix, self.index.host(ix), crate::index::Taken::of(&ask, &choice.gpus));
    }

    fn place(&mut self, team: &mut Team<'_>, slot: Slot, choice: Choice, why: PlaceWhy) {
        let placement = self.take(team, slot, choice);
        self.plan.steps.push(Step::Place { placement, why });
    }
}
