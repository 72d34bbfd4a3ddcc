//! Classes: hosts that differ in nothing that a filter or score of class scope looks at.
//!
//! Only attributes that some group asks about tell classes apart. Labels that no group mentions, unique ones
//! above all, would otherwise make every host a class of its own.

use super::HostIx;
use crate::problem::{Attribute, Group, Host, HostState, Platform, Taint};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the hosts of one class have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    state: HostState,
    cordoned: bool,
    draining: bool,
    has_gpus: bool,
    region: Option<Arc<str>>,
    zone: Option<Arc<str>>,
    platform: Platform,
    taints: Vec<Taint>,
    values: Vec<String>,
}

/// A class's place in the list of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassIx(pub(crate) u32);

impl ClassIx {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Which class each host is in.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    attributes: BTreeSet<Attribute>,
    by_key: BTreeMap<Key, ClassIx>,
    of_host: Vec<ClassIx>,
}

fn asked(group: &Group) -> impl Iterator<Item = &Attribute> {
    let constrained = group.constraints.iter().map(|constraint| &constraint.attribute);
    constrained.chain(&group.spread).filter(|attribute| !attribute.names_one_host())
}

impl Classes {
    pub(crate) fn new<'a>(hosts: &[Host], groups: impl Iterator<Item = &'a Group>) -> Self {
        let attributes = groups.flat_map(asked).cloned().collect();
        let mut classes = Self { attributes, by_key: BTreeMap::new(), of_host: Vec::new() };
        classes.of_host = hosts.iter().map(|host| classes.class_for(host)).collect();
        classes
    }

    fn key(&self, host: &Host) -> Key {
        let mut taints = host.taints.clone();
        taints.sort();
        Key {
            state: host.state,
            cordoned: host.cordoned,
            draining: host.draining,
            has_gpus: !host.gpus.is_empty(),
            region: host.region.clone(),
            zone: host.zone.clone(),
            platform: host.platform.clone(),
            taints,
            // Letter case does not matter to constraints, but it does to spreading.
            values: self.attributes.iter().map(|attribute| attribute.value(host).into_owned()).collect(),
        }
    }

    fn class_for(&mut self, host: &Host) -> ClassIx {
        let next = ClassIx(u32::try_from(self.by_key.len()).unwrap_or(u32::MAX));
        let key = self.key(host);
        *self.by_key.entry(key).or_insert(next)
    }

    /// How many classes there are; some may be empty by now.
    pub(crate) fn count(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn of(&self, host: HostIx) -> ClassIx {
        self.of_host[host.at()]
    }

    /// Puts a host that has changed into its class.
    pub(crate) fn update(&mut self, ix: HostIx, host: &Host) -> ClassIx {
        let class = self.class_for(host);
        self.of_host[ix.at()] = class;
        class
    }

    /// Whether the classes tell apart everything that this group asks about.
    pub(crate) fn know(&self, group: &Group) -> bool {
        asked(group).all(|attribute| self.attributes.contains(attribute))
    }
}
