//! Groups: what is placed as one.

use super::{Attribute, Constraint, GpuDemand, Platform, Port, Taint};
use crate::ids::{GroupKey, Slot};
use omni_common::ids::HostId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most replicas that are planned of one group. Above it the rest is left out, and a note says so: a slip of the
/// finger must not fill the replicated state.
pub const MAX_REPLICAS: u32 = 20_000;

/// How many, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This many, wherever they fit.
    Replicated(u32),
    /// One on every host that its constraints, region and platforms allow.
    Global,
}

/// What a lost allocation of an exclusive group waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failover {
    /// Started again where its data is; elsewhere at once when it has none.
    #[default]
    Restart,
    /// Waits until its data has been restored on another host, which the plan proposes.
    Restore,
    /// Waits for its host.
    Never,
}

/// Guaranteed to the group, and taken from the host's capacity. Zero reserves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservations {
    /// CPU time, thousandths of a CPU.
    pub millicores: u64,
    /// Memory, bytes.
    pub memory: u64,
}

/// How much the platform needs something; the more important is placed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// `critical`.
    Critical,
    /// `high`.
    High,
    /// `medium`.
    Medium,
    /// `standard`, and where no label says anything.
    #[default]
    Standard,
}

/// The order in which room is given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// The platform cannot do without it.
    pub critical: bool,
    /// Its tier.
    pub tier: Tier,
}

impl Priority {
    /// Smaller comes first.
    pub(crate) fn rank(self) -> (bool, Tier) {
        (!self.critical, self.tier)
    }
}

/// A taint that a group can stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key.
    pub key: String,
    /// The taint's value; absent: any.
    pub value: Option<String>,
}

impl Toleration {
    /// Whether it makes the taint harmless.
    pub(crate) fn covers(&self, taint: &Taint) -> bool {
        self.key == taint.key && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

/// A volume with data, and where each slot's data lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The host that holds a slot's data. A slot that is not here has none yet.
    pub held: BTreeMap<u32, HostId>,
}

/// An image that the group needs on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Reference or digest, as hosts list it.
    pub reference: Arc<str>,
    /// It cannot be pulled, so only hosts that have it will do.
    pub must_be_present: bool,
}

/// How an outdated instance gives way to a fresh one, where the two cannot run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It stops as a whole before anything of the new one starts.
    Whole,
    /// Its host turns it into the new one, and leaves alone what is the same in both.
    InPlace,
}

/// What an app wants of one of its groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which group.
    pub key: GroupKey,
    /// How many, and where.
    pub mode: Mode,
    /// Two instances of one slot would harm each other: it writes to a volume, or says so itself.
    pub exclusive: bool,
    /// What each instance reserves.
    pub reservations: Reservations,
    /// What each instance asks of GPUs.
    pub gpus: Option<GpuDemand>,
    /// Ports that each instance publishes on its host.
    pub ports: Vec<Port>,
    /// Platforms that its images are built for; empty: any.
    pub platforms: Vec<Platform>,
    /// The region it has to be in.
    pub region: Option<Arc<str>>,
    /// Conditions on hosts; all have to hold.
    pub constraints: Vec<Constraint>,
    /// Spread over the values of these, the first being the most important. Empty: over regions and zones.
    pub spread: Vec<Attribute>,
    /// Taints it can stand.
    pub tolerations: Vec<Toleration>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// Its images.
    pub images: Vec<Image>,
    /// Its place in the order.
    pub priority: Priority,
    /// Groups that are placed before it.
    pub depends_on: Vec<GroupKey>,
    /// What a lost allocation waits for.
    pub failover: Failover,
    /// Most instances on one host; absent: no limit.
    pub max_per_host: Option<u32>,
    /// Healthy instances that draining and moving leave in place.
    pub min_healthy: u32,
    /// Slots to be filled afresh, because what fills them is outdated.
    pub renew: BTreeMap<Slot, Renewal>,
    /// What fills such a slot stops before the new one starts.
    pub renew_stops_first: bool,
    /// Most slots that move at one time when hosts are drained or the mesh is rebalanced.
    pub max_moving: u32,
    /// How often a slot that failed is tried again elsewhere.
    pub max_reschedules: u32,
    /// Where a slot's allocations failed, one entry a failure. The caller forgets them, with time or a release.
    pub failed_on: BTreeMap<Slot, Vec<HostId>>,
    /// The highest epoch ever used in the group, when older allocations are no longer in the problem.
    pub epoch_floor: u64,
}

impl Group {
    /// One instance that asks for nothing: a beginning.
    pub fn new(key: GroupKey) -> Self {
        Self {
            key,
            mode: Mode::Replicated(1),
            exclusive: false,
            reservations: Reservations::default(),
            gpus: None,
            ports: Vec::new(),
            platforms: Vec::new(),
            region: None,
            constraints: Vec::new(),
            spread: Vec::new(),
            tolerations: Vec::new(),
            volumes: Vec::new(),
            images: Vec::new(),
            priority: Priority::default(),
            depends_on: Vec::new(),
            failover: Failover::default(),
            max_per_host: None,
            min_healthy: 0,
            renew: BTreeMap::new(),
            renew_stops_first: false,
            max_moving: 1,
            max_reschedules: 0,
            failed_on: BTreeMap::new(),
            epoch_floor: 0,
        }
    }

    /// Where the slot's data lies, volume by volume.
    pub(crate) fn data(&self, slot: Slot) -> impl Iterator<Item = (&str, HostId)> {
        let number = match slot {
            Slot::Replica(number) => Some(number),
            // On every host there is nothing to choose.
            Slot::Host(_) => None,
        };
        self.volumes
            .iter()
            .filter_map(move |volume| Some((volume.name.as_str(), *volume.held.get(&number?)?)))
    }

    /// Hosts where this slot failed.
    pub(crate) fn failures(&self, slot: Slot) -> &[HostId] {
        self.failed_on.get(&slot).map_or(&[], Vec::as_slice)
    }
}
