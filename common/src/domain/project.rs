//! Compose projects as an agent finds them on its host. They travel as JSON: what an engine tells about a container has no
//! fixed shape.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Label with the compose files of a container's project, separated by commas.
pub const LABEL_COMPOSE_FILES: &str = "com.docker.compose.project.config_files";
/// Label with the folder of the project.
pub const LABEL_COMPOSE_FOLDER: &str = "com.docker.compose.project.working_dir";
/// Label with the environment files that were given in place of `.env`, separated by commas.
pub const LABEL_COMPOSE_ENV_FILES: &str = "com.docker.compose.project.environment_file";
/// Label with the container's number within its service.
pub const LABEL_COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// Label with `True` on a container that `docker compose run` has made.
pub const LABEL_COMPOSE_ONEOFF: &str = "com.docker.compose.oneoff";

/// Most files that an agent reads of one project.
pub const MAX_PROJECT_READS: usize = 256;
/// Most bytes of all of them together.
pub const MAX_PROJECT_BYTES: usize = 4 << 20;
/// Most containers of a project that can be adopted.
pub const MAX_PROJECT_CONTAINERS: usize = 500;

/// A project on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundProject {
    /// Its name.
    pub name: String,
    /// Its folder, as its containers say.
    pub folder: Option<String>,
    /// Its compose files, absolute, later ones over earlier ones.
    pub compose: Vec<String>,
    /// Files that were read, by absolute path.
    pub files: BTreeMap<String, FoundFile>,
    /// Files that were not, and why, by absolute path.
    pub unread: BTreeMap<String, String>,
    /// Its containers, running or not; without those of `docker compose run`.
    pub containers: Vec<FoundContainer>,
}

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Its bytes, in base64.
    pub content: String,
    /// Its permission bits.
    pub mode: u32,
}

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundContainer {
    /// Docker's id.
    pub id: String,
    /// Its service, as its label says.
    pub service: String,
    /// Its number within the service.
    pub number: u32,
    /// What the engine says of it, as `docker inspect` shows it.
    pub inspect: serde_json::Value,
    /// The `Config` of its image, which tells what was not asked for; absent when the image is gone.
    pub image: Option<serde_json::Value>,
}
