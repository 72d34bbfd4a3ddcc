//! All decisions of one moment, as the steps of one command.

use super::foreign::Foreign;
use super::gate::{End, Filling, Gate, gate};
use super::problem::{next_forgotten, next_overdue, problem};
use crate::state::command::PlanStep;
use crate::state::{
    Allocation, App, AppKey, DeploymentState, Goal, GpuGrant, Group, HostStatus, Move, MoveStage, OldDataKey,
    State,
};
use omni_common::clock::Time;
use omni_common::ids::{AllocationId, DeploymentId, HostId};
use omni_scheduler as sched;
use sched::{Slot, Step};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most steps in one command; the rest follows with the next plan.
const MAX_STEPS: usize = 1_000;

/// What is done now, and why what is wanted is not.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Steps, to be adopted as one.
    pub steps: Vec<PlanStep>,
    /// The scheduler's plan, with what waits and why.
    pub plan: sched::Plan,
    /// When to decide again, though nothing may have changed by then.
    pub again: Option<Time>,
}

/// Ids for what a plan makes.
pub trait Ids {
    /// For an allocation.
    fn allocation(&mut self) -> AllocationId;
    /// For a deployment.
    fn deployment(&mut self) -> DeploymentId;
}

/// Decides everything that can be decided about `state` at `now`.
pub fn decide(state: &State, foreign: &BTreeMap<HostId, Foreign>, now: Time, ids: &mut dyn Ids) -> Decision {
    let mut decision = Decision::default();
    // Moments in the state come from other clocks than ours.
    let now = now.max(state.now);
    let gates = gates(state, foreign, now);
    for (key, gate) in &gates {
        decision.again = earlier(decision.again, gate.again);
        decision.steps.extend(gate.end.as_ref().and_then(|end| conclude(state, key, end, ids)));
    }
    decision.again = earlier(earlier(decision.again, next_overdue(state, now)), next_forgotten(state, now));
    decision.steps.extend(purges(state, ids));
    decision.steps.extend(old_data(state, ids));
    decision.steps.extend(moved_away(state));
    decision.steps.extend(forgotten(state));
    decision.plan = held_back(state, sched::plan(&problem(state, &gates, foreign, now)));
    let placed = decision.plan.steps.iter().filter_map(|step| carry(state, step, ids));
    decision.steps.extend(placed.flatten());
    decision.steps.truncate(MAX_STEPS);
    decision
}

/// The mesh in the scheduler's terms, for questions about it.
pub fn problem_of(state: &State, foreign: &BTreeMap<HostId, Foreign>, now: Time) -> sched::Problem {
    problem(state, &gates(state, foreign, now), foreign, now)
}

/// What each open deployment does now. An empty slot that is about to be filled is one that it waits for, while one that
/// nothing can fill holds up nobody; which is which, the scheduler knows.
fn gates(state: &State, foreign: &BTreeMap<HostId, Foreign>, now: Time) -> BTreeMap<AppKey, Gate> {
    let gates = gates_with(state, &BTreeMap::new(), now);
    let goes_on = |gate: &Gate| !gate.renew.is_empty() || matches!(gate.end, Some(End::Done(_)));
    if !gates.values().any(goes_on) {
        return gates;
    }
    match filling(state, foreign, now) {
        filling if filling.keys().any(|key| gates.contains_key(key)) => gates_with(state, &filling, now),
        _ => gates,
    }
}

/// The empty slots that the scheduler fills when nothing is renewed, now or once something has stopped.
fn filling(state: &State, foreign: &BTreeMap<HostId, Foreign>, now: Time) -> BTreeMap<AppKey, Filling> {
    let mut filling: BTreeMap<AppKey, Filling> = BTreeMap::new();
    let plan = sched::plan(&problem(state, &BTreeMap::new(), foreign, now));
    let placed = plan.steps.into_iter().filter_map(|step| match step {
        Step::Place { placement, .. } => Some((placement.group, placement.slot)),
        _ => None,
    });
    let waiting = plan.waiting.into_iter().filter_map(|waiting| match waiting.why {
        sched::Wait::Stopping(..) => Some((waiting.group, waiting.slot)),
        _ => None,
    });
    for (key, slot) in placed.chain(waiting) {
        if let Some(app) = state.find_app(&key.environment, &key.app) {
            filling
                .entry(app.key.clone())
                .or_default()
                .entry(key.group.to_string())
                .or_default()
                .insert(slot);
        }
    }
    filling
}

fn gates_with(state: &State, filling: &BTreeMap<AppKey, Filling>, now: Time) -> BTreeMap<AppKey, Gate> {
    let none = Filling::new();
    let open = state.apps.values().filter(|app| app.open_deployment().is_some());
    open.map(|app| (app.key.clone(), gate(state, app, filling.get(&app.key).unwrap_or(&none), now))).collect()
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn conclude(state: &State, key: &AppKey, end: &End, ids: &mut dyn Ids) -> Option<PlanStep> {
    let deployment = state.apps.get(key)?.open_deployment()?.id;
    let step =
        |how, reason, log| PlanStep::Conclude { app: key.clone(), deployment, state: how, reason, log };
    Some(match end.clone() {
        End::Done(reason) => step(DeploymentState::Done, reason, None),
        End::Pause(failure) => step(DeploymentState::Paused, Some(failure.reason), failure.log),
        End::Fail(failure) => step(DeploymentState::Failed, Some(failure.reason), failure.log),
        End::RollBack(failure) => PlanStep::RollBack {
            app: key.clone(),
            deployment,
            back: ids.deployment(),
            reason: failure.reason,
            log: failure.log,
        },
    })
}

/// Data that goes with its app and of which nobody has been told yet.
fn purges(state: &State, ids: &mut dyn Ids) -> Vec<PlanStep> {
    let going = state.apps.values().filter(|app| app.goal == Goal::Purge);
    let homes = going.flat_map(|app| data_left(state, app).map(move |home| (app, home)));
    let unseen = homes.filter(|(app, ((group, slot), host))| {
        let there =
            |held: &Arc<Allocation>| held.group == *group && held.slot == *slot && held.host == **host;
        !state.allocations_of(&app.key).any(there)
    });
    unseen
        .map(|(app, ((group, slot), host))| PlanStep::Purge {
            id: ids.allocation(),
            app: app.key.clone(),
            group: group.clone(),
            slot: *slot,
            host: *host,
        })
        .collect()
}

/// Old data that is to go, on hosts that can be told so, and of which nobody has been told yet.
fn old_data(state: &State, ids: &mut dyn Ids) -> Vec<PlanStep> {
    let up = |host: &HostId| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Up);
    let going = state.old_data.iter().filter(|(place, old)| old.going && up(&place.host));
    let step = |(place, _): (&OldDataKey, _)| {
        let OldDataKey { app, instance: (group, slot), host } = place;
        let known = state.apps.get(app)?;
        let home = known.homes.get(&place.instance).is_some_and(|homes| homes.contains(host));
        let here = |held: &Arc<Allocation>| held.host == *host && held.group == *group && held.slot == *slot;
        let free = !home && !state.allocations_of(app).any(here);
        free.then(|| PlanStep::Purge {
            id: ids.allocation(),
            app: app.clone(),
            group: group.clone(),
            slot: *slot,
            host: *host,
        })
    };
    going.filter_map(step).collect()
}

/// What stops because its app moves to another host. The scheduler would stop it too, and say that nobody wants it.
fn moved_away(state: &State) -> Vec<PlanStep> {
    let held = |open: &Arc<Move>| {
        let name = state.hosts.get(&open.to).map_or("a removed host", |host| host.name.as_str());
        let why = match open.stage {
            MoveStage::Returning => format!("it goes back from {name}"),
            _ => format!("it moves to {name}"),
        };
        let own = state.allocations_of(&open.app).filter(|held| held.run && open.holds(&held.group));
        own.map(|held| PlanStep::Stop { id: held.id, why: why.clone() }).collect::<Vec<_>>()
    };
    state.moves.values().filter(|one| one.stage.holds_still()).flat_map(held).collect()
}

/// Where an app's data is, as far as those hosts belong to the mesh: with a host that was removed its data is out of reach.
fn data_left<'a>(state: &'a State, app: &'a App) -> impl Iterator<Item = (&'a (String, u32), &'a HostId)> {
    let places = app.homes.iter().flat_map(|(home, hosts)| hosts.iter().map(move |host| (home, host)));
    places.filter(|(_, host)| state.hosts.contains_key(*host))
}

/// The plan without what has to wait for another group of the same app. The scheduler knows groups and not what becomes of
/// them from one release to the next.
fn held_back(state: &State, mut plan: sched::Plan) -> sched::Plan {
    for step in std::mem::take(&mut plan.steps) {
        match &step {
            Step::Stop { allocation, why: sched::StopWhy::NotWanted, .. }
                if state.allocations.get(&allocation.id).is_some_and(|held| serves_on(state, held)) => {}
            Step::Place { placement, .. } => match writer(state, placement) {
                None => plan.steps.push(step),
                Some(held) => plan.waiting.push(waits_for(state, placement, held)),
            },
            Step::Renew { placement, .. } if let Some(held) = writer(state, placement) => {
                plan.waiting.push(waits_for(state, placement, held));
            }
            _ => plan.steps.push(step),
        }
    }
    plan
}

/// Whether an instance of a group that the wanted release has no more is kept until that release is proven: until then
/// there may be a way back. What holds data or ports that the release needs makes way at once.
fn serves_on(state: &State, held: &Allocation) -> bool {
    let Some(app) = state.apps.get(&held.app).filter(|app| app.goal == Goal::Run) else { return false };
    let (Some(_), Some(wanted)) = (app.open_deployment(), app.wanted()) else { return false };
    let Some(own) = app.group_of(held) else { return false };
    let needs =
        |group: &Group| group.shares_data(own) || group.ports.iter().any(|port| own.ports.contains(port));
    !wanted.groups.contains_key(&held.group) && !wanted.groups.values().any(|group| needs(group))
}

/// An instance of another group that may still write to the data of the one that is to be placed.
fn writer<'a>(state: &'a State, placement: &sched::Placement) -> Option<&'a Allocation> {
    let key = &placement.group;
    let app = state.find_app(&key.environment, &key.app)?;
    let group = app.wanted()?.groups.get(&*key.group).filter(|group| group.exclusive)?;
    let slot = number(placement.slot);
    let others = state.allocations_of(&app.key).filter(|held| held.group != *key.group);
    let up =
        |held: &Allocation| state.hosts.get(&held.host).is_some_and(|host| host.status != HostStatus::Down);
    others.map(Arc::as_ref).find(|held| up(held) && app.shares_data(group, (slot, placement.host.id), held))
}

/// An instance's number; of one on each host there is only the first.
fn number(slot: Slot) -> u32 {
    match slot {
        Slot::Replica(number) => number,
        Slot::Host(_) => 0,
    }
}

fn waits_for(state: &State, placement: &sched::Placement, held: &Allocation) -> sched::Waiting {
    let name = state.hosts.get(&held.host).map_or("a removed host", |host| host.name.as_str());
    let of = sched::AllocationRef {
        id: held.id,
        group: sched::GroupKey::new(&held.app.environment, &held.app.name, &held.group),
        slot: Slot::Replica(held.slot),
        epoch: held.epoch,
    };
    let host = sched::HostRef { id: held.host, name: name.into() };
    sched::Waiting {
        group: placement.group.clone(),
        slot: placement.slot,
        host: Some(placement.host.clone()),
        why: sched::Wait::Stopping(Box::new(of), host),
    }
}

/// Apps that are to go and of which nothing is left.
fn forgotten(state: &State) -> impl Iterator<Item = PlanStep> {
    let going = state.apps.values().filter(|app| matches!(app.goal, Goal::Remove | Goal::Purge));
    going
        .filter(|app| state.allocations_of(&app.key).next().is_none())
        .filter(|app| app.goal == Goal::Remove || nothing_left(state, app))
        .map(|app| PlanStep::Forget { app: app.key.clone() })
}

fn nothing_left(state: &State, app: &App) -> bool {
    data_left(state, app).next().is_none() && state.old_data_of(&app.key).next().is_none()
}

/// A step of the scheduler's in the terms of the state.
fn carry(state: &State, step: &Step, ids: &mut dyn Ids) -> Option<Vec<PlanStep>> {
    Some(match step {
        Step::Lose { allocation, .. } => vec![PlanStep::Lose { id: allocation.id }],
        Step::Stop { allocation, why, .. } => {
            vec![PlanStep::Stop { id: allocation.id, why: why.to_string() }]
        }
        Step::Place { placement, why } => vec![place(state, placement, why, ids)?],
        Step::Move { placement, why, .. } => vec![place(state, placement, why, ids)?],
        Step::Renew { allocation, placement } => {
            let app = state.find_app(&placement.group.environment, &placement.group.app)?;
            let gpus = placement.gpus.iter().map(grant).collect();
            vec![PlanStep::Renew { id: allocation.id, release: app.release, gpus }]
        }
    })
}

fn grant(grant: &sched::GpuGrant) -> GpuGrant {
    GpuGrant { uuid: grant.uuid.to_string(), memory: grant.memory, share: grant.share }
}

fn place(
    state: &State,
    placement: &sched::Placement,
    why: &sched::PlaceWhy,
    ids: &mut dyn Ids,
) -> Option<PlanStep> {
    let key = &placement.group;
    let app = state.find_app(&key.environment, &key.app)?;
    Some(PlanStep::Place {
        id: ids.allocation(),
        app: app.key.clone(),
        group: key.group.to_string(),
        slot: number(placement.slot),
        host: placement.host.id,
        release: app.release,
        gpus: placement.gpus.iter().map(grant).collect(),
        why: why.to_string(),
    })
}
