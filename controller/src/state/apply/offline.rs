//! Backups that a host took by itself while no controller was reachable: recorded once, as what they are.

use super::runs::{conclude, cut, finish, insert};
use crate::state::command::{Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{AppKey, Run, RunKind, RunTask, State, subject};
use omni_common::clock::Time;
use omni_common::domain::backup::{MAX_ITEMS, RunOutcome, RunState};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::OfflineRun;
use std::sync::Arc;

/// Longest run that is believed, milliseconds: a year, as hosts believe of orders.
const MAX_DURATION_MS: u64 = 366 * 24 * 3600 * 1000;
/// Code of a run whose app lives elsewhere by now.
const ELSEWHERE: &str = "elsewhere";
/// Codes of runs that the leader gave up because it heard nothing.
const GIVEN_UP: [&str; 2] = ["host_lost", "timed_out"];

/// What a host says that it did, or does. Said again, it changes nothing.
pub(super) fn record(
    state: &mut State,
    host: HostId,
    told: &OfflineRun,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let known = state.runs.get(&told.id).cloned();
    if let Some(run) = &known {
        let own = run.host == Some(host) && run.kind() == RunKind::Backup;
        if !own {
            let message = format!("run {} is not this host's", told.id.short());
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
        if run.state.is_over() && !was_given_up(run, told) {
            return Ok(Reply::Done);
        }
    }
    let run = match known {
        Some(run) => run,
        None => {
            let run = check(state, host, told, proposal.at)?;
            mark(state, &run, told.due.min(proposal.at));
            let id = run.id;
            insert(state, run, proposal.at);
            state.host_runs.insert((host, id));
            state.run_generations.insert(host, state.index);
            state.runs.get(&id).cloned().expect("it was just put there")
        }
    };
    let took = told.outcome.as_ref().is_none_or(|outcome| outcome.state != RunState::Failed);
    if took {
        spare_the_second(state, &run, proposal.at);
    }
    match &told.outcome {
        Some(outcome) if outcome.state.is_over() => end(state, host, &run, outcome, proposal),
        _ => {}
    }
    Ok(Reply::Done)
}

/// Whether a run ended because nobody heard of its host, which has done it all the same.
fn was_given_up(run: &Run, told: &OfflineRun) -> bool {
    let by_leader = run.code.as_deref().is_some_and(|code| GIVEN_UP.contains(&code));
    let took = told.outcome.as_ref().map(|outcome| outcome.state);
    by_leader && matches!(took, Some(RunState::Succeeded | RunState::Partial))
}

/// A run of what a host says, when it is about something that there is.
fn check(state: &State, host: HostId, told: &OfflineRun, at: Time) -> Result<Run, Refusal> {
    let missing = |what: String| Err(Refusal::new(RefusalCode::NotFound, what));
    let Some(known) = state.hosts.get(&host) else { return missing(format!("no host `{host}`")) };
    let app = AppKey { environment: told.environment.clone(), name: told.app.clone() };
    let Some(own) = state.apps.get(&app) else {
        return missing(format!("app {app} was removed meanwhile"));
    };
    // A name that is known bounds what may be sent in its place.
    if !own.releases.values().any(|release| release.groups.contains_key(&told.group)) {
        return missing(format!("app {app} has no group `{}`", cut(&told.group)));
    }
    if !state.repositories.contains_key(&told.repository) {
        return missing(format!("repository {} was removed meanwhile", cut(&told.repository)));
    }
    if told.items.len() > MAX_ITEMS {
        return Err(Refusal::new(RefusalCode::Invalid, format!("at most {MAX_ITEMS} items")));
    }
    let task = RunTask::Backup { items: told.items.clone() };
    Ok(Run {
        app: Some(app),
        instance: Some((told.group.clone(), told.slot)),
        release: told.release,
        only: Some(host),
        host: Some(host),
        state: RunState::Running,
        given: Some(at),
        began: Some(told.began.min(at)),
        by: format!("host:{} (alone)", known.name),
        due: Some(told.due.min(at)),
        attempt: told.attempt.max(1),
        ..Run::new(told.id, task, told.repository.clone(), told.max_duration_ms.min(MAX_DURATION_MS))
    })
}

/// What it serves is served: a leader that has come back does not begin it again.
fn mark(state: &mut State, run: &Run, due: Time) {
    let mark = state.run_marks.entry((RunKind::Backup, run.subject())).or_insert(due);
    *mark = (*mark).max(due);
}

/// Runs of the same that a leader began before it heard of this one, and that no host has begun.
fn spare_the_second(state: &mut State, run: &Run, at: Time) {
    let like = |other: &Run| {
        (other.kind(), other.subject()) == (RunKind::Backup, run.subject())
            && other.id != run.id
            && other.began.is_none()
            && other.due.is_some()
    };
    let second: Vec<Arc<Run>> = state.open_runs().filter(|other| like(other)).cloned().collect();
    for other in second {
        let why = format!("its host did it by itself, as run {}", run.id.short());
        let why = (Some("served".to_owned()), Some(why));
        conclude(state, &other, RunState::Cancelled, why, Vec::new(), at);
    }
}

fn end(state: &mut State, host: HostId, run: &Arc<Run>, outcome: &RunOutcome, proposal: &Proposal) {
    if lives_here(state, host, run) {
        finish(state, run, outcome, proposal);
    } else {
        // What is newer than the app's own newest is not better: the app went on elsewhere.
        let why = format!(
            "{} lives on another host by now; what was taken lies in the repository and counts for nothing",
            subject(run.app.as_ref(), run.instance.as_ref(), "")
        );
        let why = (Some(ELSEWHERE.to_owned()), Some(why));
        conclude(state, run, RunState::Cancelled, why, Vec::new(), proposal.at);
    }
    // It was over when its host says so, not when somebody could be told.
    if let Some(over) = state.runs.get_mut(&run.id).map(Arc::make_mut) {
        over.ended = Some(outcome.ended.min(proposal.at).max(over.began.unwrap_or(Time::EPOCH)));
    }
}

/// Whether an instance runs on this host, or has its data there.
fn lives_here(state: &State, host: HostId, run: &Run) -> bool {
    let (Some(app), Some(instance)) = (&run.app, &run.instance) else { return false };
    let own = |group: &str, slot: u32| group == instance.0 && slot == instance.1;
    let homes = state.apps.get(app).and_then(|app| app.homes.get(instance));
    match homes.filter(|homes| !homes.is_empty()) {
        Some(homes) => homes.contains(&host),
        None => state
            .allocations_of(app)
            .any(|held| held.host == host && held.counts() && own(&held.group, held.slot)),
    }
}

/// Whether a host began a run by itself.
pub(crate) fn is_alone(run: &Run) -> bool {
    run.by.starts_with("host:")
}

/// Runs that hosts began by themselves and that are over.
pub(crate) fn over_alone(state: &State) -> impl Iterator<Item = RunId> {
    state.runs.values().filter(|run| run.state.is_over() && is_alone(run)).map(|run| run.id)
}
