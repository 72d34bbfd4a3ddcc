//! Tells agents what their hosts are to run, whenever this controller's replica says something new.
//!
//! No leader is on this path: each gateway reads its own replica. A lease, which comes from the leader, is passed on only
//! after the list that the leader had when it granted it (`session.rs`), so a replica that lags behind can never make an
//! agent start something that was decided away.

use super::accept::Gateway;
use super::runs;
use crate::state::{Allocation, Goal, OldDataKey, State};
use imbl::OrdMap;
use omni_common::ids::HostId;
use omni_common::wire::{Desired, DesiredAllocation, GatewayFrame, MAX_ALLOCATIONS_PER_HOST};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// An agent whose control queue was full is told again this soon.
const RETRY: Duration = Duration::from_millis(250);

/// Everything that a host is to run.
pub(super) fn desired(state: &State, host: HostId) -> Desired {
    let allocations = state.allocations_on(host).filter_map(|held| named(state, held));
    Desired {
        generation: state.generations.get(&host).copied().unwrap_or(0),
        allocations: allocations.take(MAX_ALLOCATIONS_PER_HOST).collect(),
    }
}

fn named(state: &State, held: &Allocation) -> Option<DesiredAllocation> {
    let app = state.apps.get(&held.app)?;
    let release = app.releases.get(&held.release)?;
    let old =
        OldDataKey { app: held.app.clone(), instance: (held.group.clone(), held.slot), host: held.host };
    let is_old = state.old_data.get(&old).is_some_and(|old| old.going && old.by == Some(held.id));
    Some(DesiredAllocation {
        id: held.id,
        epoch: held.epoch,
        environment: held.app.environment.clone(),
        app: held.app.name.clone(),
        group: held.group.clone(),
        slot: held.slot,
        release: held.release,
        spec: release.spec.clone(),
        exclusive: held.exclusive,
        run: held.run,
        purge: !held.run && (app.goal == Goal::Purge || is_old),
        gpus: held.gpus.iter().map(|grant| grant.uuid.clone()).collect(),
    })
}

/// Pushes changes to the agents connected here until told to stop.
pub(crate) async fn push(gateway: Arc<Gateway>) {
    let mut applied = gateway.store.watch();
    let mut told = gateway.store.current();
    let mut behind: BTreeSet<HostId> = BTreeSet::new();
    let mut runs_behind: BTreeSet<HostId> = BTreeSet::new();
    loop {
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if !behind.is_empty() || !runs_behind.is_empty() => {}
            () = gateway.stop.cancelled() => return,
        }
        let state = gateway.store.current();
        behind.extend(changed(&told.generations, &state.generations));
        behind.retain(|host| !tell(&gateway, &state, *host));
        runs_behind.extend(changed(&told.run_generations, &state.run_generations));
        runs_behind.retain(|host| !tell_runs(&gateway, &state, *host));
        told = state;
    }
}

/// Hosts whose generation changed between two states.
fn changed(before: &OrdMap<HostId, u64>, now: &OrdMap<HostId, u64>) -> Vec<HostId> {
    use imbl::ordmap::DiffItem;
    let differences = before.diff(now);
    differences
        .map(|item| match item {
            DiffItem::Add(host, _) | DiffItem::Remove(host, _) => *host,
            DiffItem::Update { new: (host, _), .. } => *host,
        })
        .collect()
}

/// The same for its runs.
fn tell_runs(gateway: &Gateway, state: &State, host: HostId) -> bool {
    match gateway.sessions.get(host) {
        Some(session) if session.backups => {
            session.control.try_send(GatewayFrame::Runs(runs::desired(state, host))).is_ok()
        }
        _ => true,
    }
}

/// Whether the host has been told, or need not be.
fn tell(gateway: &Gateway, state: &State, host: HostId) -> bool {
    match gateway.sessions.get(host) {
        Some(session) if session.runs => {
            session.control.try_send(GatewayFrame::Desired(desired(state, host))).is_ok()
        }
        _ => true,
    }
}
