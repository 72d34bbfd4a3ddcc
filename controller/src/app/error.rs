//! Why a use case failed, in terms of the domain. Status codes are the API's affair.

use super::ports::{MembershipError, MeshError, ProposeError};
use crate::state::Refusal;
use omni_common::api::v1::FieldError;
use omni_common::domain::app::ContentDigest;
use omni_common::ids::TokenId;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing.
    #[error("no {kind} `{name}`")]
    NotFound {
        /// What was looked for: `host`, `container` …
        kind: &'static str,
        /// Under which name or id.
        name: String,
    },
    /// `apply` turned the command down.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The request makes no sense, place by place.
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The page cursor is not one of ours, or belongs to another list or other filters.
    #[error("this cursor does not belong to this list with these filters; begin again without it")]
    BadCursor,
    /// A write or a linearizable read got no answer.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The Raft group did not take a change of its membership.
    #[error("{0}")]
    Membership(String),
    /// The state did not reach `min_index` in time.
    #[error("this controller is at index {at} and did not reach {wanted} in time")]
    Behind {
        /// The index asked for.
        wanted: u64,
        /// The index reached.
        at: u64,
    },
    /// A host could not be asked.
    #[error("{host}: {source}")]
    Mesh {
        /// The host's name.
        host: String,
        /// Why.
        source: MeshError,
    },
    /// A host's agent turned the request down.
    #[error("{host}: {message}")]
    Agent {
        /// The host's name.
        host: String,
        /// The agent's stable word.
        code: String,
        /// For a person.
        message: String,
    },
    /// A host's agent broke the order of the protocol.
    #[error("{host}: the agent answered with an unexpected frame")]
    AgentProtocol {
        /// The host's name.
        host: String,
    },
    /// A host did not answer in time.
    #[error("{host}: no answer within {seconds} s")]
    AgentSilent {
        /// The host's name.
        host: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// An earlier call with the same key made this token; its secret is gone.
    #[error(
        "an earlier call with this key made token {0}; its text was shown then and is not kept, so delete it and make another"
    )]
    ShownOnce(TokenId),
    /// A project's files do not read.
    #[error("{0}")]
    Project(omni_compose::Faults),
    /// A release's specification is not what was put there.
    #[error("the specification {0} of this release cannot be read")]
    Content(ContentDigest),
    /// The cluster has not been made yet.
    #[error("there is no cluster yet")]
    NoCluster,
    /// This cannot be done by this caller, in this way.
    #[error("{0}")]
    NotHere(String),
    /// The caller is not known, or may not do this.
    #[error(transparent)]
    Denied(#[from] super::Denied),
    /// Too many passwords wait to be compared.
    #[error("too many people sign in at this moment; try again")]
    Busy,
    /// A password could not be hashed or compared.
    #[error("cannot work on a password: {0}")]
    Password(&'static str),
    /// The OpenID provider vouches for somebody who may not come in.
    #[error("{0}")]
    NotAdmitted(String),
    /// The OpenID provider did not do its part.
    #[error("{0}")]
    Provider(String),
    /// A secret could not be made.
    #[error("cannot make a secret")]
    Secret(#[source] omni_certs::Error),
}

impl AppError {
    /// No `kind` goes by `name`.
    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        let name: String = name.into();
        Self::NotFound { kind, name: name.chars().take(128).collect() }
    }

    /// One thing is wrong with the request.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }
}

impl From<MembershipError> for AppError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::Refused(why) => Self::Membership(why),
            MembershipError::Unavailable(error) => Self::Propose(error),
        }
    }
}
