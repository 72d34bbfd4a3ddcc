//! The problem, arranged so that a host is found without looking at all of them.
//!
//! ```text
//!  hosts ──▶ classes: equal in all that filters of class scope look at
//!              └─ each a tree ordered by (load, place on the ring, host)      rooms.rs
//!  groups ──▶ their allocations, ordered by slot, newest first
//!  images ──▶ the hosts that have them
//! ```

mod ask;
mod change;
mod class;
mod room;

pub use change::Change;

pub(crate) use ask::{Ask, Placed};
pub(crate) use class::{ClassIx, Classes};
pub(crate) use room::{GpuUse, Room, Rooms, Seat, Taken};

use crate::filters::View;
use crate::hash;
use crate::ids::{AllocationId, GroupKey, HostRef, Slot};
use crate::plan::Plan;
use crate::problem::{Allocation, Group, Host, HostState, Policy, Problem};
use crate::reconcile;
use omni_common::ids::HostId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A host's place in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostIx(pub(crate) u32);

impl HostIx {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// An allocation, and where its host is in the index.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) allocation: Allocation,
    /// Absent when its host is not in the problem.
    pub(crate) host: Option<HostIx>,
}

impl Held {
    fn key(&self) -> (Slot, Reverse<u64>, Reverse<AllocationId>) {
        (self.allocation.slot, Reverse(self.allocation.epoch), Reverse(self.allocation.id))
    }
}

/// A group and its allocations, ordered by slot and, within one, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Absent when no app wants it any more.
    pub(crate) group: Option<Group>,
    pub(crate) held: Vec<Held>,
}

impl Entry {
    /// The allocations of one slot, newest first.
    pub(crate) fn of_slot(&self, slot: Slot) -> &[Held] {
        let from = self.held.partition_point(|held| held.allocation.slot < slot);
        let to = self.held.partition_point(|held| held.allocation.slot <= slot);
        &self.held[from..to]
    }

    /// Replicas that nothing is meant to fill, in the order in which they are filled. Of an exclusive group the lowest
    /// come first: a slot's number stands for its data. Of others, those that were stopped and may still run, then
    /// those that were used before, then fresh numbers.
    pub(crate) fn vacant(&self, exclusive: bool) -> impl Iterator<Item = u32> {
        let mut known = BTreeSet::new();
        let mut vacated = BTreeSet::new();
        for slot in self.slots() {
            let Slot::Replica(number) = slot[0].allocation.slot else { continue };
            let filled = slot.iter().any(|held| held.allocation.wanted());
            if filled || !exclusive {
                known.insert(number);
            }
            if !filled && !exclusive {
                let over = slot.iter().all(|held| held.allocation.is_over());
                vacated.insert((over, number));
            }
        }
        let fresh = (0..).filter(move |number| !known.contains(number));
        vacated.into_iter().map(|(_, number)| number).chain(fresh)
    }

    /// Each slot's allocations, in the order of the slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &[Held]> {
        self.held.chunk_by(|one, other| one.allocation.slot == other.allocation.slot)
    }
}

/// A [`Problem`] that can be planned for again and again, and changed in between.
#[derive(Clone, Debug)]
pub struct Index {
    pub(crate) policy: Policy,
    pub(crate) hosts: Vec<Host>,
    by_id: BTreeMap<HostId, HostIx>,
    by_name: BTreeMap<String, HostIx>,
    pub(crate) groups: BTreeMap<GroupKey, Entry>,
    by_allocation: BTreeMap<AllocationId, GroupKey>,
    pub(crate) classes: Classes,
    pub(crate) rooms: Rooms,
    images: BTreeMap<Arc<str>, BTreeSet<(u64, HostIx)>>,
}

impl Index {
    /// Arranges a problem. Of hosts, groups or allocations with one id, the last counts.
    pub fn new(problem: Problem) -> Self {
        let hosts: BTreeMap<HostId, Host> = problem.hosts.into_iter().map(|host| (host.id, host)).collect();
        let hosts: Vec<Host> = hosts.into_values().collect();
        let numbered = || (0_u32..).map(HostIx).zip(&hosts);
        let by_id = numbered().map(|(ix, host)| (host.id, ix)).collect();
        let by_name = numbered().map(|(ix, host)| (host.name.to_ascii_lowercase(), ix)).collect();
        let mut groups: BTreeMap<GroupKey, Entry> = BTreeMap::new();
        for group in problem.groups {
            let key = group.key.clone();
            groups.entry(key).or_default().group = Some(group);
        }
        let attributes = groups.values().filter_map(|entry| entry.group.as_ref());
        let classes = Classes::new(&hosts, attributes);
        let rooms = Rooms::new(&hosts, &classes);
        let mut index = Self {
            policy: problem.policy,
            hosts,
            by_id,
            by_name,
            groups,
            by_allocation: BTreeMap::new(),
            classes,
            rooms,
            images: BTreeMap::new(),
        };
        index.list_images();
        index.hold(problem.allocations);
        index
    }

    /// The problem again, for a change that is rare enough to build everything anew.
    fn into_problem(self) -> Problem {
        let mut problem = Problem { hosts: self.hosts, policy: self.policy, ..Problem::default() };
        for entry in self.groups.into_values() {
            problem.groups.extend(entry.group);
            problem.allocations.extend(entry.held.into_iter().map(|held| held.allocation));
        }
        problem
    }

    fn list_images(&mut self) {
        for (ix, host) in (0_u32..).map(HostIx).zip(&self.hosts) {
            for image in &host.images {
                let holders = self.images.entry(image.clone()).or_default();
                holders.insert((hash::of_host(host.id), ix));
            }
        }
    }

    fn hold(&mut self, allocations: Vec<Allocation>) {
        let newest: BTreeMap<AllocationId, Allocation> =
            allocations.into_iter().map(|allocation| (allocation.id, allocation)).collect();
        for allocation in newest.into_values() {
            let host = self.host_ix(allocation.host);
            if let Some(ix) = host
                && !allocation.is_over()
            {
                self.rooms.take(ix, &self.hosts[ix.at()], &allocation);
            }
            self.by_allocation.insert(allocation.id, allocation.group.clone());
            let entry = self.groups.entry(allocation.group.clone()).or_default();
            entry.held.push(Held { allocation, host });
        }
        for entry in self.groups.values_mut() {
            entry.held.sort_by_key(Held::key);
        }
    }

    /// What to do now.
    pub fn plan(&self) -> Plan {
        reconcile::plan(self)
    }

    /// How many hosts there are.
    pub fn host_count(&self) -> usize {
        self.hosts.len()
    }

    pub(crate) fn host_ix(&self, id: HostId) -> Option<HostIx> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn host_named(&self, name: &str) -> Option<HostIx> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    pub(crate) fn host(&self, ix: HostIx) -> &Host {
        &self.hosts[ix.at()]
    }

    /// All hosts, in the order of their ids.
    pub(crate) fn host_ixs(&self) -> impl Iterator<Item = HostIx> {
        (0_u32..).map(HostIx).take(self.hosts.len())
    }

    pub(crate) fn view<'a>(&'a self, rooms: &'a Rooms, ix: HostIx) -> View<'a> {
        View { host: self.host(ix), room: rooms.room(ix) }
    }

    /// A host as plans name it.
    pub(crate) fn host_ref(&self, id: HostId) -> HostRef {
        let name = match self.host_ix(id) {
            Some(ix) => self.host(ix).name.clone(),
            None => id.to_string().into(),
        };
        HostRef { id, name }
    }

    /// Hosts that have an image, by their places on the ring.
    pub(crate) fn holders(&self, image: &str) -> Option<&BTreeSet<(u64, HostIx)>> {
        self.images.get(image)
    }

    /// The state of an allocation's host; that of one that is gone for good when it is not in the problem.
    pub(crate) fn state(&self, held: &Held) -> HostState {
        held.host.map_or(HostState::Down { fenced: true }, |ix| self.host(ix).state)
    }
}
