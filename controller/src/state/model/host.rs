//! Hosts.

use super::{CertificateRecord, LivenessConfig};
use omni_common::clock::Time;
use omni_common::domain::HostFacts;
use omni_common::ids::{BootId, HostId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a host can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HostStatus {
    /// Enrolled, never heard from: nothing is known.
    Pending,
    /// Heartbeats arrive.
    Up,
    /// Heartbeats are late.
    Suspect,
    /// No heartbeat for longer than any lease can run.
    Down,
}

impl HostStatus {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// A machine with an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its name, unique among hosts.
    pub name: String,
    /// Labels that operators and join tokens gave it.
    pub labels: BTreeMap<String, String>,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// When it joined.
    pub joined: Time,
    /// Whether it can be counted on.
    pub status: HostStatus,
    /// Since when.
    pub status_since: Time,
    /// Nothing new is placed on it.
    pub cordoned: bool,
    /// Its own failure detection, for slow links.
    pub liveness: Option<LivenessConfig>,
    /// Its certificate.
    pub certificate: Option<CertificateRecord>,
    /// Last reported facts.
    pub facts: Option<HostFacts>,
    /// The agent's last start.
    pub boot: Option<BootId>,
    /// Log index of the last change an operator made, for `If-Match`.
    pub revision: u64,
}

/// A namespace for apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// Log index of its last change.
    pub revision: u64,
}
