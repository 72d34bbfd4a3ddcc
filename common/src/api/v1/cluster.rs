//! The cluster as a whole.

use super::ContainerCounts;
use crate::clock::Time;
use crate::domain::backup::Hidden;
use crate::ids::{ClusterId, ControllerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Hosts by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostCounts {
    /// All of them.
    pub total: u32,
    /// Answering.
    pub up: u32,
    /// Missing heartbeats.
    pub suspect: u32,
    /// Given up.
    pub down: u32,
    /// Never heard of.
    pub pending: u32,
    /// Cordoned, whatever their status.
    pub cordoned: u32,
}

/// Controllers by what they can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControllerCounts {
    /// All of them.
    pub total: u32,
    /// Those that vote.
    pub voters: u32,
    /// Those that the answering controller reached just now, itself included.
    pub reachable: u32,
}

/// The cluster in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClusterStatus {
    /// Its id.
    pub cluster: ClusterId,
    /// SHA-256 of its root certificate, hex.
    pub ca_fingerprint: String,
    /// When it was made.
    pub created: Time,
    /// The controller that answers.
    pub answering: ControllerId,
    /// Its version.
    pub version: String,
    /// Who leads; absent while nobody does.
    pub leader: Option<ControllerId>,
    /// Raft index of the state shown.
    pub index: u64,
    /// Controllers.
    pub controllers: ControllerCounts,
    /// Hosts.
    pub hosts: HostCounts,
    /// Containers on all hosts that report.
    pub containers: ContainerCounts,
    /// GPUs of all hosts that report.
    pub gpus: u32,
    /// Its health in one word.
    pub health: HealthState,
    /// The cluster's time.
    pub now: Time,
}

/// How host failure is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LivenessTimes {
    /// A host sends a heartbeat this often, milliseconds.
    pub heartbeat_ms: u32,
    /// Without a heartbeat for this long a host is suspect, milliseconds.
    pub suspect_ms: u32,
    /// A lease runs this long from the sending of the acknowledged heartbeat, milliseconds.
    pub lease_ms: u32,
    /// A host is down this long after its lease could have ended, milliseconds.
    pub margin_ms: u32,
}

/// How well something is. Unknown is not ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// As it should be.
    Ok,
    /// Nothing is known about it now.
    Unknown,
    /// It works, but something needs attention.
    Degraded,
    /// It does not work.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// Stable word: `raft`, `controllers`, `hosts`, `containers` …
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// What was found, for a person.
    pub message: String,
    /// What to do about it, when something is to be done.
    pub hint: Option<String>,
}

/// The cluster's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterHealth {
    /// The worst of the checks.
    pub state: HealthState,
    /// What was looked at.
    pub checks: Vec<HealthCheck>,
    /// Raft index of the state that was looked at.
    pub index: u64,
}

/// What anyone may know: whether this process runs and can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// `true` when it can.
    pub ok: bool,
}

/// The cluster's key: it opens every secret of the cluster, and copies of the controllers' state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterKeyView {
    /// Whose key it is.
    pub cluster: ClusterId,
    /// The key as `omni-controller restore` takes it: `omni-key1.…`.
    #[schema(value_type = String)]
    pub key: Hidden,
}
