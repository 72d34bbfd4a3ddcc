//! Words and tones that the screens about apps share.

use crate::tone::Tone;
use omni_common::api::v1::{AllocationView, AppStatus, AppView, DeploymentState, DeploymentView};
use omni_common::domain::AllocationState;

/// As it is written in JSON.
pub(crate) fn status_word(status: AppStatus) -> &'static str {
    match status {
        AppStatus::Healthy => "healthy",
        AppStatus::Deploying => "deploying",
        AppStatus::Degraded => "degraded",
        AppStatus::Down => "down",
        AppStatus::Pending => "pending",
        AppStatus::Stopped => "stopped",
        AppStatus::Removing => "removing",
    }
}

/// Of an app's status.
pub(crate) fn status_tone(status: AppStatus) -> Tone {
    match status {
        AppStatus::Healthy => Tone::Good,
        AppStatus::Deploying | AppStatus::Pending | AppStatus::Degraded | AppStatus::Removing => Tone::Warn,
        AppStatus::Down => Tone::Bad,
        AppStatus::Stopped => Tone::Dim,
    }
}

/// How a deployment stands, for people.
pub(crate) fn deployment_word(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Running => "running",
        DeploymentState::Paused => "paused",
        DeploymentState::Done => "done",
        DeploymentState::Failed => "failed",
        DeploymentState::RolledBack => "failed, rolled back",
        DeploymentState::Superseded => "superseded",
        DeploymentState::Aborted => "aborted",
    }
}

/// Of how a deployment stands.
pub(crate) fn deployment_tone(state: DeploymentState) -> Tone {
    match state {
        DeploymentState::Done => Tone::Good,
        DeploymentState::Running | DeploymentState::Paused => Tone::Warn,
        DeploymentState::Failed | DeploymentState::RolledBack => Tone::Bad,
        DeploymentState::Superseded | DeploymentState::Aborted => Tone::Dim,
    }
}

/// Whether it goes on, or may.
pub(crate) fn is_open(deployment: &DeploymentView) -> bool {
    matches!(deployment.state, DeploymentState::Running | DeploymentState::Paused)
}

/// `release 3 -> 4`, `release 1` of a new app, `back to release 3`.
pub(crate) fn movement(deployment: &DeploymentView) -> String {
    let to = deployment.to;
    match (deployment.from, deployment.back) {
        (_, true) => format!("back to release {to}"),
        (Some(from), false) if from == to => format!("release {to} anew"),
        (Some(from), false) => format!("release {from} -> {to}"),
        (None, false) => format!("release {to}"),
    }
}

/// `main.0`, as an instance is called.
pub(crate) fn instance(allocation: &AllocationView) -> String {
    format!("{}.{}", allocation.group, allocation.slot)
}

/// Its state; that of one on a host that was given up is not known.
pub(crate) fn instance_word(allocation: &AllocationView) -> &'static str {
    if allocation.lost { "lost" } else { allocation.state.as_str() }
}

/// Of an instance.
pub(crate) fn instance_tone(allocation: &AllocationView) -> Tone {
    match allocation.state {
        _ if allocation.lost => Tone::Bad,
        AllocationState::Healthy => Tone::Good,
        AllocationState::Unhealthy | AllocationState::Failed => Tone::Bad,
        AllocationState::Pending | AllocationState::Preparing | AllocationState::Starting => Tone::Warn,
        AllocationState::Stopping | AllocationState::Stopped => Tone::Dim,
    }
}

/// Hosts that an app has instances on, each once, by name.
pub(crate) fn hosts(app: &AppView) -> Vec<&str> {
    let present = app.allocations.iter().filter(|one| one.state != AllocationState::Stopped);
    let mut names: Vec<&str> = present.map(|one| one.host_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
