//! Which slots a group keeps, and which of them are on their way somewhere.

use super::Planner;
use crate::ids::Slot;
use crate::index::{Entry, Held};
use crate::problem::{AllocationState, Group, MAX_REPLICAS, Mode};

/// A replicated group's slots as they should be.
pub(super) struct Shape<'a> {
    /// Filled, and wanted.
    pub(super) stays: Vec<(u32, &'a [Held])>,
    /// Filled, but too many.
    pub(super) extra: Vec<&'a [Held]>,
    /// From a time when the group ran on every host.
    pub(super) strangers: Vec<&'a [Held]>,
    /// To be filled.
    pub(super) missing: Vec<u32>,
}

impl<'a> Planner<'a> {
    pub(super) fn shape(&self, group: &Group, entry: &'a Entry, asked: u32) -> Shape<'a> {
        let count = asked.min(MAX_REPLICAS) as usize;
        let mut shape =
            Shape { stays: Vec::new(), extra: Vec::new(), strangers: Vec::new(), missing: Vec::new() };
        for held in entry.slots().filter(|slot| slot.iter().any(|held| held.allocation.wanted())) {
            match held[0].allocation.slot {
                Slot::Replica(number) => shape.stays.push((number, held)),
                Slot::Host(_) => shape.strangers.push(held),
            }
        }
        let extra = if group.exclusive {
            // Numbers stand for data, so they stay the lowest ones.
            shape.stays.iter().map(|(number, _)| *number).filter(|number| *number as usize >= count).collect()
        } else {
            self.extra(&shape.stays, shape.stays.len().saturating_sub(count))
        };
        shape.extra =
            shape.stays.extract_if(.., |(number, _)| extra.contains(number)).map(|(_, held)| held).collect();
        let missing = count.saturating_sub(shape.stays.len());
        shape.missing = entry.vacant(group.exclusive).take(missing).collect();
        shape
    }

    /// Slots of all groups that are in motion already because hosts are emptied or the mesh is rebalanced.
    pub(super) fn in_motion(&self) -> u32 {
        let someone_departs = self.index.hosts.iter().any(|host| host.departs());
        if !someone_departs && self.index.policy.rebalance.is_none() {
            return 0;
        }
        let groups = self.index.groups.values().filter_map(|entry| Some((entry.group.as_ref()?, entry)));
        groups.fold(0, |moving: u32, (group, entry)| moving.saturating_add(self.moving_of(group, entry)))
    }

    /// Slots of one group that are in motion before this plan does anything.
    pub(super) fn moving_of(&self, group: &Group, entry: &'a Entry) -> u32 {
        match group.mode {
            // These do not move.
            Mode::Global => 0,
            Mode::Replicated(count) => self.moving_in(group, entry, &self.shape(group, entry, count)),
        }
    }

    pub(super) fn moving_in(&self, group: &Group, entry: &Entry, shape: &Shape<'_>) -> u32 {
        let stays = shape.stays.iter().filter(|(_, held)| self.moves(group, held));
        let missing = shape.missing.iter().filter(|number| {
            let held = entry.of_slot(Slot::Replica(**number));
            held.iter().any(|held| self.departs(held))
        });
        u32::try_from(stays.count() + missing.count()).unwrap_or(u32::MAX)
    }

    /// Whether a filled slot is in motion: an older one serves until the newest is healthy, or was stopped on a host
    /// that is emptied while the newest still starts. What this plan ends is no motion any more.
    fn moves(&self, group: &Group, slot: &[Held]) -> bool {
        let mut running = slot.iter().filter(|held| self.runs(held));
        let Some(current) = running.next() else { return false };
        let starts = matches!(current.allocation.state, AllocationState::Pending | AllocationState::Starting);
        let healthy = |held: &Held| held.allocation.state == AllocationState::Healthy;
        let serves = !group.exclusive && running.any(healthy);
        let ended = matches!(current.allocation.state, AllocationState::Healthy | AllocationState::Failed);
        let left = slot.iter().any(|held| {
            held.allocation.id != current.allocation.id
                && (group.exclusive || !held.allocation.wanted())
                && self.departs(held)
        });
        (serves && !ended) || (starts && left)
    }

    fn departs(&self, held: &Held) -> bool {
        held.host.is_some_and(|ix| self.index.host(ix).departs())
    }
}
