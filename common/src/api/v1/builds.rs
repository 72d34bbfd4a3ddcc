//! Images that are built on a host from a folder of a workstation, over a WebSocket.
//!
//! ```text
//! client                                            server
//!   {"op":"auth","token":…}       unless the upgrade carried a bearer token
//!   {"op":"start","service":"web",…} ──▶
//!                                             ◀── {"op":"started","host":"web-1"}
//!   binary: what it is built from, a tar file ──▶
//!   {"op":"eof"} ──▶                          ◀── {"op":"output","text":"Step 1/3 …"}, …
//!                                             ◀── {"op":"built","id":…}, closed
//! ```

use super::Problem;
use crate::domain::Registry;
use crate::domain::app::{Build, ContentDigest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most bytes of a build's context. More is data, and a build does not wait for it on a slow line.
pub const MAX_BUILD_CONTEXT: u64 = 4 << 30;

/// An image that a deploy of the project takes and that has to be built before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectBuild {
    /// The service that it is for.
    pub service: String,
    /// Folder that it is built from, by its path from the project's folder; absent when the host fetches the context itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// How it is built.
    pub build: Build,
    /// The platform it is for; absent when that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its name is this, a colon, and the first 16 hexadecimal digits of a digest of all that it is built from.
    pub repository: String,
}

/// An image to build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildStart {
    /// The service that it is for.
    pub service: String,
    /// The image's name; see [`ProjectBuild::repository`].
    pub name: String,
    /// How it is built. A folder as the context means the tar file that follows.
    pub build: Build,
    /// The platform it is for; absent for that of most hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Registries that its base images come from, at most 32: the host is told how to sign in to these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub registries: Vec<Registry>,
    /// Host to build on, by name or id; absent for the controller's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Client to server, as text. Binary messages are the tar file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum BuildInput {
    /// Begin; the first message after authentication.
    Start(Box<BuildStart>),
    /// That was all of the tar file.
    Eof,
}

/// Server to client, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum BuildOutput {
    /// Send the tar file.
    Started {
        /// The host that builds, by name.
        host: String,
    },
    /// What the builder says.
    Output {
        /// Some of it, not always whole lines.
        text: String,
    },
    /// The image is there: the last message.
    Built {
        /// What engines call it: the digest of its configuration.
        id: ContentDigest,
    },
    /// There is no image: the last message.
    Error {
        /// Why.
        problem: Problem,
    },
}
