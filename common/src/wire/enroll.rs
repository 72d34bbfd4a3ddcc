//! Enrolment: a machine with a join token becomes a host or a controller.

use crate::clock::Time;
use crate::ids::{ClusterId, ControllerId, HostId, TokenId};
use crate::wire::ControllerList;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Clocks further apart than this cannot be trusted with certificate lifetimes, milliseconds.
pub const MAX_CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;

/// What the joining machine wants to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applicant {
    /// A host.
    Host {
        /// Wanted name.
        name: String,
        /// Labels given at the command line; the token's own are added.
        labels: BTreeMap<String, String>,
        /// Region.
        region: Option<String>,
        /// Zone.
        zone: Option<String>,
    },
    /// A controller.
    Controller {
        /// Wanted name.
        name: String,
        /// `host:port` other controllers and agents reach it at.
        quic: String,
        /// `host:port` its API is reached at.
        api: String,
        /// Region.
        region: Option<String>,
        /// Zone.
        zone: Option<String>,
    },
    /// A host whose certificate ended while it was away. It shows no token: the request is signed with the key of
    /// that certificate.
    Returning {
        /// The newest certificate it held, DER.
        certificate: Vec<u8>,
    },
}

/// First and only frame of the joining side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// Oldest protocol spoken.
    pub protocol_min: u16,
    /// Newest protocol spoken.
    pub protocol_max: u16,
    /// Version, for people.
    pub version: String,
    /// Which token.
    pub token: TokenId,
    /// Its secret part.
    pub secret: Vec<u8>,
    /// The joining machine's wall clock.
    pub now: Time,
    /// PKCS#10 request, DER. Only its public key is used, and its signature as proof that the asker holds the key.
    pub csr: Vec<u8>,
    /// What it wants to be.
    pub applicant: Applicant,
    /// Chosen by the applicant and kept on its disk: a repeated request after a lost answer joins once.
    pub request: crate::ids::RequestId,
}

/// Who the applicant is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enrolled {
    /// A host.
    Host(HostId),
    /// A controller.
    Controller {
        /// Its id.
        id: ControllerId,
        /// The key that opens secrets in the replicated state.
        cluster_key: Vec<u8>,
    },
}

/// The controller's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrollReply {
    /// Welcome.
    Accepted {
        /// The cluster.
        cluster: ClusterId,
        /// The new identity.
        enrolled: Enrolled,
        /// Leaf first, root last, DER.
        chain: Vec<Vec<u8>>,
        /// Where to go now.
        controllers: ControllerList,
    },
    /// No.
    Refused {
        /// Stable word: `token_unknown`, `token_expired`, `token_used`, `token_role`, `name_taken`,
        /// `clock_skew`, `host_unknown`, `invalid`, `unavailable`.
        code: String,
        /// For a person, with what to do.
        message: String,
    },
}
