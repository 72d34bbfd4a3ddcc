//! Containers of all hosts.

use super::CommaList;
use crate::domain::{Container, ContainerSample, PlatformRole};
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A container, where it runs and what it uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerView {
    /// Its host.
    pub host: HostId,
    /// Its host's name.
    pub host_name: String,
    /// What Docker says of it.
    pub container: Container,
    /// Its place in the platform, when its labels give it one.
    pub role: Option<PlatformRole>,
    /// What it used last; absent while it does not run.
    pub sample: Option<ContainerSample>,
    /// How long ago its host's agent last reported, milliseconds. Old means: this may no longer be so.
    pub observed_age_ms: u64,
}

/// Filters of the list of containers. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContainersQuery {
    /// On any of these hosts (name or id), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<CommaList>,
    /// All of these container labels: `key=value`, or `key` for any value, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<CommaList>,
    /// Any of these components of the platform, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<CommaList>,
    /// Any of these states (`running`, `exited` …), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CommaList>,
    /// Any of these results of their health check (`healthy`, `unhealthy`, `starting`, `none`), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<CommaList>,
    /// Name or image contains this text, or the id begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
