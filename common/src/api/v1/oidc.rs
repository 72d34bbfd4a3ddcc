//! The OpenID provider.

use super::{AccessRole, AccessScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What members of a group may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcGroup {
    /// The provider's name of the group.
    pub group: String,
    /// What its members may do.
    pub role: AccessRole,
    /// Where; everywhere when absent.
    #[serde(default)]
    pub scope: AccessScope,
}

/// The OpenID provider by which people sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OidcView {
    /// What the button says.
    pub label: String,
    /// Its issuer.
    pub issuer: String,
    /// The client it knows omni as.
    pub client: String,
    /// Whether there is a client secret. It is never shown.
    pub secret: bool,
    /// The client for devices, where it is another one.
    pub device_client: Option<String>,
    /// Scopes asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names a person's groups.
    pub groups_claim: String,
    /// The claim that names the person.
    pub name_claim: String,
    /// The first group that a person is in decides.
    pub groups: Vec<OidcGroup>,
    /// What people in none of them may do; absent to turn them away.
    pub others: Option<AccessRole>,
    /// Addresses under which browsers reach omni beside those of the controllers.
    pub origins: Vec<String>,
    /// Whether it has roots of its own.
    pub roots: bool,
    /// What the provider has to know as redirect addresses.
    pub redirects: Vec<String>,
    /// When it was set just now: why it cannot be used yet.
    pub problem: Option<String>,
    /// For `if-match`.
    pub revision: u64,
}

/// Sets the OpenID provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOidc {
    /// What the button says; `single sign-on` when absent.
    #[serde(default)]
    pub label: Option<String>,
    /// Its issuer, exactly as it names itself, a slash at the end included.
    pub issuer: String,
    /// The client it knows omni as.
    pub client: String,
    /// The client's secret; absent for the one that is kept for this issuer and client, empty for none.
    #[serde(default)]
    pub secret: Option<String>,
    /// The client for devices, where it is another one. It is public.
    #[serde(default)]
    pub device_client: Option<String>,
    /// Scopes asked for beside `openid`; `profile` and `email` when absent.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The claim that names a person's groups; `groups` when absent.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// The claim that names the person; `preferred_username` when absent.
    #[serde(default)]
    pub name_claim: Option<String>,
    /// The first group that a person is in decides.
    #[serde(default)]
    pub groups: Vec<OidcGroup>,
    /// What people in none of them may do; absent to turn them away.
    #[serde(default)]
    pub others: Option<AccessRole>,
    /// Addresses under which browsers reach omni beside those of the controllers, `https://HOST[:PORT]`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Roots that the provider's own certificate may come from, PEM, beside the public ones; absent for those that are
    /// kept for this issuer and client, empty for none.
    #[serde(default)]
    pub roots_pem: Option<String>,
}

impl std::fmt::Debug for SetOidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetOidc")
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
