//! A host is declared down when, and only when, it is gone.
//!
//! - Not falsely: a host that could talk to a gateway, which could talk to the leader, all the while.
//! - Not late: one that could talk to nobody, while a leader was there to notice.

use super::super::map::Map;
use super::super::member::Process;
use super::super::world::World;
use anyhow::{Result, bail};
use omni_common::ids::{ControllerId, HostId};
use omni_controller::raft::RaftRole;
use omni_controller::state::{HostStatus, State};
use std::time::Duration;
use tokio::time::Instant;

/// A way from agent to leader that has been open for this long must have been found: 8 s may pass between two
/// heartbeats, and an agent that has just given up everybody waits up to 5 s before it looks again.
const STEADY: Duration = Duration::from_secs(14);
/// DESIGN 15: a dead host is declared so within this.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// Hosts that were declared down between two states.
pub fn declared(before: &State, after: &State) -> Vec<HostId> {
    let new = after.events.values().rev().take_while(|event| event.index > before.index);
    new.filter(|event| event.kind == "host.down").filter_map(|event| event.host).collect()
}

/// A host was declared down just now: there was no steady way from it to the leader.
///
/// # Errors
/// When there was one.
pub fn not_false(world: &World, id: HostId) -> Result<()> {
    let Some(leader) = leader(world) else { return Ok(()) };
    let hosts = world.hosts();
    let Some(host) = hosts.get(&id) else { return Ok(()) };
    let (map, now) = (world.map(), Instant::now());
    let steady = |a: &str, b: &str| map.open_since(a, b).is_some_and(|since| now - since >= STEADY);
    let leader = leader.name();
    for gateway in map.controllers() {
        if steady(&host.name, &gateway) && steady(&gateway, &leader) {
            bail!(
                "{} was declared down, though it could talk to {gateway}, and {gateway} to the leader {leader}, \
                 for the last {STEADY:?}",
                host.name
            );
        }
    }
    Ok(())
}

/// Who leads, and since when that and everything between controllers has been the same.
#[derive(Debug, Default)]
pub struct Leadership {
    leads: Option<(ControllerId, u64)>,
    since: Option<Instant>,
}

impl Leadership {
    /// Looks who leads now.
    pub(super) fn look(&mut self, world: &World) {
        let leads = leader(world).map(|process| (process.id, process.raft().term));
        if leads != self.leads {
            (self.leads, self.since) = (leads, Some(Instant::now()));
        }
    }

    fn settled_since(&self, map: &Map) -> Option<Instant> {
        self.leads.and(self.since).map(|since| since.max(map.quiet_since()))
    }
}

/// Whoever could be heard by nobody for long enough counts as down.
///
/// # Errors
/// When one still counts as up or suspect.
pub fn not_late(world: &World, newest: &State, leadership: &Leadership) -> Result<()> {
    let (hosts, map, now) = (world.hosts(), world.map(), Instant::now());
    let Some(settled) = leadership.settled_since(&map) else { return Ok(()) };
    for (id, host) in hosts.iter() {
        let Some(stranded) = map.stranded_since(&host.name) else { continue };
        let gone = now.saturating_duration_since(stranded.max(settled));
        let status = newest.hosts.get(id).map(|host| host.status);
        let counted_on = matches!(status, Some(HostStatus::Up | HostStatus::Suspect));
        if counted_on && gone > NOTICED_WITHIN {
            bail!(
                "{} has been able to talk to nobody for {gone:?}, and still counts as {status:?}",
                host.name
            );
        }
    }
    Ok(())
}

/// The controller that leads and can talk to a majority of the voters, itself included.
fn leader(world: &World) -> Option<Process> {
    let running = world.running();
    let map = world.map();
    let leads = running.into_iter().filter(|process| {
        let raft = process.raft();
        let reached = raft
            .voters
            .iter()
            .filter(|voter| map.open_since(&process.name(), &super::super::member::name(**voter)).is_some());
        raft.role == RaftRole::Leader && reached.count() * 2 > raft.voters.len()
    });
    leads.max_by_key(|process| process.raft().term)
}
