//! Allocations: what was placed, and what became of it.

use super::{Port, Reservations};
use crate::ids::{AllocationId, AllocationRef, GroupKey, Slot};
use crate::plan::GpuGrant;
use omni_common::ids::HostId;

/// What its host is told about an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Run it.
    Run,
    /// Stop it.
    Stop,
}

/// What is known of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllocationState {
    /// Placed; its agent has not said anything yet.
    Pending,
    /// Being pulled, created or started; or within its health check's start period.
    Starting,
    /// It runs, and its health check, if any, passes.
    Healthy,
    /// It runs, and its health check fails.
    Unhealthy,
    /// Its agent gave up on it.
    Failed,
    /// It does not run, and its agent said so; of one that is told to stop, after it was told.
    Stopped,
    /// Its host is lost: nothing is known.
    Lost,
}

/// One placed instance of a group on a host.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Its id.
    pub id: AllocationId,
    /// The group it belongs to.
    pub group: GroupKey,
    /// The slot it fills.
    pub slot: Slot,
    /// The host it is on.
    pub host: HostId,
    /// Counts up with each allocation of the slot; the newest is the one that should run.
    pub epoch: u64,
    /// What its host is told.
    pub wanted: Wanted,
    /// What is known of it.
    pub state: AllocationState,
    /// An operator tied it to its host: it is neither moved nor replaced elsewhere.
    pub pinned: bool,
    /// What it reserves; may differ from what its group asks for now.
    pub reservations: Reservations,
    /// Ports it holds on its host.
    pub ports: Vec<Port>,
    /// GPUs it was granted.
    pub gpus: Vec<GpuGrant>,
}

impl Allocation {
    /// As steps name it.
    pub fn reference(&self) -> AllocationRef {
        AllocationRef { id: self.id, group: self.group.clone(), slot: self.slot, epoch: self.epoch }
    }

    /// Whether it is meant to run.
    pub(crate) fn wanted(&self) -> bool {
        self.wanted == Wanted::Run
    }

    /// Whether it holds nothing on its host any more.
    pub(crate) fn is_over(&self) -> bool {
        self.wanted == Wanted::Stop && self.state == AllocationState::Stopped
    }
}
