//! Who did what, and who was refused.

use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One audited call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts up by one from entry to entry.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who, e.g. `token:ci` or `host:web-1`; `anonymous` for a stranger.
    pub who: String,
    /// With which role; absent for machines and strangers.
    pub role: Option<String>,
    /// What, e.g. `host.update`.
    pub what: String,
    /// To what.
    pub target: String,
    /// Address the call came from.
    pub from: Option<String>,
    /// `done`, or the code of the refusal: `forbidden`, `unauthenticated`, `not_found` …
    pub outcome: String,
    /// More, for a person.
    pub detail: Option<String>,
    /// Raft index of the entry that recorded it.
    pub index: u64,
}

/// Filters of the audit trail, newest first. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// `who` contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// `what` begins with this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Only this outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// No entries before this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
