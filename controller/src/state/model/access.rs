//! Who may join and who may ask.

use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a join token makes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JoinRole {
    /// A host.
    Agent,
    /// A member of the Raft group.
    Controller,
}

/// A token by which machines join. Only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Its id.
    pub id: TokenId,
    /// What it makes.
    pub role: JoinRole,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// When it was made.
    pub created: Time,
    /// When it ends.
    pub expires: Time,
    /// How often it can still be used; absent for no limit within its time.
    pub uses_left: Option<u32>,
    /// How often it was used.
    pub used: u32,
    /// Labels that hosts joining with it get.
    pub labels: BTreeMap<String, String>,
    /// Who made it.
    pub created_by: String,
}

/// What the holder of an API token may do, each including the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ApiRole {
    /// See everything but secrets.
    Viewer,
    /// Change what runs, look into containers.
    Operator,
    /// Everything, tokens and controllers included.
    Admin,
}

impl ApiRole {
    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// A token by which people and programs call the API. Only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What it may do.
    pub role: ApiRole,
    /// Environments it is confined to; empty for all.
    pub environments: Vec<String>,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// When it was made.
    pub created: Time,
    /// When it ends; absent for never.
    pub expires: Option<Time>,
    /// Who made it.
    pub created_by: String,
}
