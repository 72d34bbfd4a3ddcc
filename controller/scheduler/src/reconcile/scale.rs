//! Fewer replicas: which slots to give up.

use super::Planner;
use crate::index::{Held, HostIx};
use crate::problem::AllocationState;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A slot that may be given up.
#[derive(Clone, Copy)]
struct Candidate {
    number: u32,
    host: Option<HostIx>,
    /// The worse off, the smaller.
    worth: u8,
    newest: crate::ids::AllocationId,
}

impl Planner<'_> {
    /// The slots to give up: those that serve least first (lost, failed, unhealthy, not started yet), then of the
    /// zone that has most, then the newest. What an operator pinned goes last.
    pub(super) fn extra(&self, slots: &[(u32, &[Held])], count: usize) -> BTreeSet<u32> {
        let mut zones: BTreeMap<Option<&str>, u32> = BTreeMap::new();
        let mut candidates: Vec<Candidate> = Vec::with_capacity(slots.len());
        for (number, held) in slots {
            let candidate = self.candidate(*number, held);
            *zones.entry(self.zone(candidate)).or_default() += 1;
            candidates.push(candidate);
        }
        candidates.sort_by_key(|candidate| (candidate.worth, Reverse(candidate.newest)));
        let mut extra = BTreeSet::new();
        for alike in candidates.chunk_by(|one, other| one.worth == other.worth) {
            self.take_crowded(alike, count, &mut zones, &mut extra);
        }
        extra
    }

    fn zone(&self, candidate: Candidate) -> Option<&str> {
        candidate.host.and_then(|ix| self.index.host(ix).zone.as_deref())
    }

    /// Of slots that serve alike, newest first, takes one after the other from the zone that has most.
    fn take_crowded<'z>(
        &'z self,
        alike: &[Candidate],
        count: usize,
        zones: &mut BTreeMap<Option<&'z str>, u32>,
        extra: &mut BTreeSet<u32>,
    ) {
        let mut queues: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
        // Queues are popped from the end.
        for candidate in alike.iter().rev() {
            queues.entry(self.zone(*candidate)).or_default().push(candidate.number);
        }
        while extra.len() < count {
            let open = queues.iter().filter(|(_, queue)| !queue.is_empty());
            // Of equally crowded zones, the last in order.
            let Some(zone) = open.map(|(zone, _)| *zone).max_by_key(|zone| zones.get(zone).copied()) else {
                return;
            };
            extra.extend(queues.get_mut(&zone).and_then(Vec::pop));
            if let Some(left) = zones.get_mut(&zone) {
                *left -= 1;
            }
        }
    }

    fn candidate(&self, number: u32, held: &[Held]) -> Candidate {
        let wanted = || held.iter().filter(|held| held.allocation.wanted());
        let worth = wanted().map(|held| self.worth(held)).max().unwrap_or(0);
        let best = wanted().max_by_key(|held| self.worth(held));
        let newest = held.iter().map(|held| held.allocation.id).max();
        let newest = newest.unwrap_or(crate::ids::AllocationId::from_u128(0));
        Candidate { number, host: best.and_then(|held| held.host), worth, newest }
    }

    fn worth(&self, held: &Held) -> u8 {
        if held.allocation.pinned {
            return u8::MAX;
        }
        if !self.runs(held) {
            return 0;
        }
        match held.allocation.state {
            AllocationState::Lost | AllocationState::Stopped => 1,
            AllocationState::Failed => 2,
            AllocationState::Unhealthy => 3,
            AllocationState::Pending => 4,
            AllocationState::Starting => 5,
            AllocationState::Healthy => 6,
        }
    }
}
