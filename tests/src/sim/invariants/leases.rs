//! The precondition of I1: from the moment a host is declared down until it is declared up again, its agent
//! holds no lease. Whoever starts a replacement then is alone.

use super::super::world::World;
use anyhow::{Result, ensure};
use omni_common::ids::HostId;
use omni_controller::state::{HostStatus, LivenessConfig, State};
use std::time::Duration;
use tokio::time::Instant;

/// A host was declared down just now: its lease is over, and the margin has passed since.
///
/// # Errors
/// When its agent still believes in its lease, or the controllers were early.
pub fn over(world: &World, id: HostId) -> Result<()> {
    let now = Instant::now();
    let hosts = world.hosts();
    let Some((host, agent)) = hosts.get(&id).and_then(|host| Some((host, host.agent.as_ref()?))) else {
        return Ok(());
    };
    if let Some(until) = agent.lease_until() {
        let left = until.saturating_duration_since(now);
        anyhow::bail!("I1: {} was declared down while its agent's lease has {left:?} left", host.name);
    }
    // On a clock of the usual rate the whole margin must have passed; on others it may be used up.
    let margin = Duration::from_millis(LivenessConfig::default().margin_ms.into());
    if let Some(until) = host.newest_lease.filter(|_| host.has_usual_clock()) {
        let passed = now.saturating_duration_since(until);
        ensure!(passed >= margin, "{} was declared down {passed:?} after its lease ended", host.name);
    }
    Ok(())
}

/// An agent's lease changed: it must not be one while the host counts as down.
///
/// # Errors
/// When the newest published state has the host down.
pub fn none_while_down(world: &World, newest: &State, id: HostId) -> Result<()> {
    let down = newest.hosts.get(&id).is_some_and(|host| host.status == HostStatus::Down);
    let hosts = world.hosts();
    let Some((host, agent)) = hosts.get(&id).and_then(|host| Some((host, host.agent.as_ref()?))) else {
        return Ok(());
    };
    let lease = agent.lease_until().filter(|_| down);
    ensure!(lease.is_none(), "I1: {}'s agent was granted a lease while the host counts as down", host.name);
    Ok(())
}
