//! What happened: events, audit, answers already given.

use crate::state::Outcome;
use omni_common::clock::Time;
use omni_common::ids::{ControllerId, HostId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened, for people and programs that follow along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: counts up by one, the same on every controller.
    pub seq: u64,
    /// Log index it came from.
    pub index: u64,
    /// When.
    pub at: Time,
    /// `app`, `allocation`, `backup`, `host`, `container`, `alert`, `controller`, `token`, `user`, `environment` or `cluster`.
    pub topic: String,
    /// What, within the topic: `host.down`, `container.exited` …
    pub kind: String,
    /// One sentence for people.
    pub message: String,
    /// The host it is about.
    pub host: Option<HostId>,
    /// The controller it is about.
    pub controller: Option<ControllerId>,
    /// More facts by name.
    pub data: BTreeMap<String, String>,
}

/// One call that changed something, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number.
    pub seq: u64,
    /// Log index it came from.
    pub index: u64,
    /// When.
    pub at: Time,
    /// Who, e.g. `token:ci (…1f2e3d4c)` or `host:web-1`.
    pub who: String,
    /// With which role.
    pub role: Option<String>,
    /// From which address.
    pub from: Option<String>,
    /// What was asked, e.g. `host.remove`.
    pub action: String,
    /// Of what.
    pub target: String,
    /// `done`, or the refusal's code.
    pub outcome: String,
    /// The refusal's sentence, or further facts.
    pub detail: Option<String>,
}

/// The answer to a request, kept so that its repetition gets the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReply {
    /// Log index of the request.
    pub index: u64,
    /// When it was answered.
    pub at: Time,
    /// Digest of what was asked: the same id with another request is an error, not a repetition.
    pub fingerprint: Option<[u8; 32]>,
    /// The answer.
    pub outcome: Outcome,
}
