//! Images of all hosts, and images from a workstation, over a WebSocket.
//!
//! ```text
//! client                                            server
//!   {"op":"auth","token":…}       unless the upgrade carried a bearer token
//!                                             ◀── {"op":"started","hosts":["web-1",…]}
//!   binary: a saved image, in pieces ──▶
//!   {"op":"eof"} ──▶                          ◀── {"op":"host",…}, one for each
//!                                             ◀── {"op":"end"}, closed
//! ```

use super::{CommaList, Problem};
use crate::clock::Time;
use crate::domain::app::ContentDigest;
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An image under one of its names, and the hosts that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageView {
    /// The name with its tag, as engines show it. Different images can go by the same name on different hosts.
    pub name: String,
    /// What engines call it: the digest of its configuration.
    pub id: ContentDigest,
    /// What all its layers take unpacked, bytes.
    pub size_bytes: u64,
    /// When it was built, by whoever built it.
    pub created: Option<Time>,
    /// The hosts that have it, by name; those that are gone as they were last.
    pub hosts: Vec<ImageHost>,
}

/// A host that has an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ImageHost {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: HostId,
    /// It is connected, and can hand the image on.
    pub connected: bool,
}

/// Filters of the list of images. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImagesQuery {
    /// On any of these hosts (name or id), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<CommaList>,
    /// The name contains this text, or the id begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Where an image from a workstation goes. Exactly one of them is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PushQuery {
    /// To these hosts (name or id), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<CommaList>,
    /// To the hosts with all of these labels: `key=value`, or `key` for any value, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<CommaList>,
    /// To all hosts that are up.
    #[serde(default)]
    pub all: bool,
    /// What is sent, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Hosts that one push goes to at most. More get the image from these when they need it.
pub const MAX_PUSH_HOSTS: usize = 32;

/// Client to server, as text. Binary messages are the saved image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum PushInput {
    /// That was all of it.
    Eof,
}

/// What became of a push at one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushOutcome {
    /// The host's name.
    pub host: String,
    /// The images that its engine loaded; empty when it did not.
    pub images: Vec<String>,
    /// Why it did not.
    pub problem: Option<Problem>,
}

/// Server to client, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum PushOutput {
    /// Send it.
    Started {
        /// Names of the hosts that it goes to.
        hosts: Vec<String>,
    },
    /// One host is done.
    Host(PushOutcome),
    /// All are: the last message.
    End,
    /// Nothing was sent anywhere: the last message.
    Error {
        /// Why.
        problem: Problem,
    },
}
