//! Apps: releases, moves between them, what is wanted of them.

use super::records::{EventDraft, emit};
use super::{moves, runs};
use crate::state::command::{NewRelease, Proposal, Refusal, RefusalCode, Reply, Steer};
use crate::state::model::{
    Allocation, App, AppKey, Content, Deployment, DeploymentState, Goal, MAX_APPS, MAX_CONTENT,
    MAX_DEPLOYMENTS, MAX_RELEASES, Mode, Release, State,
};
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::check_name;
use omni_common::ids::DeploymentId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most instances of a group that can be asked for.
pub(super) const MAX_REPLICAS: u32 = 10_000;

pub(super) fn create_release(
    state: &mut State,
    new: &NewRelease,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    check_name(&new.app.name).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    if !state.environments.contains_key(&new.app.environment) {
        let hint = "make it with `omni environments create`, or choose another with --env";
        let message = format!("there is no environment `{}`; {hint}", new.app.environment);
        return Err(Refusal::new(RefusalCode::NotFound, message));
    }
    let mut app = match state.apps.get(&new.app) {
        Some(app) => App::clone(app),
        None => first(state, &new.app, proposal.at)?,
    };
    expect_revision(&app, new.expect)?;
    if matches!(app.goal, Goal::Remove | Goal::Purge) {
        let message = format!("app {} is being removed; deploy it again when it is gone", new.app);
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    if new.deployment.is_some() {
        runs::expect_no_restore(state, &new.app)?;
        moves::expect_none(state, &new.app)?;
    }
    keep_contents(state, new)?;
    let number = app.next_release;
    app.next_release += 1;
    let release = Release {
        number,
        created: proposal.at,
        author: proposal.actor.name.clone(),
        source: new.source.clone(),
        note: new.note.clone(),
        spec: new.spec.clone(),
        files: new.files.clone(),
        groups: new.groups.clone(),
    };
    app.releases.insert(number, Arc::new(release));
    app.revision = state.index;
    let draft = event("release.created", &app.key, format!("release {number} of {} was made", app.key));
    emit(state, proposal.at, draft.with("by", &proposal.actor.name).with("release", &number.to_string()));
    if let Some(id) = new.deployment {
        start_move(state, &mut app, id, number, false, proposal);
    }
    forget_releases(state, &mut app);
    put(state, app);
    Ok(Reply::Release(number))
}

fn first(state: &State, key: &AppKey, at: Time) -> Result<App, Refusal> {
    if state.apps.len() >= MAX_APPS {
        let message = format!("there are {MAX_APPS} apps already; remove some first");
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    Ok(App::new(key.clone(), at))
}

/// Takes in the contents that are new, and counts the release as a user of all that it names.
fn keep_contents(state: &mut State, new: &NewRelease) -> Result<(), Refusal> {
    for (digest, sealed) in &new.contents {
        if !state.contents.contains_key(digest) {
            state.contents_size += sealed.len() as u64;
            state.contents.insert(digest.clone(), Arc::new(Content { sealed: sealed.clone(), used: 0 }));
        }
    }
    if state.contents_size > MAX_CONTENT {
        let message = format!(
            "the files of all releases together would be over {} MiB; remove apps that are not needed, or put large files into an image or a volume",
            MAX_CONTENT >> 20
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    for digest in named(&new.spec, &new.files) {
        let content = state.contents.get_mut(&digest).map(Arc::make_mut);
        let content = content.ok_or_else(|| {
            Refusal::new(RefusalCode::Conflict, format!("content {digest} is not here; send it again"))
        })?;
        content.used += 1;
    }
    Ok(())
}

fn named(spec: &ContentDigest, files: &[ContentDigest]) -> BTreeSet<ContentDigest> {
    files.iter().chain([spec]).cloned().collect()
}

/// Forgets the oldest releases beyond [`MAX_RELEASES`] that nothing needs.
fn forget_releases(state: &mut State, app: &mut App) {
    let mut needed: BTreeSet<u64> = state.allocations_of(&app.key).map(|running| running.release).collect();
    needed.insert(app.release);
    let open = app.open_deployment();
    needed.extend(open.and_then(|deployment| deployment.from));
    needed.extend(open.and_then(|deployment| app.falls_back_to(deployment)));
    let spare: Vec<u64> = app.releases.keys().copied().filter(|number| !needed.contains(number)).collect();
    let excess = app.releases.len().saturating_sub(MAX_RELEASES);
    for number in spare.into_iter().take(excess) {
        if let Some(release) = app.releases.remove(&number) {
            release_contents(state, &release);
        }
    }
}

fn release_contents(state: &mut State, release: &Release) {
    for digest in named(&release.spec, &release.files) {
        let Some(content) = state.contents.get_mut(&digest).map(Arc::make_mut) else { continue };
        content.used = content.used.saturating_sub(1);
        if content.used == 0 {
            state.contents_size = state.contents_size.saturating_sub(content.sealed.len() as u64);
            state.contents.remove(&digest);
        }
    }
}

pub(super) fn move_app(
    state: &mut State,
    key: &AppKey,
    id: DeploymentId,
    to: u64,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = standing(state, key)?;
    expect_revision(&app, expect)?;
    runs::expect_no_restore(state, key)?;
    moves::expect_none(state, key)?;
    if !app.releases.contains_key(&to) {
        let kept: Vec<String> = app.releases.keys().map(u64::to_string).collect();
        let message = format!("app {key} has no release {to}; it has {}", kept.join(", "));
        return Err(Refusal::new(RefusalCode::NotFound, message));
    }
    let back = to < app.release;
    start_move(state, &mut app, id, to, back, proposal);
    app.revision = state.index;
    put(state, app);
    Ok(Reply::Release(to))
}

pub(super) fn restart(
    state: &mut State,
    key: &AppKey,
    id: DeploymentId,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = standing(state, key)?;
    runs::expect_no_restore(state, key)?;
    moves::expect_none(state, key)?;
    app.round += 1;
    let to = app.release;
    start_move(state, &mut app, id, to, false, proposal);
    app.revision = state.index;
    put(state, app);
    Ok(Reply::Release(to))
}

/// Begins a move, which supersedes one that is under way. The app runs again if it was stopped.
pub(super) fn start_move(
    state: &mut State,
    app: &mut App,
    id: DeploymentId,
    to: u64,
    back: bool,
    proposal: &Proposal,
) {
    end_open(app, DeploymentState::Superseded, None, None, proposal.at);
    let from = (app.release != 0).then_some(app.release);
    let by = proposal.actor.name.clone();
    let key = app.key.clone();
    let what = match (from, back) {
        (None, _) => format!("{key} is deployed with release {to}"),
        (Some(from), _) if from == to => format!("{key} is restarted with release {to}"),
        (Some(from), true) => format!("{key} goes back from release {from} to {to}"),
        (Some(from), false) => format!("{key} moves from release {from} to {to}"),
    };
    let draft = event("deployment.started", &key, what).with("deployment", &id.to_string()).with("by", &by);
    emit(state, proposal.at, draft.with("release", &to.to_string()));
    app.deployments.push(Deployment {
        id,
        from,
        to,
        back,
        promoted: false,
        state: DeploymentState::Running,
        started: proposal.at,
        since: proposal.at,
        by,
        reason: None,
        log: None,
    });
    if app.deployments.len() > MAX_DEPLOYMENTS {
        app.deployments.remove(0);
    }
    app.release = to;
    app.goal = Goal::Run;
    app.failures.clear();
}

/// Ends the open deployment, if there is one; returns it as it is then.
pub(super) fn end_open(
    app: &mut App,
    how: DeploymentState,
    reason: Option<String>,
    log: Option<String>,
    at: Time,
) -> Option<&Deployment> {
    let open = app.deployments.last_mut().filter(|deployment| deployment.state.is_open())?;
    open.state = how;
    open.since = at;
    open.reason = reason;
    open.log = log;
    Some(open)
}

pub(super) fn set_goal(
    state: &mut State,
    key: &AppKey,
    goal: Goal,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = match goal {
        // A removal that was asked for without the data may be followed by one with it.
        Goal::Remove | Goal::Purge => existing(state, key)?,
        Goal::Run | Goal::Stop => standing(state, key)?,
    };
    expect_revision(&app, expect)?;
    if goal != Goal::Stop {
        runs::expect_no_restore(state, key)?;
    }
    moves::expect_none(state, key)?;
    let (kind, what) = match goal {
        Goal::Run => ("app.started", "is to run"),
        Goal::Stop => ("app.stopped", "is to stop; its data stays"),
        Goal::Remove => ("app.removed", "is being removed; its volumes stay"),
        Goal::Purge => ("app.removed", "is being removed with its volumes"),
    };
    if goal != Goal::Run {
        end_open(&mut app, DeploymentState::Superseded, None, None, proposal.at);
    }
    let half_moved = app.deployment().is_some_and(|newest| newest.state == DeploymentState::Superseded);
    app.goal = goal;
    app.revision = state.index;
    if goal == Goal::Purge {
        told_anew(state, key);
        moves::all_goes(state, key);
    }
    emit(state, proposal.at, event(kind, key, format!("{key} {what}")).with("by", &proposal.actor.name));
    if goal == Goal::Run && half_moved {
        // It was stopped in the middle of a move, which has yet to show that its release works.
        let to = app.release;
        start_move(state, &mut app, DeploymentId(proposal.request.0), to, false, proposal);
    }
    put(state, app);
    Ok(Reply::Done)
}

/// What was told to stop is told again: an answer to the first word says nothing about the second.
fn told_anew(state: &mut State, key: &AppKey) {
    let stopping: Vec<_> = state.allocations_of(key).filter(|held| !held.run).cloned().collect();
    for held in stopping {
        let epoch = state.index;
        state.generations.insert(held.host, epoch);
        state.allocations.insert(held.id, Arc::new(Allocation { epoch, ..Allocation::clone(&held) }));
    }
}

pub(super) fn scale(
    state: &mut State,
    key: &AppKey,
    replicas: &BTreeMap<String, Option<u32>>,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = standing(state, key)?;
    expect_revision(&app, expect)?;
    moves::expect_none(state, key)?;
    for (name, count) in replicas {
        check_scale(&app, name, *count)?;
        match count {
            Some(count) => app.scale.insert(name.clone(), *count),
            None => app.scale.remove(name),
        };
        let wanted = count.map_or_else(|| "as its release says".to_owned(), |count| count.to_string());
        let draft = event("app.scaled", key, format!("{key}: {name} is to have {wanted} instances"));
        emit(state, proposal.at, draft.with("by", &proposal.actor.name));
    }
    app.revision = state.index;
    put(state, app);
    Ok(Reply::Done)
}

fn check_scale(app: &App, name: &str, count: Option<u32>) -> Result<(), Refusal> {
    let invalid = |message| Err(Refusal::new(RefusalCode::Invalid, message));
    let Some(group) = app.wanted().and_then(|release| release.groups.get(name)) else {
        return Err(Refusal::new(RefusalCode::NotFound, format!("app {} has no group `{name}`", app.key)));
    };
    if group.mode == Mode::Global {
        return invalid(format!("{name} runs once on each host that fits; it has no number of instances"));
    }
    match count {
        Some(count) if count > MAX_REPLICAS => {
            invalid(format!("at most {MAX_REPLICAS} instances of a group"))
        }
        Some(count) if count > 1 && group.exclusive => invalid(format!(
            "{name} has data of its own, which two instances cannot share; say `x-omni.exclusive: false` if it is not written to"
        )),
        _ => Ok(()),
    }
}

pub(super) fn steer(
    state: &mut State,
    key: &AppKey,
    deployment: DeploymentId,
    back: DeploymentId,
    what: Steer,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let mut app = existing(state, key)?;
    let at = proposal.at;
    let Some(open) = app.deployments.last_mut().filter(|own| own.id == deployment && own.state.is_open())
    else {
        let message = format!("deployment {} of {key} is over", deployment.short());
        return Err(Refusal::new(RefusalCode::Conflict, message));
    };
    let (kind, said) = match what {
        Steer::Pause => {
            (open.state, open.since) = (DeploymentState::Paused, at);
            open.reason = Some(format!("paused by {}", proposal.actor.name));
            ("deployment.paused", "is paused")
        }
        Steer::Resume => {
            (open.state, open.since, open.reason) = (DeploymentState::Running, at, None);
            // What failed is tried again.
            app.failures.clear();
            ("deployment.resumed", "goes on")
        }
        Steer::Promote => {
            (open.state, open.since, open.reason) = (DeploymentState::Running, at, None);
            open.promoted = true;
            ("deployment.promoted", "goes on without waiting for health")
        }
        Steer::Abort => ("deployment.aborted", "was given up"),
    };
    let open = open.clone();
    // A way back is given up for where it came from.
    let back_to = if open.back { None } else { app.falls_back_to(&open) }.or(open.from);
    let draft = event(kind, key, format!("the deployment of {key} {said}"));
    emit(state, at, draft.with("deployment", &deployment.to_string()).with("by", &proposal.actor.name));
    if what == Steer::Abort {
        let reason = Some(format!("given up by {}", proposal.actor.name));
        end_open(&mut app, DeploymentState::Aborted, reason, None, at);
        match back_to.filter(|to| app.releases.contains_key(to)) {
            Some(to) => start_move(state, &mut app, back, to, true, proposal),
            None => app.goal = Goal::Stop,
        }
    }
    app.revision = state.index;
    put(state, app);
    Ok(Reply::Done)
}

/// Forgets an app with all its releases.
pub(super) fn forget(state: &mut State, key: &AppKey, at: Time) {
    let Some(app) = state.apps.remove(key) else { return };
    for release in app.releases.values() {
        release_contents(state, release);
    }
    runs::forget_app(state, key, at);
    emit(state, at, event("app.gone", key, format!("{key} is gone")));
}

pub(super) fn event(kind: &'static str, key: &AppKey, message: String) -> EventDraft {
    let topic = if kind.starts_with("allocation") { "allocation" } else { "app" };
    EventDraft::new(topic, kind, message).with("app", &key.name).with("environment", &key.environment)
}

pub(super) fn existing(state: &State, key: &AppKey) -> Result<App, Refusal> {
    let app = state.apps.get(key).map(|app| App::clone(app));
    app.ok_or_else(|| Refusal::new(RefusalCode::NotFound, format!("there is no app {key}")))
}

/// An app that is not on its way out.
fn standing(state: &State, key: &AppKey) -> Result<App, Refusal> {
    let app = existing(state, key)?;
    if matches!(app.goal, Goal::Remove | Goal::Purge) {
        return Err(Refusal::new(RefusalCode::Conflict, format!("app {key} is being removed")));
    }
    Ok(app)
}

/// Stores a changed app, which makes every plan of before stale.
pub(super) fn put(state: &mut State, app: App) {
    state.apps.insert(app.key.clone(), Arc::new(app));
    state.plan_version = state.index;
}

fn expect_revision(app: &App, expect: Option<u64>) -> Result<(), Refusal> {
    match expect {
        Some(expected) if expected != app.revision => {
            let message = match (expected, app.revision) {
                (0, _) => format!("app {} exists already", app.key),
                (_, 0) => format!("there is no app {} any more", app.key),
                _ => format!("app {} was changed meanwhile; look at it again and repeat", app.key),
            };
            Err(Refusal::new(RefusalCode::RevisionMismatch, message))
        }
        _ => Ok(()),
    }
}
