//! Tokens: to join the cluster, and to call its API.

use crate::clock::Time;
use crate::ids::TokenId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// What a person or program may do; each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessRole {
    /// Look.
    Viewer,
    /// Change hosts and apps, open terminals.
    Operator,
    /// Change who may do what, and the cluster itself.
    Admin,
}

impl AccessRole {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for AccessRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for AccessRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no role: use viewer, operator or admin"))
    }
}

/// Where a role holds: in these environments, and for these apps besides. Two empty lists mean everywhere, hosts and
/// the cluster included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessScope {
    /// Everything in these environments.
    pub environments: Vec<String>,
    /// These apps, `environment/app`.
    pub apps: Vec<String>,
}

/// What may join with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinRole {
    /// A host.
    Agent,
    /// A controller.
    Controller,
    /// A person, who becomes an admin. The dashboard takes the token at `#/setup/TOKEN`.
    Admin,
}

/// Asks for a join token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJoinToken {
    /// What may join with it.
    pub role: JoinRole,
    /// How long it is good for, seconds; an hour when absent, 30 days at most.
    #[serde(default)]
    pub ttl_secs: Option<u64>,
    /// How often it can be used; once when absent, 0 for no limit within its time.
    #[serde(default)]
    pub uses: Option<u32>,
    /// Labels for the hosts that join with it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A join token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenView {
    /// Its id.
    pub id: TokenId,
    /// What may join with it.
    pub role: JoinRole,
    /// Labels for the hosts that join with it.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Time,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires: Time,
    /// How often it can still be used; absent for no limit within its time.
    pub uses_left: Option<u32>,
    /// How often it was used.
    pub used: u32,
}

/// A fresh join token. Its text is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenCreated {
    /// What the joining machine is given.
    pub token: String,
    /// The rest.
    pub view: JoinTokenView,
}

/// Asks for an API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiToken {
    /// Whose it is; the name that audit entries show.
    pub name: String,
    /// What it may do.
    pub role: AccessRole,
    /// Where it may do it; everywhere when absent.
    #[serde(default)]
    pub scope: AccessScope,
    /// How long it is good for, seconds; for ever when absent.
    #[serde(default)]
    pub ttl_secs: Option<u64>,
}

/// An API token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenView {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: AccessRole,
    /// Where it may do it.
    pub scope: AccessScope,
    /// When it was made.
    pub created: Time,
    /// Who made it.
    pub created_by: String,
    /// When it ends; absent when it does not.
    pub expires: Option<Time>,
}

/// A fresh API token. Its text is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiTokenCreated {
    /// What the caller sends as a bearer token.
    pub token: String,
    /// The rest.
    pub view: ApiTokenView,
}

/// Filters of lists of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TokensQuery {
    /// Also those that have expired or are used up.
    #[serde(default)]
    pub all: bool,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl std::fmt::Debug for JoinTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinTokenCreated").field("view", &self.view).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ApiTokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiTokenCreated").field("view", &self.view).finish_non_exhaustive()
    }
}
