//! Restores: which snapshots come back where, and the run that does it.

use super::apps::find_app;
use super::backups::{begun, destination, host_name, is_controllers, millis};
use super::hosts::find_host;
use super::{App, AppError, Call, View};
use crate::backup::{self, Set};
use crate::state::{App as AppState, Command, Goal, RestoreInto, Run, RunTask, State, WantedItem};
use omni_common::api::v1::{RestorePlan, RestoredItem, StartRestore};
use omni_common::ids::{HostId, RunId};
use std::time::Duration;

/// A restore may take this long: terabytes over a slow link.
const LENGTH: Duration = Duration::from_secs(24 * 3600);
/// Longest path, bytes.
const MAX_PATH: usize = 4096;

/// What a restore comes to.
struct Found {
    run: Run,
    plan: RestorePlan,
}

impl App {
    /// What a restore would do.
    pub fn plan_restore(&self, state: &State, body: &StartRestore) -> Result<RestorePlan, AppError> {
        Ok(self.found(state, body)?.plan)
    }

    /// Brings data back.
    pub async fn start_restore(
        &self,
        call: &Call,
        body: &StartRestore,
    ) -> Result<View<RestorePlan>, AppError> {
        let build = |state: &State| {
            let run = self.found(state, body)?.run;
            Ok(Command::StartRuns { runs: vec![run], stop: body.stop })
        };
        let written = self.write(call, build).await?;
        let state = &written.state;
        let run = begun(&written.reply).first().and_then(|id| state.runs.get(id));
        let stops = run.is_some_and(|run| matches!(run.task, RunTask::Restore { start: true, .. }));
        let run = run.map(|run| self.run_view(state, run));
        Ok(View { index: state.index, body: RestorePlan { run, stops, ..self.found(state, body)?.plan } })
    }

    fn found(&self, state: &State, body: &StartRestore) -> Result<Found, AppError> {
        if is_controllers(&body.environment, &body.app) {
            let why = "the controllers' state is not restored into a running cluster: a new one is made of it, with \
                       `omni-controller restore`";
            return Err(AppError::invalid("/app", why));
        }
        let app = find_app(state, &body.environment, &body.app)?;
        check(body)?;
        let (_, policy) = self.outlined(state, app)?;
        let repository = destination(state, body.repository.as_deref(), &policy)?;
        let (instance, set) = chosen(state, app, &repository, body)?;
        let items = wanted(&set, body)?;
        let (host, into) = match &body.folder {
            Some(folder) => (folder_host(state, body)?, RestoreInto::Folder(folder.clone())),
            None => (home(app, &instance, &set), RestoreInto::InPlace { replace: !body.keep }),
        };
        let stops = body.folder.is_none() && app.goal == Goal::Run;
        let bytes = |item: &WantedItem| {
            let own = state
                .snapshots_of(&app.key)
                .find(|(key, _)| key.repository == repository && key.id == item.snapshot);
            own.map_or(0, |(_, one)| one.bytes)
        };
        let plan = RestorePlan {
            environment: app.key.environment.clone(),
            app: app.key.name.clone(),
            group: instance.0.clone(),
            slot: instance.1,
            repository: repository.clone(),
            taken: set.taken,
            items: items
                .iter()
                .map(|item| RestoredItem {
                    item: item.item.clone(),
                    snapshot: item.snapshot.clone(),
                    bytes: bytes(item),
                })
                .collect(),
            host,
            host_name: host_name(state, host),
            folder: body.folder.clone(),
            stops,
            run: None,
        };
        let task = RunTask::Restore { items, into, start: false };
        let run = Run {
            app: Some(app.key.clone()),
            instance: Some(instance),
            // Data goes where the wanted release looks for it.
            release: if body.folder.is_none() { app.release } else { set.release },
            only: Some(host),
            ..Run::new(RunId::mint(), task, repository, millis(LENGTH))
        };
        Ok(Found { run, plan })
    }
}

fn check(body: &StartRestore) -> Result<(), AppError> {
    let bad = |pointer: &str, detail: &str| Err(AppError::invalid(pointer, detail));
    let climbs = |path: &str| path.split('/').any(|part| part == "..");
    if body.snapshot.is_some() && body.at.is_some() {
        return bad("/at", "say either `snapshot` or `at`");
    }
    if body.path.as_ref().is_some_and(|path| path.len() > MAX_PATH || path.contains('\0') || climbs(path)) {
        return bad("/path", "a path within the item, without `..`");
    }
    if body.path.is_some() && body.items.len() != 1 {
        return bad("/path", "a path is one of one item: name just that");
    }
    match (&body.folder, &body.host) {
        (Some(folder), _) if !folder.starts_with('/') || folder.len() > MAX_PATH || climbs(folder) => {
            bad("/folder", "an absolute path of the host, without `..`")
        }
        (Some(_), None) => bad("/host", "say which host the folder is on"),
        (None, Some(_)) => bad("/host", "data goes back where it was; with a host, name a folder on it"),
        _ => Ok(()),
    }
}

/// The instance and the set of snapshots that are meant.
fn chosen(
    state: &State,
    app: &AppState,
    repository: &str,
    body: &StartRestore,
) -> Result<((String, u32), Set), AppError> {
    let all = backup::sets(state, &app.key, repository);
    let of_group = |instance: &(String, u32)| body.group.as_ref().is_none_or(|group| instance.0 == *group);
    let groups: std::collections::BTreeSet<&String> =
        all.keys().filter(|one| of_group(one)).map(|(group, _)| group).collect();
    if body.group.is_none() && groups.len() > 1 {
        let names: Vec<&str> = groups.iter().map(|name| name.as_str()).collect();
        return Err(AppError::invalid("/group", format!("say which of {}", names.join(", "))));
    }
    let missing = |what: String| AppError::not_found("snapshot", what);
    let found = all.into_iter().find(|(instance, _)| of_group(instance) && instance.1 == body.slot);
    let (instance, sets) =
        found.ok_or_else(|| missing(format!("of {} {} in {repository}", app.key, body.slot)))?;
    let set = match (&body.snapshot, body.at) {
        (Some(id), _) => sets.into_iter().find(|set| is_called(set, id)),
        (None, Some(at)) => sets.into_iter().find(|set| set.taken <= at),
        (None, None) => sets.into_iter().find(|set| set.whole),
    };
    let wanted = || match (&body.snapshot, body.at) {
        (Some(id), _) => id.clone(),
        (None, Some(at)) => format!("of {} at or before {at} in {repository}", app.key),
        (None, None) => format!("of {} in {repository} that is whole", app.key),
    };
    Ok((instance, set.ok_or_else(|| missing(wanted()))?))
}

/// By the run that took it, or the beginning of a snapshot's id.
fn is_called(set: &Set, id: &str) -> bool {
    set.run.to_string() == id
        || set.run.short() == id
        || (id.len() >= 4 && set.items.iter().any(|item| item.snapshot.starts_with(id)))
}

fn wanted(set: &Set, body: &StartRestore) -> Result<Vec<WantedItem>, AppError> {
    let named = |item: &WantedItem| body.items.is_empty() || body.items.contains(&item.item);
    let by_id = body
        .snapshot
        .as_ref()
        .filter(|id| id.len() >= 4 && set.run.to_string() != **id && set.run.short() != **id);
    let meant = |item: &WantedItem| by_id.is_none_or(|id| item.snapshot.starts_with(id.as_str()));
    let items: Vec<WantedItem> = set
        .items
        .iter()
        .filter(|item| named(item) && meant(item))
        .map(|item| WantedItem { path: body.path.clone(), ..item.clone() })
        .collect();
    let known: Vec<&str> = set.items.iter().map(|item| item.item.as_str()).collect();
    let missing = body.items.iter().find(|name| !set.items.iter().any(|item| item.item == **name));
    match (missing, items.is_empty()) {
        (Some(name), _) => {
            let detail = format!("there is no `{name}` in it; it has {}", known.join(", "));
            Err(AppError::invalid("/items", detail))
        }
        (None, true) => Err(AppError::invalid("/items", format!("it has {}", known.join(", ")))),
        (None, false) => Ok(items),
    }
}

fn folder_host(state: &State, body: &StartRestore) -> Result<HostId, AppError> {
    Ok(find_host(state, body.host.as_deref().unwrap_or_default())?.id)
}

/// Where the data of an instance lives, or did when it was taken.
fn home(app: &AppState, instance: &(String, u32), set: &Set) -> HostId {
    let homes = app.homes.get(instance);
    let only = homes.filter(|homes| homes.len() == 1).and_then(|homes| homes.first());
    only.copied()
        .or_else(|| homes.filter(|homes| homes.contains(&set.host)).map(|_| set.host))
        .unwrap_or(set.host)
}
