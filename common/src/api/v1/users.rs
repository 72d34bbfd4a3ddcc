//! People.

use super::{AccessRole, AccessScope};
use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Who vouches for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserSource {
    /// omni, by a password.
    Local,
    /// The OpenID provider.
    Oidc,
}

impl UserSource {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Oidc => "oidc",
        }
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// Name to sign in with.
    pub name: String,
    /// As the person is called.
    pub display_name: Option<String>,
    /// What the person may do.
    pub role: AccessRole,
    /// Where.
    pub scope: AccessScope,
    /// Who vouches for the person.
    pub source: UserSource,
    /// Whether the person has a password.
    pub password: bool,
    /// May not come in.
    pub disabled: bool,
    /// When they were added.
    pub created: Time,
    /// By whom.
    pub created_by: String,
    /// When they were last changed.
    pub changed: Time,
    /// When they last signed in.
    pub signed_in: Option<Time>,
    /// Sessions of theirs that are open.
    pub sessions: u32,
    /// For `if-match`.
    pub revision: u64,
}

/// Adds a person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Name to sign in with.
    pub name: String,
    /// As the person is called.
    #[serde(default)]
    pub display_name: Option<String>,
    /// What the person may do.
    pub role: AccessRole,
    /// Where; everywhere when absent.
    #[serde(default)]
    pub scope: AccessScope,
    /// The password, 12 to 128 characters.
    pub password: String,
}

/// Changes a person. Absent fields stay.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// As the person is called; empty for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What the person may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<AccessRole>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<AccessScope>,
    /// Whether the person may not come in; ends their sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// A new password; ends their sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Changes one's own password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The one that holds.
    pub current: String,
    /// The next one, 12 to 128 characters.
    pub new: String,
}

/// Which people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    /// Only those whose name or display name holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl std::fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateUser")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for UpdateUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        f.debug_struct("UpdateUser")
            .field("role", &self.role)
            .field("password", &password)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChangePassword { *** }")
    }
}
