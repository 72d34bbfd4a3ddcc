//! How a container's process is started, watched, restarted and waited for.

use super::{ServiceName, unset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A health check in the engine's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", command]` or `["NONE"]`; empty for the image's own test.
    #[serde(skip_serializing_if = "unset")]
    pub test: Vec<String>,
    /// Time between two tests, milliseconds.
    #[serde(skip_serializing_if = "unset")]
    pub interval_ms: Option<u64>,
    /// Longest time a test may take, milliseconds.
    #[serde(skip_serializing_if = "unset")]
    pub timeout_ms: Option<u64>,
    /// Time after the start in which failures do not count, milliseconds.
    #[serde(skip_serializing_if = "unset")]
    pub start_period_ms: Option<u64>,
    /// Time between two tests within the start period, milliseconds; engines before 25 have no such thing.
    #[serde(skip_serializing_if = "unset")]
    pub start_interval_ms: Option<u64>,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "unset")]
    pub retries: Option<u32>,
}

impl Healthcheck {
    /// Whether the check of the image is switched off.
    pub fn is_disabled(&self) -> bool {
        self.test.first().is_some_and(|word| word == "NONE")
    }
}

/// When the engine restarts a container that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Always, also after the engine itself was restarted.
    Always,
    /// Always, unless a person stopped it.
    UnlessStopped,
    /// When it ended with an error: at most this often, or without end.
    OnFailure(Option<u32>),
}

/// What a service waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// The state the other service has to reach.
    pub condition: DependsCondition,
    /// Restart this service when the other is restarted or replaced.
    pub restart: bool,
    /// Whether a missing other service (not in an active profile) is no obstacle.
    pub optional: bool,
}

/// States that a service can be waited for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependsCondition {
    /// Its containers were started.
    Started,
    /// Its containers are healthy.
    Healthy,
    /// Its containers ended with exit code 0.
    Completed,
}

/// A command run inside the container at a turn of its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hook {
    /// The command.
    #[serde(skip_serializing_if = "unset")]
    pub command: Vec<String>,
    /// User it runs as; absent for the container's.
    #[serde(skip_serializing_if = "unset")]
    pub user: Option<String>,
    /// With all privileges.
    #[serde(skip_serializing_if = "unset")]
    pub privileged: bool,
    /// Working folder; absent for the container's.
    #[serde(skip_serializing_if = "unset")]
    pub working_dir: Option<String>,
    /// Further environment.
    #[serde(skip_serializing_if = "unset")]
    pub environment: BTreeMap<String, Option<String>>,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Logging {
    /// Driver; absent for the engine's default.
    #[serde(skip_serializing_if = "unset")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "unset")]
    pub options: BTreeMap<String, String>,
}

/// A namespace other than one of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// The host's.
    Host,
    /// One of its own.
    Private,
    /// One of its own that others may join.
    Shareable,
    /// None at all.
    None,
    /// That of a service beside it.
    Service(ServiceName),
    /// That of a container of the host, by name.
    Container(String),
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Before each start of a new container.
    Always,
    /// Never: it has to be on the host, or on another host of the mesh.
    Never,
    /// When the host does not have it.
    Missing,
    /// It is built, never pulled.
    Build,
    /// When the last pull is older than this many milliseconds.
    OlderThan(u64),
}
