//! People, and the sessions they work in.

use super::ApiRole;
use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// People that one cluster can know.
pub const MAX_USERS: usize = 10_000;
/// Sessions that one person can have; the one unused for longest goes.
pub const MAX_USER_SESSIONS: usize = 20;
/// Sessions in all; beyond it, the one unused for longest of all goes.
pub const MAX_SESSIONS: usize = 50_000;

/// The hash of a password: Argon2id in the PHC string format, which names its own parameters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(masked)")
    }
}

/// Who vouches for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserSource {
    /// omni itself, by a password.
    Local,
    /// An OpenID provider.
    Oidc {
        /// Its issuer, exactly as it names itself.
        issuer: String,
        /// The provider's name of the person, which never changes.
        subject: String,
    },
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name to sign in with, unique.
    pub name: String,
    /// As the person is called.
    pub display_name: Option<String>,
    /// What the person may do.
    pub role: ApiRole,
    /// Where; see [`super::Reach`].
    pub places: Vec<String>,
    /// Absent: cannot sign in with a password.
    pub password: Option<PasswordHash>,
    /// Who vouches for the person.
    pub source: UserSource,
    /// May not come in.
    pub disabled: bool,
    /// When they were made.
    pub created: Time,
    /// By whom.
    pub created_by: String,
    /// When an admin or the provider last changed them.
    pub changed: Time,
    /// When they last signed in.
    pub signed_in: Option<Time>,
    /// Log index of the last change, for `If-Match`.
    pub revision: u64,
}

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignIn {
    /// By name and password.
    Password,
    /// By a link that an admin, or `init`, handed out.
    Invitation,
    /// Through the OpenID provider.
    Oidc,
}

/// Someone who signed in and has not gone. Only the hash of its secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSession {
    /// Its id.
    pub id: TokenId,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// Whose.
    pub user: String,
    /// A browser holds the secret in a cookie; otherwise a program sends it as a bearer token.
    pub cookie: bool,
    /// How it began.
    pub by: SignIn,
    /// When it began.
    pub created: Time,
    /// When it was last used, to some minutes.
    pub seen: Time,
    /// Unused for this long it ends, seconds.
    pub idle_secs: u64,
    /// Used or not, it ends then.
    pub ends: Time,
    /// From which address it began.
    pub from: Option<String>,
    /// What the browser or program calls itself.
    pub agent: Option<String>,
}

impl UserSession {
    /// When it ends if it is not used again.
    pub fn expires(&self) -> Time {
        self.seen.plus(Duration::from_secs(self.idle_secs)).min(self.ends)
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Time) -> bool {
        self.expires() <= now
    }
}
