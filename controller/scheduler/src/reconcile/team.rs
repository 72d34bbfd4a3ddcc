//! One group while it is planned for.

use crate::ids::{AllocationId, Slot};
use crate::index::{Entry, Held, HostIx, Index, Placed};
use crate::problem::{AllocationState, Group, Host};
use crate::why::Wait;
use std::collections::BTreeSet;

/// A group, its allocations, and what the plan has done with them so far.
pub(super) struct Team<'a> {
    pub(super) group: &'a Group,
    pub(super) entry: &'a Entry,
    /// Counted when first needed: most groups of most plans need nothing.
    placed: Option<Placed>,
    /// What the plan stops or moves.
    gone: BTreeSet<AllocationId>,
    /// How many are healthy and not told to stop.
    pub(super) healthy: u32,
    /// Slots in motion.
    pub(super) moving: u32,
    /// Slots that the plan fills because nothing does.
    pub(super) started: usize,
    /// Most of them that may be, in a group that is renewed by stopping first.
    pub(super) free: usize,
    /// Why nothing more of the group fits. Room only gets less while a plan is made.
    full: Option<Wait>,
}

impl<'a> Team<'a> {
    pub(super) fn new(index: &Index, group: &'a Group, entry: &'a Entry) -> Self {
        let healthy = entry.held.iter().filter(|held| {
            let allocation = &held.allocation;
            allocation.wanted()
                && allocation.state == AllocationState::Healthy
                && !index.state(held).is_down()
        });
        let healthy = u32::try_from(healthy.count()).unwrap_or(u32::MAX);
        Self {
            group,
            entry,
            placed: None,
            gone: BTreeSet::new(),
            healthy,
            moving: 0,
            started: 0,
            free: 0,
            full: None,
        }
    }

    /// Where the group's instances are, with what the plan adds.
    pub(super) fn placed(&mut self, index: &Index) -> &Placed {
        self.placed.get_or_insert_with(|| {
            let mut placed = Placed::of(index, self.entry, self.group);
            let gone = self.entry.held.iter().filter(|held| self.gone.contains(&held.allocation.id));
            for ix in gone.filter_map(|held| held.host) {
                placed.leave(index.host(ix));
            }
            placed
        })
    }

    pub(super) fn add(&mut self, index: &Index, host: &Host) {
        self.placed(index);
        if let Some(placed) = &mut self.placed {
            placed.add(host);
        }
    }

    /// The plan stops or moves one: the group is spread as if it were gone.
    pub(super) fn leave(&mut self, index: &Index, held: &Held) {
        let Some(ix) = counted(index, held) else { return };
        if self.gone.insert(held.allocation.id)
            && let Some(placed) = &mut self.placed
        {
            placed.leave(index.host(ix));
        }
    }

    /// It stays after all.
    pub(super) fn stay(&mut self, index: &Index, held: &Held) {
        if self.gone.remove(&held.allocation.id)
            && let (Some(placed), Some(ix)) = (&mut self.placed, held.host)
        {
            placed.stay(index.host(ix));
        }
    }

    /// As if one that runs had never been placed; until it is put back.
    pub(super) fn lift(&mut self, index: &Index, host: &Host) {
        self.placed(index);
        if let Some(placed) = &mut self.placed {
            placed.remove(host);
        }
    }

    /// The epoch that a new allocation of the slot gets.
    pub(super) fn next_epoch(&self, slot: Slot) -> u64 {
        let newest = self.entry.of_slot(slot).first().map_or(0, |held| held.allocation.epoch);
        newest.max(self.group.epoch_floor).saturating_add(1)
    }

    /// Why a slot cannot be placed, when that is known without looking.
    pub(super) fn unplaceable(&self, slot: Slot) -> Option<Wait> {
        let bound = self.group.exclusive && self.group.data(slot).next().is_some();
        if bound { None } else { self.full.clone() }
    }

    pub(super) fn note_unplaceable(&mut self, why: Wait) {
        self.full = Some(why);
    }
}

/// The host on which an allocation counts as one of its group, if it does.
fn counted(index: &Index, held: &Held) -> Option<HostIx> {
    held.host.filter(|ix| held.allocation.wanted() && !index.host(*ix).state.is_down())
}
