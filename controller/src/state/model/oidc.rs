//! The OpenID provider by which people may sign in.

use super::ApiRole;
use serde::{Deserialize, Serialize};

/// What members of a group may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRole {
    /// The provider's name of the group.
    pub group: String,
    /// What its members may do.
    pub role: ApiRole,
    /// Where; see [`super::Reach`].
    pub places: Vec<String>,
}

/// The provider, and what its people may do here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcSettings {
    /// What the button says.
    pub label: String,
    /// Its issuer, exactly as it names itself, a slash at the end included.
    pub issuer: String,
    /// The client it knows omni as.
    pub client: String,
    /// The client's secret, sealed under the cluster key; absent for a public client.
    pub secret_sealed: Option<Vec<u8>>,
    /// The client for devices, where it is another one. It is public.
    pub device_client: Option<String>,
    /// Scopes asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names a person's groups.
    pub groups_claim: String,
    /// The claim that names the person.
    pub name_claim: String,
    /// The first group that a person is in decides.
    pub groups: Vec<GroupRole>,
    /// What people in none of the groups may do; absent to turn them away.
    pub others: Option<ApiRole>,
    /// Addresses under which browsers reach omni beside those of the controllers, `https://HOST[:PORT]`.
    pub origins: Vec<String>,
    /// Roots that the provider's own certificate may come from, PEM, beside the public ones.
    pub roots_pem: Option<String>,
    /// Log index of the last change.
    pub revision: u64,
}
