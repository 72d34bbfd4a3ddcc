//! Allocations: what runs where, and how it is.

use super::AppKey;
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::ids::{AllocationId, HostId};
use serde::{Deserialize, Serialize};

/// One placed instance of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocation {
    /// Its id.
    pub id: AllocationId,
    /// Its app.
    pub app: AppKey,
    /// Which group of it.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// Where.
    pub host: HostId,
    /// Of which release.
    pub release: u64,
    /// Of which round of restarts.
    pub round: u64,
    /// Grows with each decision about its slot.
    pub epoch: u64,
    /// May run only while its host's lease is valid.
    pub exclusive: bool,
    /// To run, or to be stopped.
    pub run: bool,
    /// As its agent last reported.
    pub state: AllocationState,
    /// Since when it has that state.
    pub since: Time,
    /// When it was placed.
    pub placed: Time,
    /// Why it stands as it does, in the agent's words.
    pub reason: Option<String>,
    /// Last output of the container that failed.
    pub log: Option<String>,
    /// Why it was placed there.
    pub why: String,
    /// Cards of its host that it has to itself, or a part of.
    pub gpus: Vec<GpuGrant>,
    /// Its host was given up: nothing is known of it until the host speaks of it again.
    pub lost: bool,
}

/// A card given to an allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuGrant {
    /// The vendor's stable id of the card.
    pub uuid: String,
    /// Memory kept for it, bytes.
    pub memory: u64,
    /// Its share of the card in percent; absent when it has the whole.
    pub share: Option<u32>,
}

impl Allocation {
    /// Whether it counts for its group.
    pub fn counts(&self) -> bool {
        self.run && !self.lost
    }

    /// Whether it serves.
    pub fn is_healthy(&self) -> bool {
        self.counts() && self.state == AllocationState::Healthy
    }
}

/// A host that is being emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Since when.
    pub since: Time,
    /// What has not found another place by then is stopped; absent for waiting as long as it takes.
    pub deadline: Option<Time>,
    /// Who asked.
    pub by: String,
}
