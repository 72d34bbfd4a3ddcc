//! Keeping an index up to date.

use super::{Held, HostIx, Index};
use crate::hash;
use crate::ids::{AllocationId, GroupKey};
use crate::problem::{Allocation, Group, Host, Policy};
use omni_common::ids::HostId;

/// Classes that may stand empty because their hosts have changed. With more of them, all are made anew.
const SPARE_CLASSES: usize = 1_000;

/// One thing that is different now.
#[derive(Clone, Debug)]
pub enum Change {
    /// A host is new or has changed. A new one builds the index anew.
    Host(Box<Host>),
    /// A host is gone for good, and fenced. Builds the index anew.
    HostGone(HostId),
    /// A group is new or has changed.
    Group(Box<Group>),
    /// A group is no longer wanted.
    GroupGone(GroupKey),
    /// An allocation is new or has changed.
    Allocation(Box<Allocation>),
    /// An allocation's record is dropped.
    AllocationGone(AllocationId),
    /// The policy has changed.
    Policy(Policy),
}

impl Index {
    /// Takes a change in. Afterwards the index is as if built from the changed problem.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Host(host) => match self.host_ix(host.id) {
                Some(ix) => self.change_host(ix, *host),
                None => self.rebuild(|hosts| hosts.push(*host)),
            },
            Change::HostGone(id) => self.rebuild(|hosts| hosts.retain(|host| host.id != id)),
            Change::Group(group) => self.change_group(*group),
            Change::GroupGone(key) => {
                if let Some(entry) = self.groups.get_mut(&key) {
                    entry.group = None;
                }
                self.forget_empty(&key);
            }
            Change::Allocation(allocation) => {
                let before = self.drop_allocation(allocation.id);
                self.hold_one(*allocation);
                // It may have come from another group.
                before.iter().for_each(|key| self.forget_empty(key));
            }
            Change::AllocationGone(id) => {
                if let Some(key) = self.drop_allocation(id) {
                    self.forget_empty(&key);
                }
            }
            Change::Policy(policy) => self.policy = policy,
        }
    }

    fn rebuild(&mut self, change: impl FnOnce(&mut Vec<Host>)) {
        let empty = Self::new(crate::Problem::default());
        let mut problem = std::mem::replace(self, empty).into_problem();
        change(&mut problem.hosts);
        *self = Self::new(problem);
    }

    fn change_host(&mut self, ix: HostIx, host: Host) {
        let ring = hash::of_host(host.id);
        let old = std::mem::replace(&mut self.hosts[ix.at()], host);
        let new = &self.hosts[ix.at()];
        for image in old.images.difference(&new.images) {
            if let Some(holders) = self.images.get_mut(image) {
                holders.remove(&(ring, ix));
            }
        }
        for image in new.images.difference(&old.images) {
            self.images.entry(image.clone()).or_default().insert((ring, ix));
        }
        if old.name != new.name {
            self.by_name.remove(&old.name.to_ascii_lowercase());
            self.by_name.insert(new.name.to_ascii_lowercase(), ix);
        }
        let class = self.classes.update(ix, new);
        self.rooms.reseat(ix, new, class);
        if self.classes.count() > self.hosts.len() + SPARE_CLASSES {
            self.classify();
        }
    }

    fn classify(&mut self) {
        let groups = self.groups.values().filter_map(|entry| entry.group.as_ref());
        self.classes = super::Classes::new(&self.hosts, groups);
        self.rooms.seat_all(&self.hosts, &self.classes);
    }

    fn change_group(&mut self, group: Group) {
        let known = self.classes.know(&group);
        let key = group.key.clone();
        self.groups.entry(key).or_default().group = Some(group);
        if !known {
            self.classify();
        }
    }

    fn hold_one(&mut self, allocation: Allocation) {
        let host = self.host_ix(allocation.host);
        if let Some(ix) = host
            && !allocation.is_over()
        {
            self.rooms.take(ix, &self.hosts[ix.at()], &allocation);
        }
        self.by_allocation.insert(allocation.id, allocation.group.clone());
        let held = Held { allocation, host };
        let entry = self.groups.entry(held.allocation.group.clone()).or_default();
        let at = entry.held.partition_point(|other| other.key() < held.key());
        entry.held.insert(at, held);
    }

    /// Takes an allocation out, and says whose it was.
    fn drop_allocation(&mut self, id: AllocationId) -> Option<GroupKey> {
        let key = self.by_allocation.remove(&id)?;
        let entry = self.groups.get_mut(&key)?;
        let at = entry.held.iter().position(|held| held.allocation.id == id)?;
        let held = entry.held.remove(at);
        if let Some(ix) = held.host
            && !held.allocation.is_over()
        {
            self.rooms.give(ix, &self.hosts[ix.at()], &held.allocation);
        }
        Some(key)
    }

    fn forget_empty(&mut self, key: &GroupKey) {
        if self.groups.get(key).is_some_and(|entry| entry.group.is_none() && entry.held.is_empty()) {
            self.groups.remove(key);
        }
    }
}
