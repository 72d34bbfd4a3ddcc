//! One question: which host for this slot of this group?

use super::{ClassIx, Entry, HostIx, Index};
use crate::hash;
use crate::ids::Slot;
use crate::problem::{Attribute, Group, Host};
use omni_common::ids::HostId;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// What is asked of a host.
pub(crate) struct Ask<'a> {
    pub(crate) group: &'a Group,
    pub(crate) slot: Slot,
    /// The others of the group.
    pub(crate) placed: &'a Placed,
    /// Where the slot was before.
    pub(crate) previous: Option<HostId>,
    /// Where on the ring of hosts the slot begins to look.
    pub(crate) ring: u64,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(group: &'a Group, slot: Slot, placed: &'a Placed, previous: Option<HostId>) -> Self {
        Self { group, slot, placed, previous, ring: hash::of_slot(&group.key, slot) }
    }

    /// Whether the slot can run only where its data is.
    pub(crate) fn bound_by_data(&self) -> bool {
        self.group.exclusive && self.group.data(self.slot).next().is_some()
    }

    /// How far along the ring a host is: ties go to the nearest.
    pub(crate) fn distance(&self, ring: u64) -> u64 {
        ring.wrapping_sub(self.ring)
    }
}

/// One thing to spread over, and how many of the group have each of its values.
#[derive(Clone, Debug)]
struct Axis {
    over: Over,
    /// Points that one instance with the same value costs.
    weight: i64,
    counts: BTreeMap<String, u32>,
}

#[derive(Clone, Debug)]
enum Over {
    Region,
    Zone,
    Attribute(Attribute),
}

impl Over {
    fn value<'h>(&self, host: &'h Host) -> Cow<'h, str> {
        match self {
            Self::Region => Cow::Borrowed(host.region.as_deref().unwrap_or_default()),
            Self::Zone => Cow::Borrowed(host.zone.as_deref().unwrap_or_default()),
            Self::Attribute(attribute) => attribute.value(host),
        }
    }
}

/// Points that one instance in the same zone costs; the unit that the other scores are set against.
const ZONE: i64 = 2_000;
/// The same for a region: a zone is lost more often.
const REGION: i64 = 1_000;
/// How much more a preference counts than the one after it.
const STEP: i64 = 4;
/// Preferences beyond this many count alike.
const STEPS: usize = 4;

/// Where a group's instances are.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    hosts: BTreeMap<HostId, u32>,
    axes: Vec<Axis>,
    open: OnceCell<Vec<(ClassIx, HostIx)>>,
}

impl Placed {
    /// Nothing placed yet.
    pub(crate) fn none(group: &Group) -> Self {
        let axis = |over, weight| Axis { over, weight, counts: BTreeMap::new() };
        let axes = if group.spread.is_empty() {
            vec![axis(Over::Zone, ZONE), axis(Over::Region, REGION)]
        } else {
            // Spreading over hosts themselves happens anyway.
            let asked = group.spread.iter().filter(|attribute| !attribute.names_one_host());
            let count = asked.clone().count();
            asked
                .enumerate()
                .map(|(place, attribute)| {
                    let steps = (count - 1 - place).min(STEPS) as u32;
                    axis(Over::Attribute(attribute.clone()), ZONE * STEP.pow(steps))
                })
                .collect()
        };
        Self { hosts: BTreeMap::new(), axes, open: OnceCell::new() }
    }

    /// For questions in which the others of the group play no part.
    pub(crate) fn nowhere() -> Self {
        Self { hosts: BTreeMap::new(), axes: Vec::new(), open: OnceCell::new() }
    }

    /// The classes that the group can be in, found when first needed.
    pub(crate) fn open(&self, find: impl FnOnce() -> Vec<(ClassIx, HostIx)>) -> &[(ClassIx, HostIx)] {
        self.open.get_or_init(find)
    }

    /// What of the entry may run on hosts that are not lost.
    pub(crate) fn of(index: &Index, entry: &Entry, group: &Group) -> Self {
        let mut placed = Self::none(group);
        for held in entry.held.iter().filter(|held| !held.allocation.is_over()) {
            let Some(host) = held.host.map(|ix| index.host(ix)).filter(|host| !host.state.is_down()) else {
                continue;
            };
            placed.add(host);
            if !held.allocation.wanted() {
                placed.leave(host);
            }
        }
        placed
    }

    pub(crate) fn add(&mut self, host: &Host) {
        *self.hosts.entry(host.id).or_default() += 1;
        self.stay(host);
    }

    pub(crate) fn remove(&mut self, host: &Host) {
        if let Some(count) = self.hosts.get_mut(&host.id) {
            *count = count.saturating_sub(1);
        }
        self.leave(host);
    }

    /// One is told to stop: the group is spread as if it were gone, but its host has it until it has stopped.
    pub(crate) fn leave(&mut self, host: &Host) {
        for axis in &mut self.axes {
            if let Some(count) = axis.counts.get_mut(&*axis.over.value(host)) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// It stays after all.
    pub(crate) fn stay(&mut self, host: &Host) {
        for axis in &mut self.axes {
            let value = axis.over.value(host);
            match axis.counts.get_mut(&*value) {
                Some(count) => *count += 1,
                None => drop(axis.counts.insert(value.into_owned(), 1)),
            }
        }
    }

    /// How many are on a host.
    pub(crate) fn on_host(&self, id: HostId) -> u32 {
        self.hosts.get(&id).copied().unwrap_or_default()
    }

    /// What it costs to be where so many of the group are already.
    pub(crate) fn crowding(&self, host: &Host) -> i64 {
        let cost = |axis: &Axis| {
            let count = axis.counts.get(&*axis.over.value(host)).copied().unwrap_or_default();
            axis.weight * i64::from(count)
        };
        self.axes.iter().map(cost).sum()
    }
}
