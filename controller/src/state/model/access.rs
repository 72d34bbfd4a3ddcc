//! Who may join and who may ask.

use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a join token makes of whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JoinRole {
    /// A host.
    Agent,
    /// A member of the Raft group.
    Controller,
    /// A person who may do everything: how the first one comes in.
    Admin,
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
    /// Where it holds; see [`Reach`].
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

/// Most places that one reach names.
pub const MAX_PLACES: usize = 64;

/// Where a role holds: in environments (`production`) and for single apps (`production/shop`). No places at all mean
/// everywhere, the cluster itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach<'a>(pub &'a [String]);

impl Reach<'_> {
    /// Everywhere, and for what belongs to no app.
    pub fn is_whole(self) -> bool {
        self.0.is_empty()
    }

    /// Whether an app is in it.
    pub fn has_app(self, environment: &str, app: &str) -> bool {
        let names = |place: &String| match place.split_once('/') {
            Some((one, name)) => one == environment && name == app,
            None => place == environment,
        };
        self.is_whole() || self.0.iter().any(names)
    }

    /// Whether something of an environment is in it.
    pub fn touches(self, environment: &str) -> bool {
        let of = |place: &String| place.split('/').next() == Some(environment);
        self.is_whole() || self.0.iter().any(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_is_what_it_names() {
        let places = ["staging".to_owned(), "production/shop".to_owned()];
        let reach = Reach(&places);
        assert!(reach.has_app("staging", "any") && reach.has_app("production", "shop"));
        assert!(!reach.has_app("production", "shop2") && !reach.has_app("stag", "ing"));
        assert!(reach.touches("production") && !reach.touches("prod") && !reach.is_whole());
        assert!(Reach(&[]).is_whole() && Reach(&[]).has_app("x", "y") && Reach(&[]).touches("x"));
    }
}
