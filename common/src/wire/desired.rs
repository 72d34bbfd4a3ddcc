//! What a host is to run, and what became of it.
//!
//! The gateway names allocations; their specifications and files are named by digest and asked for by the agent, each on
//! a stream of its own, so that a change costs a few hundred bytes and unchanged content is never sent twice.

use super::{ImageWanted, OfflineRun};
use crate::domain::app::ContentDigest;
use crate::domain::{AllocationState, Registry};
use crate::ids::{AllocationId, RunId};
use serde::{Deserialize, Serialize};

/// Ability of an agent, told in its hello: it runs allocations.
pub const CAPABILITY_RUN: &str = "run/1";
/// Ability of a gateway, told in its welcome: it says how to sign in to registries.
pub const CAPABILITY_LOGINS: &str = "logins/1";
/// Largest login, bytes as JSON: a secret's largest value.
pub const MAX_LOGIN: usize = crate::domain::MAX_SECRET;
/// Most allocations of one host; with the longest names they fit a frame.
pub const MAX_ALLOCATIONS_PER_HOST: usize = 1_000;
/// Largest content that an agent takes, bytes: a specification with hundreds of services stays far below.
pub const MAX_CONTENT: usize = 8 << 20;
/// Longest sentence in a report, bytes.
pub const MAX_REASON: usize = 1 << 10;
/// Most of a failing container's last output in a report, bytes.
pub const MAX_REPORT_LOG: usize = 4 << 10;

/// Everything that a host is to run. What it runs of omni's and is not named here is to be stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Grows with each change; an agent ignores what is older than it has.
    pub generation: u64,
    /// In id order, at most [`MAX_ALLOCATIONS_PER_HOST`].
    pub allocations: Vec<DesiredAllocation>,
}

/// One allocation as its host needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredAllocation {
    /// Its id.
    pub id: AllocationId,
    /// Grows each time that the controllers decide anew about this allocation's slot; an agent never goes back to an
    /// older one.
    pub epoch: u64,
    /// Environment of its app.
    pub environment: String,
    /// Its app.
    pub app: String,
    /// Which group of the app.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// Number of the release.
    pub release: u64,
    /// The release's specification: JSON of [`crate::domain::app::AppSpec`].
    pub spec: ContentDigest,
    /// May run only while this host's lease is valid.
    pub exclusive: bool,
    /// To run, or to be stopped and kept.
    pub run: bool,
    /// When it is not to run: nothing of it is kept, neither its containers nor the volumes that were made for its slot.
    pub purge: bool,
    /// Cards of the host for its services, by the vendor's id, in the order in which they are dealt out. Empty: it asks
    /// for none.
    pub gpus: Vec<String>,
}

/// What became of an allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationReport {
    /// Which.
    pub id: AllocationId,
    /// The epoch that this is about.
    pub epoch: u64,
    /// How far it is.
    pub state: AllocationState,
    /// One sentence for people: what is waited for, or why it failed. At most [`MAX_REASON`] bytes.
    pub reason: Option<String>,
    /// The last output of the container that failed, at most [`MAX_REPORT_LOG`] bytes.
    pub log: Option<String>,
}

/// First frame of a stream that an agent opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostRequest {
    /// The bytes with this digest; answered by [`HostReply::Chunk`]. Refused unless an allocation of the host needs them.
    Content(ContentDigest),
    /// An image that some other host may have, to gateways with [`CAPABILITY_IMAGES`](super::CAPABILITY_IMAGES); answered
    /// by [`HostReply::Found`]. What the host says later goes to the host that has it.
    Image(ImageWanted),
    /// What a run is about, to gateways with [`CAPABILITY_RUNS`](super::CAPABILITY_RUNS): JSON of
    /// [`crate::domain::backup::RunOrder`], answered by [`HostReply::Chunk`]. Refused unless the run is this host's and
    /// not over. Holds secrets: it is kept in memory only.
    Run(RunId),
    /// The state of the controllers, sealed under the cluster's key, for this run; answered by [`HostReply::Chunk`]. Refused
    /// unless the run is this host's, not over, and a backup of the controllers.
    State(RunId),
    /// How to sign in to a registry, to gateways with [`CAPABILITY_LOGINS`]: JSON of
    /// [`RegistryLogin`](crate::domain::RegistryLogin), answered by [`HostReply::Chunk`]. Refused unless an allocation of the
    /// host has an image from there. It is kept in memory only.
    Login(Registry),
    /// What the host may do by itself while no controller is reachable, to gateways with
    /// [`CAPABILITY_STANDING`](super::CAPABILITY_STANDING): JSON of
    /// [`StandingOrders`](crate::domain::backup::StandingOrders), answered by [`HostReply::Chunk`], or by none when it has
    /// this digest.
    Standing(Option<ContentDigest>),
    /// What the host did by itself, to gateways with [`CAPABILITY_STANDING`](super::CAPABILITY_STANDING). Answered by
    /// [`HostReply::End`] once it is recorded; `not_found` says that it never will be.
    Offline(Box<OfflineRun>),
}

/// Frames from the gateway on such a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostReply {
    /// The next bytes.
    Chunk(Vec<u8>),
    /// All is said; the last frame.
    End,
    /// The request cannot be met; the last frame.
    Failed {
        /// Stable word: `not_found`, `unavailable`.
        code: String,
        /// For a person.
        message: String,
    },
    /// Another host has the image, and what follows on this stream comes from there.
    Found {
        /// That host's name, for people.
        host: String,
        /// Which image goes by the name that was asked for.
        id: ContentDigest,
    },
}
