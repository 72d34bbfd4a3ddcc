//! Why a group runs where it runs, and why not elsewhere.

use crate::choose::{choose, why_none};
use crate::filters::{FILTERS, first_miss};
use crate::ids::{AllocationId, GroupKey, HostRef, Slot};
use crate::index::{Ask, Entry, HostIx, Index, Placed, Rooms};
use crate::plan::Placement;
use crate::problem::{Group, Mode};
use crate::scores::SCORES;
use crate::why::Wait;
use std::cmp::Reverse;

/// What one filter says of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterVerdict {
    /// The filter.
    pub filter: &'static str,
    /// What the host lacks; absent when it passes.
    pub miss: Option<String>,
}

/// What one score gives one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScorePart {
    /// The score.
    pub score: &'static str,
    /// Its points.
    pub points: i64,
}

/// A host's verdict for one slot of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostVerdict {
    /// The host.
    pub host: HostRef,
    /// Whether it passes all filters.
    pub eligible: bool,
    /// Whether it is where the slot would be placed now.
    pub chosen: bool,
    /// What of the group is meant to run there.
    pub running: Vec<AllocationId>,
    /// Every filter, those that pass too.
    pub filters: Vec<FilterVerdict>,
    /// Every score; of an ineligible host, what it would have had.
    pub scores: Vec<ScorePart>,
    /// Their sum.
    pub points: i64,
}

impl Index {
    /// Every host's verdict for a slot of a group, the best first; for the next slot to be filled, or else the first,
    /// when none is named. A slot that runs is seen as if it were yet to be placed. None when the group is unknown.
    pub fn explain(&self, key: &GroupKey, slot: Option<Slot>) -> Option<Vec<HostVerdict>> {
        let entry = self.groups.get(key)?;
        let group = entry.group.as_ref()?;
        let mut verdicts: Vec<HostVerdict> = match (group.mode, slot) {
            (Mode::Global, None) => {
                // Each slot has a host of its own, so that all can be seen as yet to be placed at once.
                let mut question = Question::new(self, group, entry, None);
                let mut verdict = |ix| {
                    question.slot = Slot::Host(self.host(ix).id);
                    question.verdict(ix)
                };
                self.host_ixs().map(&mut verdict).collect()
            }
            (_, slot) => {
                let slot = slot.unwrap_or_else(|| next_slot(entry));
                let question = Question::new(self, group, entry, Some(slot));
                let chosen = choose(self, &question.rooms, &question.ask()).map(|choice| choice.host);
                let verdict = |ix| HostVerdict { chosen: chosen == Some(ix), ..question.verdict(ix) };
                self.host_ixs().map(verdict).collect()
            }
        };
        verdicts.sort_by_key(|verdict| {
            (!verdict.chosen, !verdict.eligible, Reverse(verdict.points), verdict.host.clone())
        });
        Some(verdicts)
    }

    /// Where one more instance of a group would be placed now, for callers that replace instances themselves, such as
    /// a rollout. The plan's own rules (epochs, fences, storms) are theirs to keep. None when the group is unknown.
    pub fn place(&self, key: &GroupKey, slot: Slot) -> Option<Result<Placement, Wait>> {
        let entry = self.groups.get(key)?;
        let group = entry.group.as_ref()?;
        let placed = Placed::of(self, entry, group);
        let before = entry.of_slot(slot).first();
        let ask = Ask::new(group, slot, &placed, before.map(|held| held.allocation.host));
        let Some(choice) = choose(self, &self.rooms, &ask) else {
            return Some(Err(Wait::NoHost(why_none(self, &self.rooms, &ask))));
        };
        let newest = before.map_or(0, |held| held.allocation.epoch).max(group.epoch_floor);
        let host = self.host_ref(self.host(choice.host).id);
        let epoch = newest.saturating_add(1);
        Some(Ok(Placement { group: key.clone(), slot, host, epoch, gpus: choice.gpus }))
    }
}

/// The slot to be filled next; the first one that runs when none is.
fn next_slot(entry: &Entry) -> Slot {
    let filled = || entry.slots().filter(|slot| slot.iter().any(|held| held.allocation.wanted()));
    let count = entry.group.as_ref().map_or(0, |group| match group.mode {
        Mode::Replicated(count) => count.min(crate::MAX_REPLICAS) as usize,
        Mode::Global => 0,
    });
    let exclusive = entry.group.as_ref().is_some_and(|group| group.exclusive);
    let next = if filled().count() < count { entry.vacant(exclusive).next() } else { None };
    next.map(Slot::Replica)
        .or_else(|| filled().next().map(|slot| slot[0].allocation.slot))
        .unwrap_or(Slot::Replica(0))
}

/// The mesh as if some slots were yet to be placed.
struct Question<'a> {
    index: &'a Index,
    group: &'a Group,
    entry: &'a Entry,
    slot: Slot,
    rooms: Rooms,
    placed: Placed,
}

impl<'a> Question<'a> {
    /// The mesh without one slot of a group, or without all of them.
    fn new(index: &'a Index, group: &'a Group, entry: &'a Entry, slot: Option<Slot>) -> Self {
        let mut rooms = index.rooms.clone();
        let mut placed = Placed::of(index, entry, group);
        let left_out = slot.map_or(&entry.held[..], |slot| entry.of_slot(slot));
        for held in left_out.iter().filter(|held| held.allocation.wanted()) {
            if let Some(ix) = held.host {
                rooms.give(ix, index.host(ix), &held.allocation);
                if !index.host(ix).state.is_down() {
                    placed.remove(index.host(ix));
                }
            }
        }
        Self { index, group, entry, slot: slot.unwrap_or(Slot::Replica(0)), rooms, placed }
    }

    fn ask(&self) -> Ask<'_> {
        let previous = self.entry.of_slot(self.slot).first().map(|held| held.allocation.host);
        Ask::new(self.group, self.slot, &self.placed, previous)
    }

    fn verdict(&self, ix: HostIx) -> HostVerdict {
        let (ask, view) = (self.ask(), self.index.view(&self.rooms, ix));
        let filters = FILTERS.iter().map(|filter| FilterVerdict {
            filter: filter.name(),
            miss: filter.check(&ask, view).err().map(|_| filter.describe(&ask, view)),
        });
        let scores: Vec<ScorePart> = SCORES
            .iter()
            .map(|score| ScorePart { score: score.name(), points: score.points(&ask, view) })
            .collect();
        let here = |held: &&crate::index::Held| held.host == Some(ix) && held.allocation.wanted();
        HostVerdict {
            host: self.index.host_ref(view.host.id),
            eligible: first_miss(&ask, view).is_ok(),
            chosen: false,
            running: self.entry.held.iter().filter(here).map(|held| held.allocation.id).collect(),
            filters: filters.collect(),
            points: scores.iter().map(|part| part.points).sum(),
            scores,
        }
    }
}
