//! Identifiers. Every id is a newtype, so that a host id cannot stand where a token id is meant.
//!
//! Ids are minted at the edge (an API handler, a command-line entry point) and travel inside commands;
//! nothing in the replicated state ever makes one.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// An id could not be read from text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a valid {kind} id")]
pub struct InvalidId {
    /// What kind of id was expected, as a person would say it.
    pub kind: &'static str,
    /// The text that was given.
    pub text: String,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id from a random source. Call it at the edge only.
            #[allow(clippy::new_without_default, reason = "a default id would be a constant, which is never meant")]
            #[allow(clippy::disallowed_methods, reason = "the one place that makes ids")]
            pub fn mint() -> Self {
                Self(Uuid::now_v7())
            }

            /// A fixed id for tests and examples.
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }

            /// The last eight hex digits: enough to tell ids apart in a table.
            pub fn short(&self) -> String {
                let text = self.0.simple().to_string();
                text[text.len() - 8..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { kind: $kind, text: text.chars().take(64).collect() })
            }
        }
    };
}

uuid_id!(
    /// One omni installation: the trust domain of every certificate it issues.
    ClusterId,
    "cluster"
);
uuid_id!(
    /// A machine with an agent.
    HostId,
    "host"
);
uuid_id!(
    /// A join token, an API token, or a person's session, which has a token too.
    TokenId,
    "token"
);
uuid_id!(
    /// One boot of an agent process: tells a restart from a stall.
    BootId,
    "boot"
);
uuid_id!(
    /// One proposal, chosen by whoever asks; a repeated id applies once.
    RequestId,
    "request"
);
uuid_id!(
    /// One session of an agent with a gateway.
    SessionId,
    "session"
);
uuid_id!(
    /// One placed instance of a group on a host.
    AllocationId,
    "allocation"
);
uuid_id!(
    /// One execution of a backup, copy, check, restore or drill.
    RunId,
    "run"
);
uuid_id!(
    /// The move of an app from one release to another.
    DeploymentId,
    "deployment"
);
uuid_id!(
    /// The move of an app from one host to another.
    MoveId,
    "move"
);

/// One member of the Raft group. Numbers are handed out once and never again: a controller whose disk was
/// wiped comes back under a new one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ControllerId(pub u64);

impl From<u64> for ControllerId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl FromStr for ControllerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse()
            .map(Self)
            .map_err(|_| InvalidId { kind: "controller", text: text.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text() {
        let id = HostId::from_u128(0x1234);
        assert_eq!(id.to_string().parse::<HostId>(), Ok(id));
        assert_eq!("7".parse::<ControllerId>(), Ok(ControllerId(7)));
    }

    #[test]
    fn nonsense_is_named() {
        let error = "web-1".parse::<HostId>().expect_err("not a uuid");
        assert_eq!(error.to_string(), "`web-1` is not a valid host id");
    }
}
