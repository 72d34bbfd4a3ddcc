//! Runs: asked for, decided about, reported once.

use super::apps;
use super::moves;
use super::records::{EventDraft, emit};
use super::snapshots;
use crate::state::command::{Proposal, Refusal, RefusalCode, Reply, RunStep};
use crate::state::model::{
    Allocation, App, AppKey, Checked, Goal, HostStatus, MAX_OPEN_RUNS, MAX_RUNS, MAX_RUNS_OF_KIND,
    OldDataWhy, Rescued, RestoreInto, Run, RunKind, RunTask, State,
};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::domain::backup::{ItemOutcome, MAX_ITEMS, RunOutcome, RunState};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::{MAX_RUN_FACTS, MAX_RUN_MISSING, MAX_RUN_TEXT, RunReport};
use std::sync::Arc;

/// Code of a check that found damage.
const DAMAGED: &str = "damaged";
/// Code of a run that did not find its snapshots.
const SNAPSHOT_MISSING: &str = "snapshot_missing";

/// Runs that a person or program asks for: all of them, or none.
pub(super) fn start(
    state: &mut State,
    runs: &[Run],
    stop: bool,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let begun = runs.iter().map(|run| begin(state, run, stop, proposal));
    let begun = begun.collect::<Result<Vec<_>, _>>()?;
    match begun.is_empty() {
        true => Err(Refusal::new(RefusalCode::Invalid, "there is nothing to run")),
        false => Ok(Reply::Runs(begun)),
    }
}

fn begin(state: &mut State, new: &Run, stop: bool, proposal: &Proposal) -> Result<RunId, Refusal> {
    let mut run = new.clone();
    if state.open_runs.len() >= MAX_OPEN_RUNS {
        let message = format!("{MAX_OPEN_RUNS} runs wait or run already; cancel some, or wait for them");
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    if let Some(missing) = run.repositories().find(|name| !state.repositories.contains_key(*name)) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no repository `{missing}`")));
    }
    if run.is_in_place() {
        make_way(state, &mut run, stop, proposal)?;
    } else if let Some(app) =
        run.app.as_ref().filter(|app| !app.is_controllers() && !state.apps.contains_key(*app))
    {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no app `{app}`")));
    }
    if run.kind() == RunKind::Backup
        && let Some(app) = &run.app
    {
        // It would keep what the move waits for from being taken.
        moves::expect_none(state, app)?;
    }
    run.by = proposal.actor.name.clone();
    let id = run.id;
    insert(state, run, proposal.at);
    Ok(id)
}

/// Data is put back only where nothing runs: an app that runs is stopped for it when that was said.
fn make_way(state: &mut State, run: &mut Run, stop: bool, proposal: &Proposal) -> Result<(), Refusal> {
    let Some(key) = run.app.clone() else {
        return Err(Refusal::new(RefusalCode::Invalid, "data of an app goes back into an app"));
    };
    let app = apps::existing(state, &key)?;
    expect_no_restore(state, &key)?;
    moves::expect_none(state, &key)?;
    match app.goal {
        Goal::Stop => {}
        Goal::Run if stop => {
            apps::set_goal(state, &key, Goal::Stop, None, proposal)?;
            if let RunTask::Restore { start, .. } = &mut run.task {
                *start = true;
            }
        }
        Goal::Run => {
            let message = format!(
                "app {key} runs; restoring over its data stops it meanwhile: confirm that, or restore into a folder"
            );
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
        Goal::Remove | Goal::Purge => {
            return Err(Refusal::new(RefusalCode::Conflict, format!("app {key} is being removed")));
        }
    }
    Ok(())
}

/// Refuses what would start an app whose data is being put back.
pub(super) fn expect_no_restore(state: &State, key: &AppKey) -> Result<(), Refusal> {
    let busy = state.open_runs().find(|run| run.is_in_place() && run.app.as_ref() == Some(key));
    match busy {
        None => Ok(()),
        Some(run) => {
            let message = format!(
                "data of {key} is being restored by run {}; wait for it, or cancel it with `omni backup cancel`",
                run.id.short()
            );
            Err(Refusal::new(RefusalCode::Conflict, message))
        }
    }
}

/// Gives a run up. Its host notices, because it is no longer named.
pub(super) fn cancel(state: &mut State, id: RunId, proposal: &Proposal) -> Result<Reply, Refusal> {
    let Some(run) = state.runs.get(&id).cloned() else {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no run `{id}`")));
    };
    if run.state.is_over() {
        let message = format!("run {} is over: {}", id.short(), run.state);
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    let untouched = run.host.is_none();
    let why = format!("given up by {}", proposal.actor.name);
    conclude(state, &run, RunState::Cancelled, (None, Some(why)), Vec::new(), proposal.at);
    // Nothing was written yet, so the app goes on with what it had.
    if untouched {
        start_again(state, &run, proposal);
    }
    Ok(Reply::Runs(vec![id]))
}

/// Carries out what the leader decided; what is out of date is passed over.
pub(super) fn adopt(state: &mut State, steps: &[RunStep], proposal: &Proposal) -> Reply {
    for step in steps {
        step_of(state, step, proposal);
    }
    Reply::Done
}

fn step_of(state: &mut State, step: &RunStep, proposal: &Proposal) -> Option<()> {
    let open = |state: &State, id: &RunId| state.runs.get(id).filter(|run| !run.state.is_over()).cloned();
    match step {
        RunStep::Start(run) => {
            let fresh = !state.runs.contains_key(&run.id) && state.open_runs.len() < MAX_OPEN_RUNS;
            let known = run.repositories().all(|name| state.repositories.contains_key(name));
            if fresh && known && !is_served(state, run) {
                insert(state, Run::clone(run), proposal.at);
            }
        }
        RunStep::Mark { kind, subject, at } => {
            let mark = state.run_marks.entry((*kind, subject.clone())).or_insert(*at);
            *mark = (*mark).max(*at);
        }
        RunStep::Give { run, host } => give(state, &*open(state, run)?, *host, proposal.at)?,
        RunStep::Wait { run, why } => {
            let mut run = Run::clone(&*open(state, run)?);
            run.message = Some(cut(why));
            state.runs.insert(run.id, Arc::new(run));
        }
        RunStep::TakeBack { run, why } => {
            let mut run = Run::clone(&*open(state, run)?);
            let host = run.host.take()?;
            (run.state, run.given, run.began) = (RunState::Queued, None, None);
            run.message = Some(cut(why));
            unname(state, host, &run.id);
            put(state, run);
        }
        RunStep::End { run, state: how, code, why } => {
            let run = open(state, run)?;
            conclude(state, &run, *how, (Some(code.clone()), Some(why.clone())), Vec::new(), proposal.at);
            // Nobody was at its data yet.
            if run.host.is_none() {
                start_again(state, &run, proposal);
            }
        }
    }
    Some(())
}

/// Whether what a run is to do was begun already: the leader that decided it may not have seen that yet.
fn is_served(state: &State, run: &Run) -> bool {
    let subject = run.subject();
    let like = |other: &Run| (other.kind(), &other.to) == (run.kind(), &run.to) && other.subject() == subject;
    let marked = state.run_marks.get(&(run.kind(), subject.clone())).copied();
    let served = run.attempt == 1 && run.due.is_some_and(|due| marked.is_some_and(|mark| mark >= due));
    served || state.open_runs().any(|other| like(other))
}

/// A run goes to a host, unless its repository is not free for it any more.
fn give(state: &mut State, run: &Run, host: HostId, at: Time) -> Option<()> {
    let able = state.hosts.contains_key(&host) && state.runners.contains(&host);
    if run.host.is_some() || !able || !is_free(state, run) {
        return None;
    }
    let mut run = run.clone();
    (run.host, run.given, run.message) = (Some(host), Some(at), None);
    state.host_runs.insert((host, run.id));
    state.run_generations.insert(host, state.index);
    state.runs.insert(run.id, Arc::new(run));
    Some(())
}

/// Whether no other run that has been given to a host keeps this one off its repositories: what needs one alone shares it
/// with nobody.
fn is_free(state: &State, run: &Run) -> bool {
    let shares = |other: &Run| {
        (run.kind().is_exclusive() || other.kind().is_exclusive())
            && run.repositories().any(|own| other.repositories().any(|one| one == own))
    };
    !state.open_runs().any(|other| other.id != run.id && other.is_given() && shares(other))
}

/// What a host says. Heard again after it was recorded, or from a host that has the run no more, it changes nothing.
pub(super) fn record(state: &mut State, host: HostId, report: &RunReport, proposal: &Proposal) -> Reply {
    let Some(run) = state.runs.get(&report.run).cloned() else { return Reply::Done };
    if run.state.is_over() || run.host != Some(host) {
        return Reply::Done;
    }
    match &report.outcome {
        None if run.state == RunState::Running => {}
        None => {
            let mut run = Run::clone(&run);
            (run.state, run.began) = (RunState::Running, Some(proposal.at));
            state.runs.insert(run.id, Arc::new(run));
        }
        Some(outcome) if !outcome.state.is_over() => {}
        Some(outcome) => finish(state, &run, outcome, proposal),
    }
    Reply::Done
}

pub(super) fn finish(state: &mut State, run: &Arc<Run>, outcome: &RunOutcome, proposal: &Proposal) {
    let items = bounded(&outcome.items);
    snapshots::note(state, run, &items, proposal.at);
    let mut begun = Run::clone(run);
    begun.began = begun.began.or(Some(outcome.began));
    let (code, message) = (outcome.code.as_deref().map(cut), outcome.message.as_deref().map(cut));
    conclude(state, &Arc::new(begun), outcome.state, (code.clone(), message), items, proposal.at);
    if code.as_deref() == Some(SNAPSHOT_MISSING) {
        snapshots::not_found(state, run);
    }
    let whole = outcome.state == RunState::Succeeded;
    match &run.task {
        RunTask::Check { .. } if whole || code.as_deref() == Some(DAMAGED) => {
            let checked = Checked { at: proposal.at, passed: whole, run: run.id };
            if let Some(repository) = state.repositories.get_mut(&run.repository).map(Arc::make_mut) {
                (repository.checked, repository.checks) = (Some(checked), repository.checks + 1);
            }
        }
        RunTask::Prune if whole => {
            if let Some(repository) = state.repositories.get_mut(&run.repository).map(Arc::make_mut) {
                repository.pruned = Some(proposal.at);
            }
        }
        RunTask::Restore { into: RestoreInto::NewHome { from }, .. } if whole => {
            move_home(state, run, *from, proposal.at);
        }
        RunTask::Restore { .. } if whole => start_again(state, run, proposal),
        _ => {}
    }
}

/// An app that was stopped for a restore runs again.
fn start_again(state: &mut State, run: &Run, proposal: &Proposal) {
    let (RunTask::Restore { start: true, .. }, Some(app)) = (&run.task, &run.app) else { return };
    // A person may have removed it meanwhile: then there is nothing to start.
    apps::set_goal(state, app, Goal::Run, None, proposal).ok();
}

/// The data of a lost host is on another one now, and the instance belongs there. If the old host came back meanwhile, its
/// own data is the better one and nothing changes.
fn move_home(state: &mut State, run: &Run, from: HostId, at: Time) {
    let (Some(key), Some(instance), Some(to)) = (&run.app, &run.instance, run.host) else { return };
    let Some(down) = state.hosts.get(&from).filter(|host| host.status == HostStatus::Down) else { return };
    let (down, lost) = (down.status_since, down.name.clone());
    let Some(app) = state.apps.get(key).filter(|app| app.goal == Goal::Run) else { return };
    let runs = |held: &Allocation| (&held.group, held.slot) == (&instance.0, instance.1) && held.counts();
    let here = app.homes.get(instance).is_some_and(|homes| homes.len() == 1 && homes.contains(&from));
    if !here || state.allocations_of(key).any(|held| runs(held)) {
        return;
    }
    let taken = run.taken.unwrap_or(run.created);
    let mut app = App::clone(app);
    app.homes.insert(instance.clone(), [to].into());
    app.rescued.insert(instance.clone(), Rescued { from, to, taken, down, at, run: run.id });
    state.apps.insert(key.clone(), Arc::new(app));
    state.plan_version = state.index;
    moves::note_old(state, key, instance.clone(), (from, to), OldDataWhy::Rescued, at);
    let name = state.hosts.get(&to).map_or("a removed host", |host| host.name.as_str());
    let message = format!(
        "{} comes back on {name} with data of {taken}; what it wrote in the {} s before {lost} was lost is gone",
        run.subject(),
        down.since(taken).as_secs()
    );
    let draft = EventDraft::new("app", "app.rescued", message)
        .on(to)
        .with("app", &key.name)
        .with("environment", &key.environment)
        .with("run", &run.id.to_string());
    emit(state, at, draft);
}

/// An instance may come back with older data than its app allows, this once: the next loss is asked about again.
pub(super) fn accept_loss(
    state: &mut State,
    key: &AppKey,
    group: &str,
    slot: u32,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = apps::existing(state, key)?;
    let instance = (group.to_owned(), slot);
    let homes = app.homes.get(&instance).into_iter().flatten();
    let lost = |host: &HostId| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Down);
    if !homes.into_iter().any(lost) {
        let message = format!(
            "the data of {key} {group}.{slot} is on no host that is down; there is nothing to accept"
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    // No later than the moment from which losses are counted.
    app.accepted_loss.insert(instance, state.now);
    state.apps.insert(key.clone(), Arc::new(app));
    let message = format!("{key} {group}.{slot} may come back with older data than its app allows");
    let draft = EventDraft::new("app", "app.loss_accepted", message)
        .with("app", &key.name)
        .with("environment", &key.environment)
        .with("by", &proposal.actor.name);
    emit(state, proposal.at, draft);
    Ok(Reply::Done)
}

/// Whether the agent of a host does runs.
pub(super) fn record_runner(state: &mut State, host: HostId, able: bool) -> Reply {
    if able && state.hosts.contains_key(&host) {
        state.runners.insert(host);
    } else {
        state.runners.remove(&host);
    }
    Reply::Done
}

/// A host is gone, and what it was doing with it.
pub(super) fn forget_host(state: &mut State, host: HostId, proposal: &Proposal) {
    let here: Vec<_> = state.runs_on(host).cloned().collect();
    for run in here {
        let why = (Some("host_removed".to_owned()), Some("its host was removed".to_owned()));
        conclude(state, &run, RunState::Failed, why, Vec::new(), proposal.at);
    }
    state.runners.remove(&host);
    state.run_generations.remove(&host);
    moves::forget_host(state, host);
}

/// Nothing is known of what became of any run.
pub(super) fn give_all_up(state: &mut State, code: &str, why: &str, at: Time) {
    let open: Vec<_> = state.open_runs().cloned().collect();
    for run in open {
        let why = (Some(code.to_owned()), Some(why.to_owned()));
        conclude(state, &run, RunState::Cancelled, why, Vec::new(), at);
    }
}

/// An app is gone. Its snapshots stay known: they are there.
pub(super) fn forget_app(state: &mut State, app: &AppKey, at: Time) {
    let own: Vec<_> = state.open_runs().filter(|run| run.app.as_ref() == Some(app)).cloned().collect();
    for run in own {
        let why = (Some("app_removed".to_owned()), Some("its app was removed".to_owned()));
        conclude(state, &run, RunState::Cancelled, why, Vec::new(), at);
    }
    state.backup_policies.remove(app);
    moves::forget_app(state, app);
    let (whole, part) = (app.to_string(), format!("{app} "));
    let marks: Vec<_> = state
        .run_marks
        .keys()
        .filter(|(_, subject)| *subject == whole || subject.starts_with(&part))
        .cloned()
        .collect();
    for mark in marks {
        state.run_marks.remove(&mark);
    }
}

pub(super) fn insert(state: &mut State, mut run: Run, at: Time) {
    run.created = at;
    state.open_runs.insert(run.id);
    state.runs.insert(run.id, Arc::new(run));
}

fn put(state: &mut State, run: Run) {
    state.runs.insert(run.id, Arc::new(run));
}

fn unname(state: &mut State, host: HostId, id: &RunId) {
    state.host_runs.remove(&(host, *id));
    state.run_generations.insert(host, state.index);
}

/// Ends a run.
pub(super) fn conclude(
    state: &mut State,
    run: &Run,
    how: RunState,
    (code, message): (Option<String>, Option<String>),
    items: Vec<ItemOutcome>,
    at: Time,
) {
    let mut over = run.clone();
    (over.state, over.ended, over.code, over.message) = (how, Some(at), code, message);
    moves::run_ended(state, &over, &items);
    let plain = |item: ItemOutcome| ItemOutcome { facts: std::collections::BTreeMap::new(), ..item };
    over.items = items.into_iter().map(plain).collect();
    tell(state, &over, at);
    if let Some(host) = over.host {
        unname(state, host, &over.id);
    }
    state.open_runs.remove(&over.id);
    put(state, over);
    forget_oldest(state, run);
}

/// The event about the end of a run.
fn tell(state: &mut State, run: &Run, at: Time) {
    let kind = run.kind();
    let (event, how) = match (run.state, kind) {
        (RunState::Succeeded, RunKind::Backup) => ("backup.done", "is done"),
        (RunState::Succeeded, RunKind::Restore) => ("restore.done", "is done"),
        (RunState::Succeeded, RunKind::Drill) => ("drill.passed", "passed"),
        (RunState::Succeeded, RunKind::Move) => ("move.run", "is done"),
        (RunState::Succeeded, _) => ("backup.upkeep", "is done"),
        (RunState::Partial, RunKind::Drill) => {
            ("drill.unproven", "brought all back, which could not all be probed")
        }
        (RunState::Partial, _) => ("backup.partial", "is done with parts missing"),
        (RunState::Cancelled, _) => ("backup.cancelled", "was given up"),
        (_, RunKind::Restore) => ("restore.failed", "failed"),
        (_, RunKind::Drill) => ("drill.failed", "failed"),
        (_, RunKind::Check) => ("check.failed", "failed"),
        (_, RunKind::Move) => ("move.run_failed", "failed"),
        _ => ("backup.failed", "failed"),
    };
    let place =
        run.to.as_deref().map_or_else(|| run.repository.clone(), |to| format!("{} to {to}", run.repository));
    let reason = run.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    let message = match run.app {
        Some(_) => format!("{kind} of {} ({place}) {how}{reason}", run.subject()),
        None => format!("{kind} of repository {} {how}{reason}", run.repository),
    };
    let alone = super::offline::is_alone(run);
    let message = if alone { format!("{message} (its host began it by itself)") } else { message };
    let mut draft = EventDraft::new("backup", event, message)
        .with("run", &run.id.to_string())
        .with("repository", &run.repository);
    if alone {
        draft = draft.with("by", &run.by);
    }
    if let Some(app) = &run.app {
        draft = draft.with("app", &app.name).with("environment", &app.environment);
    }
    if let Some(host) = run.host {
        draft = draft.on(host);
    }
    emit(state, at, draft);
}

/// Runs that are over beyond the bounds are forgotten, the oldest first.
fn forget_oldest(state: &mut State, run: &Run) {
    let over = |run: &Run| run.state.is_over();
    let like = |other: &Run| {
        other.kind() == run.kind()
            && other.app == run.app
            && (run.app.is_some() || other.repository == run.repository)
    };
    let oldest = |runs: &mut dyn Iterator<Item = &Arc<Run>>| {
        runs.map(|run| (run.ended, run.id)).min().map(|(_, id)| id)
    };
    if state.runs.values().filter(|one| over(one) && like(one)).count() > MAX_RUNS_OF_KIND
        && let Some(id) = oldest(&mut state.runs.values().filter(|one| over(one) && like(one)))
    {
        state.runs.remove(&id);
    }
    if state.runs.len() - state.open_runs.len() > MAX_RUNS
        && let Some(id) = oldest(&mut state.runs.values().filter(|one| over(one)))
    {
        state.runs.remove(&id);
    }
}

/// An account of items with its bounds kept, whoever sent it.
fn bounded(items: &[ItemOutcome]) -> Vec<ItemOutcome> {
    let (mut facts, mut missing) = (MAX_RUN_FACTS, MAX_RUN_MISSING);
    let mut take = |item: &ItemOutcome| {
        let mut item = item.clone();
        let short = |text: &String| text.len() <= MAX_RUN_TEXT;
        item.facts =
            item.facts.into_iter().filter(|(key, value)| short(key) && short(value)).take(facts).collect();
        facts -= item.facts.len();
        item.missing = item.missing.iter().take(missing).map(|path| cut(path)).collect();
        missing -= item.missing.len();
        item.message = item.message.as_deref().map(cut);
        item.snapshot =
            item.snapshot.filter(|id| id.len() <= 64 && id.chars().all(|c| c.is_ascii_hexdigit()));
        item
    };
    items.iter().take(MAX_ITEMS).map(&mut take).collect()
}

/// The beginning of a text that may be long.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_RUN_TEXT {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_RUN_TEXT - '…'.len_utf8());
    format!("{}…", &text[..end])
}

/// Whether anything of an app may still write to its data.
pub(crate) fn is_quiet(state: &State, key: &AppKey) -> bool {
    let down = |host: &HostId| state.hosts.get(host).is_none_or(|host| host.status == HostStatus::Down);
    !state
        .allocations_of(key)
        .any(|held| held.state != AllocationState::Stopped && !(held.lost && down(&held.host)))
}
