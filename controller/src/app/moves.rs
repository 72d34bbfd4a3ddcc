//! Moves of apps to other hosts: what moves, whether it can, and through which repository.

use super::apps::find_app;
use super::backups::host_name;
use super::hosts::find_host;
use super::{App, AppError, Call, View};
use crate::backup::{Outline, Policy};
use crate::rollout;
use crate::state::{
    Allocation, App as AppState, Command, Goal, Group, Leg, Mode, Move, MoveStage, OldDataKey, OldDataWhy,
    Refusal, RefusalCode, State,
};
use omni_common::api::v1::{
    self as api, AppView, ConfirmMove, MoveLegView, MovePlan, MoveView, OldDataReason, OldDataView, StartMove,
};
use omni_common::clock::Time;
use omni_common::domain::backup::Take;
use omni_common::ids::{HostId, MoveId};
use omni_scheduler::{GroupKey, Index, Slot};
use std::collections::BTreeSet;

fn conflict(message: impl Into<String>) -> AppError {
    AppError::Refused(Refusal::new(RefusalCode::Conflict, message))
}

/// What a move comes to.
struct Found {
    wanted: Move,
    notes: Vec<String>,
}

impl App {
    /// What a move would do.
    pub fn plan_move(
        &self,
        state: &State,
        environment: &str,
        name: &str,
        body: &StartMove,
    ) -> Result<MovePlan, AppError> {
        Ok(plan(state, self.found_move(state, environment, name, body)?))
    }

    /// Moves an app.
    pub async fn start_move(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        body: &StartMove,
    ) -> Result<View<MovePlan>, AppError> {
        let before = self.store.current();
        let shown = self.plan_move(&before, environment, name, body);
        let build = |state: &State| {
            let wanted = self.found_move(state, environment, name, body)?.wanted;
            Ok(Command::StartMove(Box::new(wanted)))
        };
        let written = self.write(call, build).await?;
        let state = &written.state;
        let app = find_app(state, environment, name)?;
        let moving = state.moves.get(&app.key).map(|one| move_view(state, one));
        // Asked again under the same key, it is under way already and cannot be planned once more.
        let body = match (shown, state.moves.get(&app.key)) {
            (Ok(shown), _) => MovePlan { moving, ..shown },
            (Err(_), Some(one)) => {
                let found = Found { wanted: Move::clone(one), notes: Vec::new() };
                MovePlan { moving, ..plan(state, found) }
            }
            (Err(error), None) => return Err(error),
        };
        Ok(View { index: state.index, body })
    }

    /// Says that old data may go.
    pub async fn confirm_move(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        body: &ConfirmMove,
    ) -> Result<View<AppView>, AppError> {
        if body.hosts.is_empty() {
            return Err(AppError::invalid("/hosts", "say on which hosts old data may go"));
        }
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            let hosts = body.hosts.iter().map(|host| Ok(find_host(state, host)?.id));
            let hosts: BTreeSet<HostId> = hosts.collect::<Result<_, AppError>>()?;
            Ok(Command::ConfirmMove { app, hosts: hosts.into_iter().collect() })
        };
        self.changed(call, environment, name, build).await
    }

    /// Gives a move up, or takes it back.
    pub async fn return_move(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
    ) -> Result<View<AppView>, AppError> {
        let build = |state: &State| Ok(Command::ReturnMove(find_app(state, environment, name)?.key.clone()));
        self.changed(call, environment, name, build).await
    }

    fn found_move(
        &self,
        state: &State,
        environment: &str,
        name: &str,
        body: &StartMove,
    ) -> Result<Found, AppError> {
        let app = find_app(state, environment, name)?;
        let to = find_host(state, &body.to)?;
        may_move(state, app)?;
        let (outline, policy) = self.outlined(state, app)?;
        let (groups, notes) = meant(app, body)?;
        let mut found = Found {
            wanted: Move {
                id: MoveId::mint(),
                app: app.key.clone(),
                to: to.id,
                repository: None,
                release: app.release,
                legs: Vec::new(),
                stage: MoveStage::Copying,
                since: Time::EPOCH,
                started: Time::EPOCH,
                by: String::new(),
                stopped: None,
                healthy: None,
                reason: None,
            },
            notes,
        };
        for (group, known) in groups {
            let held = runs(state, app, group)?;
            if held.host == to.id {
                found.notes.push(format!("{group} runs on {} already", to.name));
                continue;
            }
            let data = outline.moved.contains_key(group) || !known.volumes.is_empty();
            let key = OldDataKey { app: app.key.clone(), instance: (group.clone(), held.slot), host: to.id };
            let old = state.old_data.get(&key);
            if old.is_some_and(|old| old.going) {
                let message =
                    format!("old data of {group} is being removed on {}; wait until it is gone", to.name);
                return Err(conflict(message));
            }
            found.wanted.legs.push(Leg {
                group: group.clone(),
                slot: held.slot,
                from: held.host,
                data,
                replace: old.is_some(),
                run: None,
                ended: None,
                items: Vec::new(),
            });
        }
        if found.wanted.legs.is_empty() {
            return Err(conflict(format!("{} runs on {} already; nothing is to move", app.key, to.name)));
        }
        together(app, &found.wanted)?;
        self.fits(state, app, &found.wanted)?;
        if found.wanted.with_data().next().is_some() {
            able(state, &found.wanted)?;
            portable(state, &outline, &found.wanted)?;
            found.wanted.repository =
                Some(through(state, &found.wanted, body.repository.as_deref(), &policy)?);
            found.notes.extend(left_for_good(state, &found.wanted));
        } else if body.repository.is_some() {
            return Err(AppError::invalid("/repository", format!("{} has no data to bring along", app.key)));
        }
        Ok(found)
    }

    /// What the scheduler says of the host, as if the data were there.
    fn fits(&self, state: &State, app: &AppState, wanted: &Move) -> Result<(), AppError> {
        let mut problem = rollout::problem_of(state, &self.foreign(), self.clock.now());
        let moves = |key: &GroupKey| {
            *key.environment == *app.key.environment
                && *key.app == *app.key.name
                && wanted.legs.iter().any(|leg| *leg.group == *key.group)
        };
        for group in problem.groups.iter_mut().filter(|group| moves(&group.key)) {
            group.volumes.clear();
        }
        let index = Index::new(problem);
        for leg in &wanted.legs {
            let key = GroupKey::new(&app.key.environment, &app.key.name, &leg.group);
            let verdicts = index.explain(&key, Some(Slot::Replica(leg.slot))).unwrap_or_default();
            let verdict = verdicts.iter().find(|verdict| verdict.host.id == wanted.to);
            let Some(verdict) = verdict.filter(|verdict| !verdict.eligible) else { continue };
            let against: Vec<&str> =
                verdict.filters.iter().filter_map(|filter| filter.miss.as_deref()).collect();
            return Err(conflict(format!(
                "host {} cannot take {} of {}: {}",
                verdict.host.name,
                leg.group,
                app.key,
                against.join("; ")
            )));
        }
        Ok(())
    }
}

fn may_move(state: &State, app: &AppState) -> Result<(), AppError> {
    let key = &app.key;
    match app.goal {
        Goal::Run => {}
        Goal::Stop => {
            let message =
                format!("app {key} does not run; start it with `omni start {}`, then move it", key.name);
            return Err(conflict(message));
        }
        Goal::Remove | Goal::Purge => return Err(conflict(format!("app {key} is being removed"))),
    }
    if app.open_deployment().is_some() {
        return Err(conflict(format!("a deployment of {key} is under way; move it when that is over")));
    }
    match state.open_move(key) {
        Some(open) => Err(conflict(format!(
            "{key} is being moved to {} ({}); wait for it, or give it up with `omni move {} --back`",
            host_name(state, open.to),
            open.stage.as_str(),
            key.name
        ))),
        None => Ok(()),
    }
}

type Meant<'a> = Vec<(&'a String, &'a Group)>;

/// The groups that are to move, and what is to be said about others.
fn meant<'a>(app: &'a AppState, body: &StartMove) -> Result<(Meant<'a>, Vec<String>), AppError> {
    let release = app.wanted().ok_or_else(|| AppError::not_found("release", app.key.to_string()))?;
    let names = || release.groups.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let named = match (&body.group, &body.service) {
        (Some(_), Some(_)) => return Err(AppError::invalid("/service", "say either `group` or `service`")),
        (Some(group), None) if !release.groups.contains_key(group) => {
            return Err(AppError::invalid("/group", format!("there is no `{group}`; there is {}", names())));
        }
        (Some(group), None) => Some(group.clone()),
        (None, Some(service)) => {
            let of = release.groups.iter().find(|(_, group)| group.services.contains(service));
            let (group, _) = of.ok_or_else(|| {
                AppError::invalid("/service", format!("no group of {} has a service `{service}`", app.key))
            })?;
            Some(group.clone())
        }
        (None, None) => None,
    };
    let (mut groups, mut notes) = (Vec::new(), Vec::new());
    for (name, group) in &release.groups {
        if named.as_ref().is_some_and(|named| named != name) {
            continue;
        }
        let why = match (group.mode, app.replicas(name, group)) {
            (Mode::Replicated(_), Some(1)) => {
                groups.push((name, &**group));
                continue;
            }
            (Mode::Replicated(_), count) => {
                format!("{name} has {} instances, and only what runs once can be moved", count.unwrap_or(0))
            }
            (Mode::Global, _) => format!("{name} runs once on each host that fits"),
        };
        // An app of which data stays behind has not been moved.
        if named.is_some() || !group.volumes.is_empty() && matches!(group.mode, Mode::Replicated(_)) {
            return Err(AppError::invalid("/group", why));
        }
        notes.push(format!("{why}: it stays as it is"));
    }
    Ok((groups, notes))
}

/// The one instance of a group, which has to be well: a move ends with a look at its health.
fn runs<'a>(state: &'a State, app: &AppState, group: &str) -> Result<&'a Allocation, AppError> {
    let mut own = state.allocations_of(&app.key).filter(|held| held.group == group && held.counts());
    let held =
        own.next().ok_or_else(|| conflict(format!("{group} of {} runs nowhere at present", app.key)))?;
    if own.next().is_some() {
        return Err(conflict(format!("{group} of {} is on its way to another host already", app.key)));
    }
    match held.is_healthy() {
        true => Ok(held),
        false => Err(conflict(format!(
            "{group} of {} is {} and not healthy; move it once it is well",
            app.key, held.state
        ))),
    }
}

/// What shares data moves together.
fn together(app: &AppState, wanted: &Move) -> Result<(), AppError> {
    let Some(release) = app.wanted() else { return Ok(()) };
    let moves = |name: &String| wanted.legs.iter().any(|leg| leg.group == *name);
    for leg in &wanted.legs {
        let Some(own) = release.groups.get(&leg.group) else { continue };
        let other = release.groups.iter().find(|(name, group)| !moves(name) && group.shares_data(own));
        if let Some((other, _)) = other {
            return Err(conflict(format!(
                "{} and {other} share data, and can only move together",
                leg.group
            )));
        }
    }
    Ok(())
}

/// Both hosts take part.
fn able(state: &State, wanted: &Move) -> Result<(), AppError> {
    let mut hosts = wanted.with_data().map(|leg| leg.from).chain([wanted.to]);
    match hosts.find(|host| !state.runners.contains(host)) {
        Some(host) => Err(conflict(format!(
            "the agent of host {} does no backups, by which data moves: is restic there?",
            host_name(state, host)
        ))),
        None => Ok(()),
    }
}

/// A database's own files are for one kind of machine.
fn portable(state: &State, outline: &Outline, wanted: &Move) -> Result<(), AppError> {
    let arch = |host: HostId| {
        let facts = state.hosts.get(&host).and_then(|host| host.facts.as_ref());
        facts.map(|facts| facts.arch.clone()).unwrap_or_default()
    };
    let to = arch(wanted.to);
    for leg in wanted.with_data().filter(|leg| arch(leg.from) != to) {
        let items = outline.groups.get(&leg.group).into_iter().flatten();
        let mut dumped = items.filter(|item| {
            matches!(item.take, Take::Postgres { .. } | Take::Mariadb { .. } | Take::Redis { .. })
        });
        if dumped.next().is_some() {
            return Err(conflict(format!(
                "{} has a database, whose files are of {} and may not be readable on {}, which is {to}: restore its backup there instead",
                leg.group,
                arch(leg.from),
                host_name(state, wanted.to)
            )));
        }
    }
    Ok(())
}

/// The repository that was named, or the best that all hosts reach.
fn through(state: &State, wanted: &Move, named: Option<&str>, policy: &Policy) -> Result<String, AppError> {
    if let Some(name) = named {
        let known = state.repositories.get(name).ok_or_else(|| AppError::not_found("repository", name))?;
        if let Some(only) = known.host {
            let detail =
                format!("only {} reaches {name}; name one that both hosts reach", host_name(state, only));
            return Err(AppError::invalid("/repository", detail));
        }
        return Ok(known.name.clone());
    }
    let sound = state
        .repositories
        .values()
        .filter(|known| known.host.is_none() && known.checked.as_ref().is_none_or(|checked| checked.passed));
    let region = state.hosts.get(&wanted.to).and_then(|host| host.region.clone());
    // What the app's backups go to holds most of it already.
    let rank = |known: &&std::sync::Arc<crate::state::BackupRepository>| {
        let own = policy.to.as_ref() == Some(&known.name);
        let near = region.is_some() && known.region == region;
        (!own, known.append_only, !near, known.name.clone())
    };
    let best = sound.min_by_key(rank).map(|known| known.name.clone());
    best.ok_or_else(|| {
        conflict(format!(
            "data moves through a repository, and there is none that both {} and {} reach; add one with `omni backup repo add`",
            wanted.with_data().next().map(|leg| host_name(state, leg.from)).unwrap_or_default(),
            host_name(state, wanted.to)
        ))
    })
}

fn left_for_good(state: &State, wanted: &Move) -> Option<String> {
    let known = state.repositories.get(wanted.repository.as_ref()?)?;
    known.append_only.then(|| format!("{} is append-only: what goes through it stays in it", known.name))
}

fn plan(state: &State, found: Found) -> MovePlan {
    let Found { wanted, mut notes } = found;
    let to = host_name(state, wanted.to);
    let steps = steps(state, &wanted, &to);
    for leg in wanted.legs.iter().filter(|leg| leg.replace) {
        notes.push(format!("old data of {} on {to} is replaced", leg.group));
    }
    MovePlan {
        environment: wanted.app.environment.clone(),
        app: wanted.app.name.clone(),
        to: wanted.to,
        to_name: to,
        repository: wanted.repository.clone(),
        legs: wanted.legs.iter().map(|leg| leg_view(state, leg)).collect(),
        steps,
        notes,
        moving: None,
    }
}

/// What is done, as people read it.
fn steps(state: &State, wanted: &Move, to: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let list = |legs: Vec<&Leg>| {
        legs.iter().map(|leg| format!("{}.{}", leg.group, leg.slot)).collect::<Vec<_>>().join(", ")
    };
    let data: Vec<&Leg> = wanted.with_data().collect();
    if let (Some(first), Some(repository)) = (data.first(), &wanted.repository) {
        let (from, what) = (host_name(state, first.from), list(data.clone()));
        steps.push(format!("copy the data of {what} on {from} to {repository}, while it runs"));
        steps.push(format!("see whether {to} has room for it, and fetch its images there"));
        steps.push(format!("stop {what}"));
        steps.push(format!("copy what has changed since to {repository}"));
        steps.push(format!("bring all of it to {to} and compare it"));
        steps.push(format!(
            "start {what} on {to} and wait until it is healthy; if that fails, go back to {from}"
        ));
        steps.push(format!("keep the old volumes on {from} until `omni move {} --confirm`", wanted.app.name));
    }
    let rest: Vec<&Leg> = wanted.legs.iter().filter(|leg| !leg.data).collect();
    if !rest.is_empty() {
        steps
            .push(format!("start {} on {to}, and stop what runs elsewhere once that is healthy", list(rest)));
    }
    steps
}

fn leg_view(state: &State, leg: &Leg) -> MoveLegView {
    MoveLegView {
        group: leg.group.clone(),
        slot: leg.slot,
        from: leg.from,
        from_name: host_name(state, leg.from),
        data: leg.data,
        replaces: leg.replace,
        run: leg.run,
    }
}

pub(super) fn move_view(state: &State, one: &Move) -> MoveView {
    MoveView {
        id: one.id,
        to: one.to,
        to_name: host_name(state, one.to),
        repository: one.repository.clone(),
        legs: one.legs.iter().map(|leg| leg_view(state, leg)).collect(),
        stage: stage(one.stage),
        since: one.since,
        started: one.started,
        by: one.by.clone(),
        stopped: one.stopped,
        healthy: one.healthy,
        reason: one.reason.clone(),
        progress: None,
    }
}

fn stage(stage: MoveStage) -> api::MoveStage {
    match stage {
        MoveStage::Copying => api::MoveStage::Copying,
        MoveStage::Preparing => api::MoveStage::Preparing,
        MoveStage::Stopping => api::MoveStage::Stopping,
        MoveStage::Syncing => api::MoveStage::Syncing,
        MoveStage::Filling => api::MoveStage::Filling,
        MoveStage::Starting => api::MoveStage::Starting,
        MoveStage::Returning => api::MoveStage::Returning,
        MoveStage::Settled => api::MoveStage::Settled,
        MoveStage::Confirmed => api::MoveStage::Confirmed,
        MoveStage::Failed => api::MoveStage::Failed,
        MoveStage::Returned => api::MoveStage::Returned,
    }
}

/// What an app has left behind.
pub(super) fn old_data(state: &State, app: &AppState) -> Vec<OldDataView> {
    let view = |(key, old): (&OldDataKey, &crate::state::OldData)| {
        let group = app.wanted().and_then(|release| release.groups.get(&key.instance.0));
        OldDataView {
            group: key.instance.0.clone(),
            slot: key.instance.1,
            volumes: group.map(|group| group.volumes.clone()).unwrap_or_default(),
            host: key.host,
            host_name: host_name(state, key.host),
            since: old.since,
            why: match old.why {
                OldDataWhy::Moved => OldDataReason::Moved,
                OldDataWhy::Rescued => OldDataReason::Rescued,
                OldDataWhy::Unused => OldDataReason::Unused,
                OldDataWhy::TriedHere => OldDataReason::TriedHere,
            },
            going: old.going,
        }
    };
    state.old_data_of(&app.key).map(view).collect()
}

/// Why something of an app that moves does not run.
pub(super) fn waits(state: &State, one: &Move) -> String {
    let to = host_name(state, one.to);
    match one.stage {
        MoveStage::Starting => format!("it is about to start on {to}, where it moves"),
        MoveStage::Returning => format!("it stops on {to}, to go back where it was"),
        _ => format!("it moves to {to}, and its data is on the way ({})", one.stage.as_str()),
    }
}
