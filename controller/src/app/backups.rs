//! Runs and snapshots: list, look at, begin, give up.

use super::apps::find_app;
use super::cursor::Paging;
use super::hosts::find_host;
use super::selectors::{allows, words};
use super::{App, AppError, Call, View};
use crate::backup::{self, Outline, Policy};
use crate::state::{
    App as AppState, AppKey, Command, Reach, Reply, Run, RunKind, RunTask, Snapshot, SnapshotKey, State,
};
use omni_common::api::v1::{self as api, Page, RunView, RunsQuery, SnapshotView, SnapshotsQuery, StartRun};
use omni_common::domain::backup::{RunProgress, RunState};
use omni_common::ids::{HostId, RunId};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// Progress that is older than this says nothing any more.
const PROGRESS_FOR: Duration = Duration::from_secs(15);
/// A check or prune that was asked for may take this long when its repository says nothing.
const UPKEEP_LENGTH: Duration = Duration::from_secs(6 * 3600);

impl App {
    /// A page of runs, newest first.
    pub fn list_runs(&self, state: &State, query: &RunsQuery) -> Result<Page<RunView>, AppError> {
        let kinds = words::<api::RunKind>("kind", query.kind.as_ref())?;
        let states = words::<RunState>("state", query.state.as_ref())?;
        let filters = RunsQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<(i64, RunId)> =
            Paging::new("runs", &filters, query.limit, query.cursor.as_deref())?;
        let wanted = |run: &&Arc<Run>| {
            let app = run.app.as_ref();
            allows(kinds.as_deref(), &run.kind().into())
                && allows(states.as_deref(), &run.state)
                && query
                    .environment
                    .as_ref()
                    .is_none_or(|name| app.is_some_and(|app| app.environment == *name))
                && query.app.as_ref().is_none_or(|name| app.is_some_and(|app| app.name == *name))
                && query.repository.as_ref().is_none_or(|name| run.repositories().any(|one| one == name))
        };
        let place = |run: &Run| (run.created.as_millis(), run.id);
        let mut runs: Vec<&Arc<Run>> = state.runs.values().filter(wanted).collect();
        runs.sort_by_key(|run| Reverse(place(run)));
        let rest = runs.into_iter().filter(|run| paging.after.is_none_or(|after| place(run) < after));
        Ok(paging.take(rest.map(|run| (place(run), self.run_view(state, run)))))
    }

    /// One run, by its id or the end of it.
    pub fn get_run(&self, state: &State, id: &str) -> Result<RunView, AppError> {
        find_run(state, id).map(|run| self.run_view(state, run))
    }

    /// Begins runs.
    pub async fn start_run(&self, call: &Call, body: &StartRun) -> Result<View<Page<RunView>>, AppError> {
        let build = |state: &State| Ok(Command::StartRuns { runs: self.asked(state, body)?, stop: false });
        let written = self.write(call, build).await?;
        let begun = begun(&written.reply);
        let runs = begun.iter().filter_map(|id| written.state.runs.get(id));
        let body = Page::whole(runs.map(|run| self.run_view(&written.state, run)).collect());
        Ok(View { index: written.state.index, body })
    }

    /// Gives a run up.
    pub async fn cancel_run(&self, call: &Call, id: &str) -> Result<View<RunView>, AppError> {
        let build = |state: &State| Ok(Command::CancelRun(find_run(state, id)?.id));
        let written = self.write(call, build).await?;
        let body = self.get_run(&written.state, id)?;
        Ok(View { index: written.state.index, body })
    }

    /// A page of snapshots, newest first within an app.
    pub fn list_snapshots(
        &self,
        state: &State,
        query: &SnapshotsQuery,
        within: Reach<'_>,
    ) -> Result<Page<SnapshotView>, AppError> {
        let filters = SnapshotsQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<SnapshotKey> =
            Paging::new("snapshots", &filters, query.limit, query.cursor.as_deref())?;
        let wanted = |(key, one): &(&SnapshotKey, &Arc<Snapshot>)| {
            within.has_app(&key.app.environment, &key.app.name)
                && query.environment.as_ref().is_none_or(|name| key.app.environment == *name)
                && query.app.as_ref().is_none_or(|name| key.app.name == *name)
                && query.repository.as_ref().is_none_or(|name| key.repository == *name)
                && query.item.as_ref().is_none_or(|name| one.item.as_str() == name)
        };
        let before = |key: &SnapshotKey| paging.after.as_ref().is_none_or(|after| key < after);
        let rest = state.snapshots.iter().rev().filter(|(key, _)| before(key)).filter(wanted);
        Ok(paging.take(rest.map(|(key, one)| (key.clone(), snapshot_view(state, key, one)))))
    }

    /// The runs that somebody asks for.
    fn asked(&self, state: &State, body: &StartRun) -> Result<Vec<Run>, AppError> {
        match body {
            StartRun::Backup { environment, app, to } if is_controllers(environment, app) => {
                let policy = backup::controllers_policy(state, self.releases.policies());
                let to = destination(state, to.as_deref(), &policy)?;
                Ok(vec![backup::controllers_backup(RunId::mint(), &to, &policy)])
            }
            StartRun::Drill { environment, app, from, host } if is_controllers(environment, app) => {
                let policy = backup::controllers_policy(state, self.releases.policies());
                let app = backup::controllers::app(state);
                self.drills_as(state, &app, &policy, from.as_deref(), host_named(state, host.as_deref())?)
            }
            StartRun::Backup { environment, app, to } => {
                let app = find_app(state, environment, app)?;
                self.backups_of(state, app, to.as_deref())
            }
            StartRun::Drill { environment, app, from, host } => {
                let app = find_app(state, environment, app)?;
                let (_, policy) = self.outlined(state, app)?;
                self.drills_as(state, app, &policy, from.as_deref(), host_named(state, host.as_deref())?)
            }
            StartRun::Check { repository, read_data } => {
                let known = find_repository(state, repository)?;
                let part = read_data.then_some((1, 1));
                let length = known.check.as_ref().map(|upkeep| upkeep.max_duration.duration());
                Ok(vec![upkeep(state, repository, RunTask::Check { part }, length.filter(|_| !read_data))?])
            }
            StartRun::Prune { repository } => {
                let known = find_repository(state, repository)?;
                if known.append_only && known.prune.is_none() {
                    let detail = format!(
                        "{repository} is append-only: apply retention where its server keeps it, with restic itself"
                    );
                    return Err(AppError::invalid("/repository", detail));
                }
                Ok(vec![upkeep(state, repository, RunTask::Prune, None)?])
            }
        }
    }

    fn backups_of(&self, state: &State, app: &AppState, to: Option<&str>) -> Result<Vec<Run>, AppError> {
        let (outline, policy) = self.outlined(state, app)?;
        let to = destination(state, to, &policy)?;
        if outline.groups.is_empty() {
            let detail =
                outline.fault.clone().unwrap_or_else(|| format!("{} has no data of its own", app.key));
            return Err(AppError::invalid("/app", detail));
        }
        let running = state.allocations_of(&app.key).filter(|held| held.counts());
        let runs: Vec<Run> = running
            .filter_map(|held| {
                let items = outline.groups.get(&held.group)?;
                let task = RunTask::Backup { items: items.iter().map(|item| item.name.clone()).collect() };
                Some(Run {
                    app: Some(app.key.clone()),
                    instance: Some((held.group.clone(), held.slot)),
                    release: held.release,
                    only: Some(held.host),
                    ..Run::new(RunId::mint(), task, to.as_str(), millis(policy.max_duration))
                })
            })
            .collect();
        match runs.is_empty() {
            true => Err(AppError::invalid("/app", format!("no instance of {} with data runs", app.key))),
            false => Ok(runs),
        }
    }

    fn drills_as(
        &self,
        state: &State,
        app: &AppState,
        policy: &Policy,
        from: Option<&str>,
        host: Option<HostId>,
    ) -> Result<Vec<Run>, AppError> {
        let from = destination(state, from, policy)?;
        let Some(drills) = &policy.drills else {
            return Err(AppError::invalid("/app", format!("drills of {} are switched off", app.key)));
        };
        let sets = backup::newest_sets(state, &app.key, &from);
        let runs: Vec<Run> = sets
            .into_iter()
            .map(|(instance, set)| {
                let drill = backup::drill(RunId::mint(), app, &instance, &from, set, drills, None);
                Run { only: host, not_on: drill.not_on.filter(|_| host.is_none()), ..drill }
            })
            .collect();
        match runs.is_empty() {
            true => Err(AppError::not_found("snapshot", format!("of {} in {from}", app.key))),
            false => Ok(runs),
        }
    }

    /// The data of an app's wanted release, and what holds for it.
    pub(super) fn outlined(&self, state: &State, app: &AppState) -> Result<(Arc<Outline>, Policy), AppError> {
        let release = app.wanted().ok_or_else(|| AppError::not_found("release", app.key.to_string()))?;
        let outline = self.releases.outline(state, &release.spec);
        let outline = outline.ok_or_else(|| AppError::Content(release.spec.clone()))?;
        let policy = backup::policy(state, app, &outline);
        Ok((outline, policy))
    }

    pub(super) fn run_view(&self, state: &State, run: &Run) -> RunView {
        let (environment, app) = run.app.clone().map(|app| (app.environment, app.name)).unzip();
        let (group, slot) = run.instance.clone().unzip();
        RunView {
            id: run.id,
            kind: run.kind().into(),
            state: run.state,
            environment,
            app,
            group,
            slot,
            repository: run.repository.clone(),
            to: run.to.clone(),
            host: run.host,
            host_name: run.host.map(|host| host_name(state, host)),
            created: run.created,
            began: run.began,
            ended: run.ended,
            by: run.by.clone(),
            due: run.due,
            attempt: run.attempt,
            max_duration_ms: run.max_duration_ms,
            items: run.items.clone(),
            code: run.code.clone(),
            message: run.message.clone(),
            progress: self.progress(run),
        }
    }

    pub(super) fn progress(&self, run: &Run) -> Option<RunProgress> {
        let seen = self.observed.host(run.host.filter(|_| run.state == RunState::Running)?)?;
        let (runs, _) = seen.runs.as_ref().filter(|(_, at)| at.elapsed() < PROGRESS_FOR)?;
        runs.iter().find(|progress| progress.run == run.id).cloned()
    }
}

/// Whether the controllers' own state is meant.
pub(super) fn is_controllers(environment: &str, app: &str) -> bool {
    AppKey { environment: environment.to_owned(), name: app.to_owned() }.is_controllers()
}

fn host_named(state: &State, name: Option<&str>) -> Result<Option<HostId>, AppError> {
    Ok(name.map(|name| find_host(state, name)).transpose()?.map(|host| host.id))
}

pub(super) fn begun(reply: &Reply) -> Vec<RunId> {
    match reply {
        Reply::Runs(ids) => ids.clone(),
        _ => Vec::new(),
    }
}

pub(super) fn host_name(state: &State, host: HostId) -> String {
    state.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.clone())
}

fn upkeep(state: &State, repository: &str, task: RunTask, length: Option<Duration>) -> Result<Run, AppError> {
    let known = find_repository(state, repository)?;
    let run = Run::new(RunId::mint(), task, repository, millis(length.unwrap_or(UPKEEP_LENGTH)));
    Ok(Run { only: known.host, ..run })
}

fn find_repository<'a>(state: &'a State, name: &str) -> Result<&'a crate::state::BackupRepository, AppError> {
    let found = state.repositories.get(name).map(|repository| &**repository);
    found.ok_or_else(|| AppError::not_found("repository", name))
}

/// The repository that was named, or the policy's.
pub(super) fn destination(state: &State, named: Option<&str>, policy: &Policy) -> Result<String, AppError> {
    match (named, &policy.to) {
        (Some(name), _) => find_repository(state, name).map(|repository| repository.name.clone()),
        (None, Some(to)) => find_repository(state, to).map(|repository| repository.name.clone()),
        (None, None) => Err(AppError::invalid("/to", policy.fault.clone().unwrap_or_default())),
    }
}

/// By its id, or the end of it as tables show it.
fn find_run<'a>(state: &'a State, id: &str) -> Result<&'a Run, AppError> {
    let missing = || AppError::not_found("run", id);
    if let Ok(id) = id.parse::<RunId>() {
        return state.runs.get(&id).map(|run| &**run).ok_or_else(missing);
    }
    let mut fitting = state.runs.values().filter(|run| run.id.short() == id);
    let found = fitting.next().ok_or_else(missing)?;
    match fitting.next() {
        None => Ok(found),
        Some(_) => {
            Err(AppError::invalid("id", format!("`{id}` is the end of several ids; write a whole one")))
        }
    }
}

fn snapshot_view(state: &State, key: &SnapshotKey, one: &Snapshot) -> SnapshotView {
    SnapshotView {
        id: key.id.clone(),
        environment: key.app.environment.clone(),
        app: key.app.name.clone(),
        group: one.instance.0.clone(),
        slot: one.instance.1,
        item: one.item.clone(),
        repository: key.repository.clone(),
        taken: key.taken,
        stored: one.stored,
        run: one.run,
        host: one.host,
        host_name: host_name(state, one.host),
        release: one.release,
        whole: one.whole,
        bytes: one.bytes,
        added_bytes: one.added_bytes,
        files: one.files,
    }
}

impl From<RunKind> for api::RunKind {
    fn from(kind: RunKind) -> Self {
        match kind {
            RunKind::Backup => Self::Backup,
            RunKind::Copy => Self::Copy,
            RunKind::Check => Self::Check,
            RunKind::Prune => Self::Prune,
            RunKind::Restore => Self::Restore,
            RunKind::Drill => Self::Drill,
            RunKind::Move => Self::Move,
        }
    }
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
