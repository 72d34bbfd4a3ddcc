//! Moves of apps between hosts: asked for, carried on by the leader, confirmed or taken back; and data left behind.

use super::apps::{self, event};
use super::records::emit;
use super::runs;
use crate::state::command::{MoveStep, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{
    App, AppKey, Goal, HostStatus, Leg, LegEnd, MAX_LEGS, MAX_OPEN_RUNS, Move, MoveStage, MovedItem, OldData,
    OldDataKey, OldDataWhy, Run, RunTask, State,
};
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemOutcome, RunState};
use omni_common::ids::{AllocationId, HostId};
use std::collections::BTreeSet;
use std::sync::Arc;

fn refused(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal::new(code, message)
}

/// A move that somebody asks for.
pub(super) fn start(state: &mut State, wanted: &Move, proposal: &Proposal) -> Result<Reply, Refusal> {
    let key = &wanted.app;
    let app = apps::existing(state, key)?;
    if app.goal != Goal::Run {
        let message =
            format!("app {key} does not run; start it with `omni start {}`, then move it", key.name);
        return Err(refused(RefusalCode::Conflict, message));
    }
    if app.open_deployment().is_some() {
        let message = format!("a deployment of {key} is under way; move it when that is over");
        return Err(refused(RefusalCode::Conflict, message));
    }
    expect_none(state, key)?;
    runs::expect_no_restore(state, key)?;
    let host = state.hosts.get(&wanted.to);
    let host = host.ok_or_else(|| refused(RefusalCode::NotFound, format!("no host {}", wanted.to)))?;
    let name = host.name.clone();
    if host.status != HostStatus::Up {
        return Err(refused(RefusalCode::Conflict, format!("host {name} is {}", host.status.as_str())));
    }
    check_legs(state, &app, wanted)?;
    let made = Move {
        release: app.release,
        stage: if wanted.with_data().next().is_some() { MoveStage::Copying } else { MoveStage::Starting },
        since: proposal.at,
        started: proposal.at,
        by: proposal.actor.name.clone(),
        ..wanted.clone()
    };
    let what = format!("{key} moves to {name}");
    let draft = event("app.move_started", key, what).on(wanted.to).with("by", &proposal.actor.name);
    emit(state, proposal.at, draft.with("move", &wanted.id.to_string()));
    state.moves.insert(key.clone(), Arc::new(made));
    state.plan_version = state.index;
    Ok(Reply::Done)
}

/// The plan of whoever asks may be older than the state.
fn check_legs(state: &State, app: &App, wanted: &Move) -> Result<(), Refusal> {
    if wanted.legs.is_empty() || wanted.legs.len() > MAX_LEGS {
        return Err(refused(RefusalCode::Invalid, format!("a move takes 1 to {MAX_LEGS} instances along")));
    }
    let changed = || {
        let message = format!("where {} runs has changed meanwhile; look at the plan again", app.key);
        refused(RefusalCode::Conflict, message)
    };
    for leg in &wanted.legs {
        let known = app.wanted().is_some_and(|release| release.groups.contains_key(&leg.group));
        let runs = state
            .allocations_of(&app.key)
            .any(|held| leg.is(&held.group, held.slot) && held.counts() && held.host == leg.from);
        let home = app.homes.get(&leg.instance()).is_none_or(|homes| homes.contains(&leg.from));
        if !known || !runs || !home || leg.from == wanted.to {
            return Err(changed());
        }
    }
    let lacks = wanted.repository.as_ref().filter(|name| !state.repositories.contains_key(*name));
    match (lacks, &wanted.repository, wanted.with_data().next()) {
        (Some(name), _, _) => Err(refused(RefusalCode::NotFound, format!("no repository `{name}`"))),
        (None, None, Some(_)) => {
            Err(refused(RefusalCode::Invalid, "data moves through a repository; name one"))
        }
        _ => Ok(()),
    }
}

/// Refuses what would get in the way of a move.
pub(super) fn expect_none(state: &State, key: &AppKey) -> Result<(), Refusal> {
    let Some(open) = state.open_move(key) else { return Ok(()) };
    let message = format!(
        "{key} is being moved to {} ({}); wait for it, or give it up with `omni move {} --back`",
        host_name(state, open.to),
        open.stage.as_str(),
        key.name
    );
    Err(refused(RefusalCode::Conflict, message))
}

/// Carries out what the leader decided; what is out of date is passed over.
pub(super) fn adopt(state: &mut State, steps: &[MoveStep], proposal: &Proposal) -> Reply {
    for step in steps {
        match step {
            MoveStep::Begin { id, run } => {
                let Some(key) = &run.app else { continue };
                let open = state.open_move(key).filter(|open| open.id == *id).cloned();
                let Some(open) = open else { continue };
                begin(state, &open, run, proposal.at);
            }
            MoveStep::Enter { app, id, from, to, reason } => {
                let open = state.open_move(app).filter(|open| open.id == *id && open.stage == *from).cloned();
                let Some(open) = open else { continue };
                enter(state, &open, *to, reason.clone(), proposal.at);
            }
        }
    }
    Reply::Done
}

fn begin(state: &mut State, open: &Move, run: &Run, at: Time) -> Option<()> {
    let known = run.repositories().all(|name| state.repositories.contains_key(name));
    if state.open_runs.len() >= MAX_OPEN_RUNS || !known || state.runs.contains_key(&run.id) {
        return None;
    }
    let mut open = open.clone();
    let (group, slot) = run.instance.as_ref()?;
    let leg = open.legs.iter_mut().find(|leg| leg.is(group, *slot) && leg.run.is_none())?;
    leg.run = Some(run.id);
    state.moves.insert(open.app.clone(), Arc::new(open));
    runs::insert(state, run.clone(), at);
    Some(())
}

/// A run is over: the move that it is for learns of it, with what was taken.
pub(super) fn run_ended(state: &mut State, run: &Run, items: &[ItemOutcome]) {
    let Some(key) = run.app.as_ref() else { return };
    let Some(open) = state.open_move(key).cloned() else { return };
    let mut open = Move::clone(&open);
    let Some(leg) = open.legs.iter_mut().find(|leg| leg.run == Some(run.id)) else { return };
    leg.ended = Some(LegEnd { state: run.state, message: run.message.clone() });
    if matches!(run.task, RunTask::MoveOut { .. }) {
        leg.items = items.iter().filter_map(moved).collect();
    }
    state.moves.insert(key.clone(), Arc::new(open));
}

fn moved(item: &ItemOutcome) -> Option<MovedItem> {
    let made = matches!(item.state, RunState::Succeeded | RunState::Partial);
    Some(MovedItem {
        item: item.item.clone(),
        snapshot: item.snapshot.clone().filter(|_| made)?,
        bytes: item.bytes,
        facts: item.facts.clone(),
    })
}

/// A move enters a stage, and where data counts as being changes with it.
fn enter(state: &mut State, open: &Move, to: MoveStage, reason: Option<String>, at: Time) {
    let mut entered = open.clone();
    for leg in &mut entered.legs {
        (leg.run, leg.ended) = (None, None);
    }
    (entered.stage, entered.since) = (to, at);
    entered.reason = reason.or(entered.reason.filter(|_| to == MoveStage::Returned));
    match to {
        MoveStage::Stopping => entered.stopped = Some(at),
        MoveStage::Starting => {
            for leg in open.with_data() {
                rehome(state, &open.app, leg, leg.from, open.to);
                leave(state, &open.app, leg, (leg.from, open.to), OldDataWhy::Moved, at);
            }
        }
        MoveStage::Settled => entered.healthy = Some(at),
        MoveStage::Failed => {
            for leg in open.with_data().filter(|_| open.stage > MoveStage::Copying) {
                unused(state, open, leg, at);
            }
        }
        MoveStage::Returned => {
            for leg in open.with_data() {
                rehome(state, &open.app, leg, open.to, leg.from);
                leave(state, &open.app, leg, (open.to, leg.from), OldDataWhy::TriedHere, at);
            }
        }
        _ => {}
    }
    tell(state, &entered, at);
    state.moves.insert(open.app.clone(), Arc::new(entered));
    state.plan_version = state.index;
}

/// The data of an instance lives elsewhere from now on.
fn rehome(state: &mut State, key: &AppKey, leg: &Leg, from: HostId, to: HostId) {
    let Some(app) = state.apps.get(key) else { return };
    let mut app = App::clone(app);
    if let Some(homes) = app.homes.get_mut(&leg.instance()) {
        homes.remove(&from);
        homes.insert(to);
    }
    // What failed there before the data came has nothing to do with it, and the other way round.
    app.failures.remove(&leg.instance());
    apps::put(state, app);
}

/// What is on `from` is old now, and what is on `to` is not.
fn leave(
    state: &mut State,
    key: &AppKey,
    leg: &Leg,
    (from, to): (HostId, HostId),
    why: OldDataWhy,
    at: Time,
) {
    note_old(state, key, leg.instance(), (from, to), why, at);
}

/// The same for whoever else moves data.
pub(super) fn note_old(
    state: &mut State,
    key: &AppKey,
    instance: (String, u32),
    (from, to): (HostId, HostId),
    why: OldDataWhy,
    at: Time,
) {
    let place = |host| OldDataKey { app: key.clone(), instance: instance.clone(), host };
    state.old_data.remove(&place(to));
    if state.hosts.contains_key(&from) {
        state.old_data.insert(place(from), OldData { since: at, why, going: false, by: None });
    }
}

/// What a move that was given up has brought to its host goes again: nothing ever ran on it. Old data that was there before
/// stays what it was, unless it has been replaced.
fn unused(state: &mut State, open: &Move, leg: &Leg, at: Time) {
    let place = OldDataKey { app: open.app.clone(), instance: leg.instance(), host: open.to };
    let before = state.old_data.contains_key(&place);
    if state.hosts.contains_key(&open.to) && (!before || open.stage >= MoveStage::Filling) {
        let old = OldData { since: at, why: OldDataWhy::Unused, going: true, by: None };
        state.old_data.insert(place, old);
    }
}

/// The event about a stage that people want to hear of.
fn tell(state: &mut State, entered: &Move, at: Time) {
    let (key, to) = (&entered.app, host_name(state, entered.to));
    let because = entered.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (kind, message) = match entered.stage {
        MoveStage::Stopping => ("app.move_stopping", format!("{key} stops, to go on on {to}")),
        MoveStage::Starting => {
            ("app.move_starting", format!("the data of {key} is on {to}; it starts there"))
        }
        MoveStage::Settled => {
            let down = entered.stopped.map(|stopped| at.since(stopped).as_secs());
            let down = down.map(|secs| format!(", {secs} s after it stopped")).unwrap_or_default();
            ("app.moved", format!("{key} runs on {to}{down}{because}"))
        }
        MoveStage::Returning => ("app.move_returning", format!("{key} goes back from {to}{because}")),
        MoveStage::Failed => {
            ("app.move_failed", format!("{key} was not moved to {to} and goes on where it was{because}"))
        }
        MoveStage::Returned => (
            "app.move_returned",
            format!("{key} has left {to} and goes on with the data it had before{because}"),
        ),
        _ => return,
    };
    let draft = event(kind, key, message).on(entered.to).with("move", &entered.id.to_string());
    emit(state, at, draft.with("stage", entered.stage.as_str()));
}

/// Somebody says that old data may go.
pub(super) fn confirm(
    state: &mut State,
    key: &AppKey,
    hosts: &[HostId],
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    apps::existing(state, key)?;
    expect_none(state, key)?;
    let wanted: BTreeSet<&HostId> = hosts.iter().collect();
    let here: Vec<OldDataKey> = state
        .old_data_of(key)
        .filter(|(place, _)| wanted.contains(&place.host))
        .map(|(place, _)| place.clone())
        .collect();
    if let Some(host) = hosts.iter().find(|host| !here.iter().any(|place| place.host == **host)) {
        let message = format!("there is no old data of {key} on {}", host_name(state, *host));
        return Err(refused(RefusalCode::NotFound, message));
    }
    if here.is_empty() {
        return Err(refused(RefusalCode::Invalid, "say on which hosts old data may go"));
    }
    for place in here {
        let (group, slot) = &place.instance;
        let what = format!("old data of {key} {group}.{slot} on {} is to go", host_name(state, place.host));
        let draft = event("app.old_data_going", key, what).on(place.host).with("by", &proposal.actor.name);
        emit(state, proposal.at, draft);
        if let Some(old) = state.old_data.get_mut(&place) {
            old.going = true;
        }
    }
    let settled = state.moves.get(key).filter(|one| one.stage == MoveStage::Settled);
    if let Some(settled) = settled.filter(|one| !can_return(state, one)) {
        let mut confirmed = Move::clone(settled);
        (confirmed.stage, confirmed.since) = (MoveStage::Confirmed, proposal.at);
        state.moves.insert(key.clone(), Arc::new(confirmed));
    }
    state.plan_version = state.index;
    Ok(Reply::Done)
}

/// Whether everything that a move has left behind is still there to go back to.
fn can_return(state: &State, settled: &Move) -> bool {
    settled.with_data().all(|leg| {
        let place = OldDataKey { app: settled.app.clone(), instance: leg.instance(), host: leg.from };
        state.old_data.get(&place).is_some_and(|old| !old.going && old.why == OldDataWhy::Moved)
    })
}

/// Gives a move up, or takes it back.
pub(super) fn back(state: &mut State, key: &AppKey, proposal: &Proposal) -> Result<Reply, Refusal> {
    apps::existing(state, key)?;
    let conflict = |message: String| Err(refused(RefusalCode::Conflict, message));
    let Some(one) = state.moves.get(key).cloned() else {
        return conflict(format!("{key} has not been moved; there is nothing to go back to"));
    };
    let why = Some(format!("given up by {}", proposal.actor.name));
    match one.stage {
        stage if stage.is_before_start() => {
            give_up_runs(state, &one, proposal.at);
            // Its runs are over now, and the move knows.
            let one = state.moves.get(key).cloned().unwrap_or(one);
            enter(state, &one, MoveStage::Failed, why, proposal.at);
        }
        MoveStage::Starting => enter(state, &one, MoveStage::Returning, why, proposal.at),
        MoveStage::Returning => return conflict(format!("{key} is on its way back already")),
        MoveStage::Settled => {
            may_go_back(state, &one)?;
            let why = Some(format!("taken back by {}", proposal.actor.name));
            enter(state, &one, MoveStage::Returning, why, proposal.at);
        }
        MoveStage::Confirmed => {
            return conflict(format!(
                "the old data of {key} was given up when the move was confirmed; move it again with `omni move {} --to HOST`",
                key.name
            ));
        }
        MoveStage::Failed | MoveStage::Returned => {
            return conflict(format!(
                "the last move of {key} is over, and the app is where it was before it"
            ));
        }
        // All that is left comes before the start.
        _ => {}
    }
    Ok(Reply::Done)
}

fn may_go_back(state: &State, settled: &Move) -> Result<(), Refusal> {
    let key = &settled.app;
    let conflict = |message: String| Err(refused(RefusalCode::Conflict, message));
    runs::expect_no_restore(state, key)?;
    let Some(app) = state.apps.get(key).filter(|app| app.goal == Goal::Run) else {
        return conflict(format!("app {key} does not run; start it first"));
    };
    if app.open_deployment().is_some() {
        return conflict(format!("a deployment of {key} is under way; go back when that is over"));
    }
    let away = settled
        .with_data()
        .find(|leg| app.homes.get(&leg.instance()).is_some_and(|homes| !homes.contains(&settled.to)));
    if let Some(leg) = away {
        return conflict(format!(
            "{key} {}.{} has left {} since",
            leg.group,
            leg.slot,
            host_name(state, settled.to)
        ));
    }
    if !can_return(state, settled) {
        return conflict(format!("what {key} has left behind is not there any more"));
    }
    let down = |host: HostId| state.hosts.get(&host).is_none_or(|host| host.status == HostStatus::Down);
    match settled.legs.iter().find(|leg| down(leg.from)) {
        Some(leg) => conflict(format!("host {} is down; go back when it is up", host_name(state, leg.from))),
        None => Ok(()),
    }
}

fn give_up_runs(state: &mut State, one: &Move, at: Time) {
    let open = one.legs.iter().filter_map(|leg| state.runs.get(&leg.run?));
    let open: Vec<Arc<Run>> = open.filter(|run| !run.state.is_over()).cloned().collect();
    for run in open {
        let why = Some("the move was given up".to_owned());
        runs::conclude(state, &run, RunState::Cancelled, (Some("cancelled".to_owned()), why), Vec::new(), at);
    }
}

/// A host was told to remove old data of an instance.
pub(super) fn told(state: &mut State, place: &OldDataKey, by: AllocationId) {
    if let Some(old) = state.old_data.get_mut(place) {
        old.by = Some(by);
    }
}

/// A host says that nothing is left of what it was told to remove.
pub(super) fn removed(state: &mut State, place: &OldDataKey, by: AllocationId, at: Time) {
    if state.old_data.get(place).is_none_or(|old| old.by != Some(by)) {
        return;
    }
    state.old_data.remove(place);
    let (group, slot) = &place.instance;
    let what =
        format!("old data of {} {group}.{slot} on {} is gone", place.app, host_name(state, place.host));
    emit(state, at, event("app.old_data_removed", &place.app, what).on(place.host));
}

/// Everything that an app has left anywhere goes with its volumes.
pub(super) fn all_goes(state: &mut State, key: &AppKey) {
    let own: Vec<OldDataKey> = state.old_data_of(key).map(|(place, _)| place.clone()).collect();
    for place in own {
        if let Some(old) = state.old_data.get_mut(&place) {
            old.going = true;
        }
    }
}

/// An app is gone, and with it what was known of its moves. Data that it left stays where it is.
pub(super) fn forget_app(state: &mut State, key: &AppKey) {
    state.moves.remove(key);
    let own: Vec<OldDataKey> = state.old_data_of(key).map(|(place, _)| place.clone()).collect();
    for place in own {
        state.old_data.remove(&place);
    }
}

/// A host is gone, and old data on it out of reach.
pub(super) fn forget_host(state: &mut State, host: HostId) {
    let here: Vec<OldDataKey> = state.old_data.keys().filter(|place| place.host == host).cloned().collect();
    for place in here {
        state.old_data.remove(&place);
    }
}

fn host_name(state: &State, host: HostId) -> String {
    state.hosts.get(&host).map_or_else(|| "a removed host".to_owned(), |host| host.name.clone())
}
