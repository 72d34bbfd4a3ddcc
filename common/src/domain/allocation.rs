//! Allocations: placed instances of a group, as agents and controllers speak of them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Label by which a container of omni's names its allocation. One without it is never touched.
pub const LABEL_ALLOCATION: &str = "omni.allocation";

/// How far an allocation has come on its host.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AllocationState {
    /// Placed; its agent has said nothing yet.
    Pending,
    /// Images, networks, volumes and files are got ready.
    Preparing,
    /// Its containers run, and not all of them are known to be well.
    Starting,
    /// All its containers run, and those with a health check are healthy.
    Healthy,
    /// It was healthy, and a container is not any more.
    Unhealthy,
    /// It could not be brought up, or its containers ended and are not restarted.
    Failed,
    /// Its containers are being stopped.
    Stopping,
    /// Nothing of it runs.
    Stopped,
}

impl AllocationState {
    /// All of them, in the order in which an allocation goes through them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Preparing,
        Self::Starting,
        Self::Healthy,
        Self::Unhealthy,
        Self::Failed,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preparing => "preparing",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for AllocationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
