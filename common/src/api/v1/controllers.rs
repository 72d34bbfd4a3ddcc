//! Controllers: the members of the Raft group.

use crate::clock::Time;
use crate::ids::ControllerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A controller's part in the Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ControllerRole {
    /// Orders all writes.
    Leader,
    /// Votes and keeps a copy.
    Follower,
    /// Keeps a copy, does not vote: it is catching up, or being added.
    Learner,
}

/// A controller. What it says of itself is absent when it cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControllerView {
    /// Its id; never used again after it is removed.
    pub id: ControllerId,
    /// Its name.
    pub name: String,
    /// `host:port` for agents and other controllers.
    pub quic: String,
    /// `host:port` of its API.
    pub api: String,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// When it joined.
    pub joined: Time,
    /// Its part in the group.
    pub role: ControllerRole,
    /// Whether the answering controller reached it just now.
    pub reachable: bool,
    /// It is the answering controller.
    pub answering: bool,
    /// Index of the newest entry in its log.
    pub last_log: Option<u64>,
    /// Index of the newest entry it has applied.
    pub applied: Option<u64>,
    /// Entries that it is behind the leader's log.
    pub lag: Option<u64>,
    /// Index that its newest snapshot covers.
    pub snapshot: Option<u64>,
    /// Hosts whose sessions it holds.
    pub sessions: Option<u32>,
    /// Its version.
    pub version: Option<String>,
}

/// Hands leadership over on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferLeadership {
    /// To this controller; to the most caught-up one when absent.
    #[serde(default)]
    pub to: Option<ControllerId>,
}

/// Who leads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leadership {
    /// The leader.
    pub leader: ControllerId,
}
