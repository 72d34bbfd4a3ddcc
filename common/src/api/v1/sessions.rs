//! Signing in and out.

use crate::clock::Time;
use crate::ids::TokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// By name and password.
    Password,
    /// By an invitation.
    Invitation,
    /// Through the OpenID provider.
    Oidc,
}

impl SignIn {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Invitation => "invitation",
            Self::Oidc => "oidc",
        }
    }
}

/// An open session of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub user: String,
    /// A browser's; otherwise a program's.
    pub browser: bool,
    /// How it began.
    pub by: SignIn,
    /// When it began.
    pub created: Time,
    /// When it was last used, to ten minutes.
    pub seen: Time,
    /// When it ends if it is not used again.
    pub expires: Time,
    /// When it ends even so.
    pub ends: Time,
    /// From which address it began.
    pub from: Option<String>,
    /// What the browser or program calls itself.
    pub agent: Option<String>,
    /// It is the caller's own.
    pub current: bool,
}

/// Signs in with a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSession {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
    /// For a page of omni: the session's secret goes into a cookie and is not in the answer.
    #[serde(default)]
    pub browser: bool,
}

/// Becomes an admin by an invitation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// A join token for an admin.
    pub token: String,
    /// Name to sign in with.
    pub name: String,
    /// As the person is called.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Password, 12 to 128 characters.
    pub password: String,
    /// For a page of omni: the session's secret goes into a cookie and is not in the answer.
    #[serde(default)]
    pub browser: bool,
}

/// A session that has just begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionStarted {
    /// Whose.
    pub user: String,
    /// What a program sends as a bearer token; absent for a page, which has a cookie.
    pub token: Option<String>,
    /// For a page: what it sends with its calls.
    pub pass: Option<PagePass>,
}

/// What a page of omni sends with its calls as a bearer token. It is good for some minutes and renewed with the cookie.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PagePass {
    /// Its text.
    pub pass: String,
    /// It is good for this long, seconds.
    pub ttl_secs: u64,
}

/// How one can sign in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaysIn {
    /// Somebody has a password.
    pub password: bool,
    /// What the button of the OpenID provider says; absent when there is none.
    pub oidc: Option<String>,
}

/// What the OpenID provider wants a person to do to let a program in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceStarted {
    /// Where to go.
    pub verification_uri: String,
    /// The same with the code in it, where the provider has such an address.
    pub verification_uri_complete: Option<String>,
    /// What to type there.
    pub user_code: String,
    /// What to ask with; see [`DevicePoll`].
    pub handle: String,
    /// Ask this often, seconds.
    pub interval_secs: u64,
    /// It can be done for this long, seconds.
    pub ttl_secs: u64,
}

/// Asks whether a person has let the program in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePoll {
    /// From [`DeviceStarted`].
    pub handle: String,
}

/// How a device's sign-in stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceAnswer {
    /// The session, once the person has let the program in.
    pub started: Option<SessionStarted>,
    /// Ask this often from now on, seconds.
    pub interval_secs: u64,
}

macro_rules! masked {
    ($($name:ident),*) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { *** }"))
            }
        })*
    };
}

masked!(StartSession, AcceptInvitation, SessionStarted, PagePass, DeviceStarted, DevicePoll, DeviceAnswer);
