//! Allocations: the planner's decisions, the agents' reports, and hosts that are emptied.

use super::apps::{end_open, event, forget, put, start_move};
use super::moves;
use super::records::{EventDraft, emit};
use crate::state::command::{PlanStep, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{
    Allocation, App, AppKey, Deployment, DeploymentState, Drain, Goal, GpuGrant, Group, HostStatus,
    MAX_FAILURES, Mode, OldDataKey, State,
};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::ids::{AllocationId, DeploymentId, HostId};
use omni_common::wire::{AllocationReport, MAX_REASON, MAX_REPORT_LOG};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Carries out a plan. Refused as a whole when something was decided since it was made; a step about what is gone
/// meanwhile is passed over.
pub(super) fn adopt(
    state: &mut State,
    based_on: u64,
    steps: &[PlanStep],
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    if based_on != state.plan_version {
        let message =
            format!("the plan was made at {based_on}, the newest decision is of {}", state.plan_version);
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    let mut changed = false;
    for step in steps {
        changed |= carry_out(state, step, proposal).is_some();
    }
    // Where planner and state are of two minds, that must be seen, and must not become a plan after the other.
    if !changed {
        let message = "no step of the plan can be carried out".to_owned();
        return Err(Refusal::new(RefusalCode::Invalid, message));
    }
    state.plan_version = state.index;
    Ok(Reply::Done)
}

/// Nothing when the step had nothing to do any more.
fn carry_out(state: &mut State, step: &PlanStep, proposal: &Proposal) -> Option<()> {
    let at = proposal.at;
    match step {
        PlanStep::Place { id, app, group, slot, host, release, gpus, why } => {
            place(state, *id, app, (group, *slot), *host, *release, gpus, why, at)
        }
        PlanStep::Purge { id, app, group, slot, host } => purge(state, *id, app, (group, *slot), *host, at),
        PlanStep::Stop { id, why } => stop(state, *id, why, at),
        PlanStep::Lose { id } => lose(state, *id, at),
        PlanStep::Conclude { app, deployment, state: how, reason, log } => {
            conclude(state, app, *deployment, *how, (reason, log), at).map(drop)
        }
        PlanStep::RollBack { app, deployment, back, reason, log } => {
            let failed = DeploymentState::RolledBack;
            let ended = conclude(state, app, *deployment, failed, (&Some(reason.clone()), log), at)?;
            let mut moved = state.apps.get(app).map(|app| App::clone(app))?;
            if let Some(to) = moved.falls_back_to(&ended) {
                start_move(state, &mut moved, *back, to, true, proposal);
                put(state, moved);
            }
            Some(())
        }
        PlanStep::Renew { id, release, gpus } => renew(state, *id, *release, gpus, at),
        PlanStep::Forget { app } => {
            let gone = state.allocations_of(app).next().is_none();
            gone.then(|| forget(state, app, at))
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the fields of one step")]
fn place(
    state: &mut State,
    id: AllocationId,
    key: &AppKey,
    (group, slot): (&str, u32),
    host: HostId,
    release: u64,
    gpus: &[GpuGrant],
    why: &str,
    at: Time,
) -> Option<()> {
    let app = state.apps.get(key).cloned()?;
    let wanted = app.releases.get(&release).and_then(|release| release.groups.get(group))?;
    let name = state.hosts.get(&host).map(|host| host.name.clone())?;
    if !may_start(state, &app, wanted, (group, slot), host, None) {
        return None;
    }
    let allocation = Allocation {
        release,
        exclusive: wanted.exclusive,
        run: true,
        why: why.to_owned(),
        gpus: gpus.to_vec(),
        ..told(state, id, &app, (group, slot), host, at)
    };
    lives_at(state, &app, wanted, (group, slot), host);
    let message = format!("{key}: {group} {slot} of release {release} goes to {name}: {why}");
    emit(state, at, of(&allocation, "allocation.placed", message));
    insert(state, allocation);
    Some(())
}

/// Turns an instance into one of another release where it is. Its host leaves alone what is the same in both.
fn renew(state: &mut State, id: AllocationId, release: u64, gpus: &[GpuGrant], at: Time) -> Option<()> {
    let found = state.allocations.get(&id).filter(|found| found.counts()).cloned()?;
    let app = state.apps.get(&found.app).cloned()?;
    let wanted = app.releases.get(&release).and_then(|release| release.groups.get(&found.group))?;
    let place = (found.group.as_str(), found.slot);
    if !may_start(state, &app, wanted, place, found.host, Some(id)) {
        return None;
    }
    let allocation = Allocation {
        exclusive: wanted.exclusive,
        run: true,
        release,
        why: found.why.clone(),
        gpus: gpus.to_vec(),
        ..told(state, id, &app, place, found.host, at)
    };
    lives_at(state, &app, wanted, place, found.host);
    let name = state.hosts.get(&found.host).map_or("a removed host", |host| host.name.as_str());
    let message =
        format!("{}: {} {} on {name} becomes one of release {release}", found.app, found.group, found.slot);
    emit(state, at, of(&allocation, "allocation.renewed", message));
    insert(state, allocation);
    Some(())
}

/// Whether an instance may begin on a host: nothing else writes to its data or runs in its place, and that data is not on
/// its way out. `own` is what it is made of, when that is there already.
fn may_start(
    state: &State,
    app: &App,
    wanted: &Group,
    (group, slot): (&str, u32),
    host: HostId,
    own: Option<AllocationId>,
) -> bool {
    let key = &app.key;
    let same_slot = |other: &Allocation| match wanted.mode {
        // Each host is a slot of its own.
        Mode::Global => other.host == host,
        Mode::Replicated(_) => other.slot == slot,
    };
    // What is on a host that is down has stopped with its lease, and is told so before it gets another. What was lost with
    // a host that is back may run again.
    let may_run =
        |other: &Allocation| state.hosts.get(&other.host).is_some_and(|host| host.status != HostStatus::Down);
    let of_slot = |other: &Allocation| other.group == group && same_slot(other);
    let of_data = |other: &Allocation| app.shares_data(wanted, (slot, host), other);
    let in_the_way =
        |other: &Allocation| Some(other.id) != own && may_run(other) && (of_slot(other) || of_data(other));
    if wanted.exclusive && state.allocations_of(key).any(|other| in_the_way(other)) {
        return false;
    }
    // Whoever removes old data removes all that the host has of the instance.
    let old = OldDataKey { app: key.clone(), instance: (group.to_owned(), slot), host };
    !(state.old_data.get(&old).is_some_and(|old| old.going)
        || state.open_move(key).is_some_and(|open| open.holds(group)))
}

/// Notes where the data of an instance lives from now on.
fn lives_at(state: &mut State, app: &App, wanted: &Group, (group, slot): (&str, u32), host: HostId) {
    if wanted.volumes.is_empty() {
        return;
    }
    let mut app = app.clone();
    let homes = app.homes.entry((group.to_owned(), slot)).or_default();
    if wanted.mode != Mode::Global {
        homes.clear();
    }
    homes.insert(host);
    put(state, app);
}

/// Sends somebody to data that goes, with its app or because it is old: an allocation that never ran, and that is over when
/// its host says that nothing is left.
fn purge(
    state: &mut State,
    id: AllocationId,
    key: &AppKey,
    (group, slot): (&str, u32),
    host: HostId,
    at: Time,
) -> Option<()> {
    let app = state.apps.get(key).cloned()?;
    let old = OldDataKey { app: key.clone(), instance: (group.to_owned(), slot), host };
    let home = app.homes.get(&old.instance).is_some_and(|homes| homes.contains(&host));
    let here = |held: &Arc<Allocation>| held.host == host && held.group == group && held.slot == slot;
    let is_old = !home
        && state.old_data.get(&old).is_some_and(|old| old.going)
        && !state.allocations_of(key).any(here);
    if !state.hosts.contains_key(&host)
        || !app.releases.contains_key(&app.release)
        || !(app.goal == Goal::Purge || is_old)
    {
        return None;
    }
    let why = if is_old { "its old data is here" } else { "its data is here" }.to_owned();
    let allocation = Allocation { why, ..told(state, id, &app, (group, slot), host, at) };
    insert(state, allocation);
    if is_old {
        moves::told(state, &old, id);
    }
    Some(())
}

/// An allocation that its host is told of now: of the wanted release, not to run, with nothing of its own.
fn told(
    state: &State,
    id: AllocationId,
    app: &App,
    (group, slot): (&str, u32),
    host: HostId,
    at: Time,
) -> Allocation {
    Allocation {
        id,
        app: app.key.clone(),
        group: group.to_owned(),
        slot,
        host,
        release: app.release,
        round: app.round,
        epoch: state.index,
        exclusive: false,
        run: false,
        state: AllocationState::Pending,
        since: at,
        placed: at,
        reason: None,
        log: None,
        why: String::new(),
        gpus: Vec::new(),
        lost: false,
    }
}

fn insert(state: &mut State, allocation: Allocation) {
    state.host_allocations.insert((allocation.host, allocation.id));
    state.app_allocations.insert((allocation.app.clone(), allocation.id));
    state.generations.insert(allocation.host, state.index);
    state.allocations.insert(allocation.id, Arc::new(allocation));
}

fn stop(state: &mut State, id: AllocationId, why: &str, at: Time) -> Option<()> {
    let found = state.allocations.get(&id).filter(|found| found.run).cloned()?;
    let mut allocation = Allocation::clone(&found);
    allocation.run = false;
    allocation.epoch = state.index;
    allocation.reason = Some(why.to_owned());
    let message = format!("{}: {} {} stops: {why}", found.app, found.group, found.slot);
    emit(state, at, of(&allocation, "allocation.stopping", message));
    state.generations.insert(found.host, state.index);
    state.allocations.insert(id, Arc::new(allocation));
    Some(())
}

fn lose(state: &mut State, id: AllocationId, at: Time) -> Option<()> {
    let found = state.allocations.get(&id).filter(|found| !found.lost).cloned()?;
    let mut allocation = Allocation::clone(&found);
    (allocation.lost, allocation.since) = (true, at);
    let host = state.hosts.get(&found.host).map_or("a removed host", |host| host.name.as_str());
    let message = format!("{}: {} {} was lost with {host}", found.app, found.group, found.slot);
    emit(state, at, of(&allocation, "allocation.lost", message));
    state.generations.insert(found.host, state.index);
    state.allocations.insert(id, Arc::new(allocation));
    Some(())
}

/// Ends the open deployment if it is this one; gives it as it was then.
fn conclude(
    state: &mut State,
    key: &AppKey,
    deployment: DeploymentId,
    how: DeploymentState,
    (reason, log): (&Option<String>, &Option<String>),
    at: Time,
) -> Option<Deployment> {
    let mut app = state.apps.get(key).map(|app| App::clone(app))?;
    if app.open_deployment().is_none_or(|open| open.id != deployment) {
        return None;
    }
    let ended = end_open(&mut app, how, reason.clone(), log.clone(), at)?.clone();
    let to = ended.to;
    let (kind, said) = match how {
        DeploymentState::Done => ("deployment.done", "is done"),
        DeploymentState::Paused => ("deployment.paused", "is paused"),
        _ => ("deployment.failed", "failed"),
    };
    let mut message = format!("the move of {key} to release {to} {said}");
    if let Some(reason) = reason {
        message = format!("{message}: {reason}");
    }
    let draft = event(kind, key, message).with("deployment", &deployment.to_string());
    emit(state, at, draft.with("release", &to.to_string()));
    put(state, app);
    Some(ended)
}

/// What an agent says of its allocations. What is about an older epoch says nothing of this one.
pub(super) fn record(
    state: &mut State,
    host: HostId,
    all: bool,
    reports: &[AllocationReport],
    at: Time,
) -> Reply {
    for report in reports {
        record_one(state, host, report, at);
    }
    if all {
        let named: BTreeSet<AllocationId> = reports.iter().map(|report| report.id).collect();
        let unknown: Vec<_> =
            state.allocations_on(host).filter(|held| !named.contains(&held.id)).cloned().collect();
        for allocation in unknown {
            // It was placed and the agent has not heard of it yet, or its folder was lost. Of what was told to stop,
            // silence proves nothing: the account may be older than the telling, and whoever is told answers.
            if allocation.run {
                change(state, &allocation, AllocationState::Pending, None, None, at);
            }
        }
    }
    Reply::Done
}

fn record_one(state: &mut State, host: HostId, report: &AllocationReport, at: Time) {
    let Some(found) = state.allocations.get(&report.id).cloned() else { return };
    if found.host != host || found.epoch != report.epoch {
        return;
    }
    if report.state == AllocationState::Stopped && !found.run {
        return remove(state, &found, at);
    }
    let reason = report.reason.as_deref().map(|text| clip(text, MAX_REASON));
    let log = report.log.as_deref().map(|text| clip(text, MAX_REPORT_LOG));
    change(state, &found, report.state, reason, log, at);
}

fn change(
    state: &mut State,
    found: &Allocation,
    to: AllocationState,
    reason: Option<String>,
    log: Option<String>,
    at: Time,
) {
    if found.state == to && found.reason == reason && found.log == log && !found.lost {
        return;
    }
    let mut allocation = found.clone();
    if found.state != to {
        // Reports come by way of many clocks; the state's own never goes back.
        allocation.since = state.now;
        if to == AllocationState::Failed && found.run {
            remember_failure(state, found, at);
        }
        let host = state.hosts.get(&found.host).map_or("a removed host", |host| host.name.as_str());
        let mut message = format!("{}: {} {} on {host} is {to}", found.app, found.group, found.slot);
        if let Some(reason) = &reason {
            message = format!("{message}: {reason}");
        }
        if let Some(kind) = kind(to) {
            emit(state, at, of(found, kind, message));
        }
    }
    (allocation.state, allocation.reason, allocation.log, allocation.lost) = (to, reason, log, false);
    state.allocations.insert(allocation.id, Arc::new(allocation));
}

/// A failure counts against its host and its slot, until the app moves to another release.
fn remember_failure(state: &mut State, found: &Allocation, at: Time) {
    let Some(app) = state.apps.get(&found.app) else { return };
    if app.release != found.release || app.round != found.round {
        return;
    }
    let mut app = App::clone(app);
    let failures = app.failures.entry((found.group.clone(), found.slot)).or_default();
    failures.push((found.host, at));
    if failures.len() > MAX_FAILURES {
        failures.remove(0);
    }
    put(state, app);
}

/// What is worth an event.
fn kind(state: AllocationState) -> Option<&'static str> {
    match state {
        AllocationState::Healthy => Some("allocation.healthy"),
        AllocationState::Unhealthy => Some("allocation.unhealthy"),
        AllocationState::Failed => Some("allocation.failed"),
        AllocationState::Stopped => Some("allocation.stopped"),
        _ => None,
    }
}

/// Forgets an allocation of which nothing runs any more.
pub(super) fn remove(state: &mut State, allocation: &Allocation, at: Time) {
    state.allocations.remove(&allocation.id);
    state.host_allocations.remove(&(allocation.host, allocation.id));
    state.app_allocations.remove(&(allocation.app.clone(), allocation.id));
    state.generations.insert(allocation.host, state.index);
    let home = (allocation.group.clone(), allocation.slot);
    let old = OldDataKey { app: allocation.app.clone(), instance: home.clone(), host: allocation.host };
    moves::removed(state, &old, allocation.id, at);
    if let Some(app) = state.apps.get(&allocation.app).filter(|app| app.goal == Goal::Purge)
        && app.homes.get(&home).is_some_and(|hosts| hosts.contains(&allocation.host))
    {
        let mut app = App::clone(app);
        if let Some(hosts) = app.homes.get_mut(&home) {
            hosts.remove(&allocation.host);
        }
        put(state, app);
    }
    let message = format!("{}: {} {} has stopped", allocation.app, allocation.group, allocation.slot);
    emit(state, at, of(allocation, "allocation.stopped", message));
}

pub(super) fn drain(
    state: &mut State,
    host: HostId,
    drain: bool,
    deadline: Option<Time>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let found = state.hosts.get(&host).map(|found| found.name.clone());
    let name = found.ok_or_else(|| Refusal::new(RefusalCode::NotFound, format!("no host {host}")))?;
    let by = proposal.actor.name.clone();
    let (kind, message) = match drain {
        true => ("host.draining", format!("host {name} is being emptied")),
        false => ("host.undrained", format!("host {name} is no longer emptied")),
    };
    match drain {
        true => state.drains.insert(host, Drain { since: proposal.at, deadline, by: by.clone() }),
        false => state.drains.remove(&host),
    };
    state.plan_version = state.index;
    emit(state, proposal.at, EventDraft::host(host, kind, message).with("by", &by));
    Ok(Reply::Host(host))
}

fn of(allocation: &Allocation, kind: &'static str, message: String) -> EventDraft {
    event(kind, &allocation.app, message)
        .on(allocation.host)
        .with("allocation", &allocation.id.to_string())
        .with("group", &allocation.group)
        .with("slot", &allocation.slot.to_string())
        .with("release", &allocation.release.to_string())
}

/// At most so many bytes of a text, at a character's end.
fn clip(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
