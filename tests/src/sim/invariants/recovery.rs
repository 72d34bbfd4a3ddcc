//! I6: when the faults are over, everything comes back by itself: one leader, every controller votes and is up
//! to date, every host is up and connected.

use super::super::world::World;
use anyhow::{Context, Result};
use omni_controller::raft::RaftRole;
use omni_controller::state::HostStatus;
use std::time::Duration;

/// All of it takes at most this long after the last fault: a full window of a fresh leader, the longest wait of
/// an agent between two rounds, and the catching up of a controller that was added meanwhile.
const WITHIN: Duration = Duration::from_secs(30);

/// Waits until everything is as it should be.
///
/// # Errors
/// When it is not in time; the error says what is missing.
pub async fn converge(world: &World) -> Result<()> {
    let mut missing = String::new();
    let look = || match what_is_missing(world) {
        None => Some(()),
        Some(what) => {
            missing = what;
            None
        }
    };
    let converged = world.eventually("everything is back", WITHIN, look).await;
    converged.with_context(|| format!("I6: {missing}"))
}

fn what_is_missing(world: &World) -> Option<String> {
    let running = world.running();
    let leaders = running.iter().filter(|process| process.raft().role == RaftRole::Leader).count();
    if leaders != 1 {
        return Some(format!("{leaders} controllers lead"));
    }
    let newest = world.newest();
    for process in &running {
        let (raft, name) = (process.raft(), process.name());
        if !newest.controllers.keys().eq(raft.voters.iter()) {
            return Some(format!(
                "{name} takes {:?} for the voters, not {:?}",
                raft.voters, newest.controllers
            ));
        }
        if process.state().index < newest.index {
            return Some(format!("{name} is at entry {}, not {}", process.state().index, newest.index));
        }
    }
    for (id, host) in world.hosts().iter() {
        let status = newest.hosts.get(id).map(|host| host.status);
        if status != Some(HostStatus::Up) {
            return Some(format!("{} counts as {status:?}", host.name));
        }
        if !host.agent.as_ref().is_some_and(super::super::host::Agent::has_session) {
            return Some(format!("{} has no session", host.name));
        }
    }
    None
}
