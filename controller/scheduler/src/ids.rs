//! Names of what is placed.

use omni_common::ids::HostId;

pub use omni_common::ids::AllocationId;
use std::fmt;
use std::sync::Arc;

/// A group of an app in an environment. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The environment's name.
    pub environment: Arc<str>,
    /// The app's name.
    pub app: Arc<str>,
    /// The group's name in the app.
    pub group: Arc<str>,
}

/// The environment that is meant when none is named.
const DEFAULT_ENVIRONMENT: &str = "default";
/// The group of an app that does not split its services.
const DEFAULT_GROUP: &str = "main";

impl GroupKey {
    /// A group's key.
    pub fn new(environment: &str, app: &str, group: &str) -> Self {
        Self { environment: environment.into(), app: app.into(), group: group.into() }
    }
}

/// `shop`, `shop.worker`, `staging/shop`, `staging/shop.worker`: what is the default is left out.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.environment != DEFAULT_ENVIRONMENT {
            write!(f, "{}/", self.environment)?;
        }
        f.write_str(&self.app)?;
        if &*self.group != DEFAULT_GROUP {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// Which instance of a group: it outlives the allocations that fill it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// One of the replicas, counted from 0.
    Replica(u32),
    /// The one on this host, of a group that runs on every host.
    Host(HostId),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(number) => write!(f, "#{number}"),
            Self::Host(_) => f.write_str("#host"),
        }
    }
}

/// A host, with its name for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRef {
    /// Its id.
    pub id: HostId,
    /// Its name; its id as text when the problem does not hold it.
    pub name: Arc<str>,
}

impl fmt::Display for HostRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An allocation as a step names it: with what makes the step harmless once it is outdated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocationRef {
    /// Its id.
    pub id: AllocationId,
    /// Its group.
    pub group: GroupKey,
    /// Its slot.
    pub slot: Slot,
    /// Its epoch when the plan was made.
    pub epoch: u64,
}

impl fmt::Display for AllocationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}@{}", self.group, self.slot, self.epoch)
    }
}
