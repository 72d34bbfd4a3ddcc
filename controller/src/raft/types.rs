//! openraft's types, filled in for omni.

use crate::state::{Outcome, Proposal};
use omni_common::ids::ControllerId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A proposal as a log entry carries it: shared, because replication and apply hold the same one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LogData(pub(crate) Arc<Proposal>);

impl fmt::Display for LogData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal {}", self.0.request)
    }
}

/// What applying an entry gave: nothing for entries that are Raft's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The entry's index.
    pub(crate) index: u64,
    /// The answer.
    pub(crate) outcome: Option<Outcome>,
}

/// What the Raft group knows of a member besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// `host:port` of its QUIC endpoint.
    pub(crate) quic: String,
}

openraft::declare_raft_types!(
    /// omni's choice of Raft types.
    pub(crate) Types:
        D = LogData,
        R = Applied,
        NodeId = ControllerId,
        Node = Member,
);

pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type Snapshot = openraft::type_config::alias::SnapshotOf<Types, Arc<Vec<u8>>>;
pub(crate) type Raft = openraft::Raft<Types, super::machine::Machine>;
