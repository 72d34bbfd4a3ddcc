//! Apps: list, look at, scale, stop, move back, remove.

use super::cursor::Paging;
use super::hosts::find_host;
use super::moves::{move_view, old_data, waits};
use super::{App, AppError, Call, View};
use crate::rollout;
use crate::state::command::Steer;
use crate::state::{
    Allocation, App as AppState, AppKey, Command, Deployment, DeploymentState, Goal, Group, Reach, Rescued,
    State,
};
use omni_common::api::v1::{
    self as api, AcceptLoss, AllocationView, AppGoal, AppStatus, AppView, AppsQuery, DeploymentView,
    GroupView, Page, RestoredView, Rollback, SteerAction, SteerDeployment, StrandedView, UpdateApp,
    VolumeView,
};
use omni_common::domain::AllocationState;
use omni_common::domain::app::GroupName;
use omni_common::ids::{AllocationId, DeploymentId, HostId};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

impl App {
    /// A page of apps, by environment and name. What waits is left out; see [`App::get_app`].
    pub fn list_apps(
        &self,
        state: &State,
        query: &AppsQuery,
        within: Reach<'_>,
    ) -> Result<Page<AppView>, AppError> {
        let filters = AppsQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<(String, String)> =
            Paging::new("apps", &filters, query.limit, query.cursor.as_deref())?;
        let host = query.host.as_deref().map(|name| find_host(state, name)).transpose()?.map(|host| host.id);
        let wanted = |app: &&AppState| {
            within.has_app(&app.key.environment, &app.key.name)
                && query.environment.as_ref().is_none_or(|environment| app.key.environment == *environment)
                && query.q.as_ref().is_none_or(|text| app.key.name.contains(text.as_str()))
                && host.is_none_or(|host| state.allocations_of(&app.key).any(|held| held.host == host))
        };
        let after = paging.after.clone().map(|(environment, name)| AppKey { environment, name });
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let apps = state.apps.range((from, Bound::Unbounded)).map(|(_, app)| &**app).filter(wanted);
        let mut stranded = self.stranded(state);
        Ok(paging.take(apps.map(|app| {
            let place = (app.key.environment.clone(), app.key.name.clone());
            let stranded = stranded.remove(&app.key).unwrap_or_default();
            (place, AppView { stranded, ..view(state, app, &BTreeMap::new()) })
        })))
    }

    /// One app, with what waits and why.
    pub fn get_app(&self, state: &State, environment: &str, name: &str) -> Result<AppView, AppError> {
        let app = find_app(state, environment, name)?;
        let stranded = self.stranded_of(state, &app.key);
        let mut body = view(state, app, &self.waiting(state, &app.key, &stranded));
        body.stranded = stranded;
        let allocations: Vec<&Allocation> = state.allocations_of(&app.key).map(|held| &**held).collect();
        let earlier = app.deployments.iter().rev().skip(1);
        if let Some(moving) = &mut body.moving {
            let runs = moving.legs.iter().filter_map(|leg| state.runs.get(&leg.run?));
            moving.progress = runs.into_iter().find_map(|run| self.progress(run));
        }
        body.earlier_deployments =
            earlier.map(|earlier| deployment(app, earlier, &allocations, body.wanted)).collect();
        Ok(body)
    }

    /// What of an app waits, by group.
    fn waiting(
        &self,
        state: &State,
        key: &AppKey,
        stranded: &[StrandedView],
    ) -> BTreeMap<String, Vec<String>> {
        let decision = rollout::decide(state, &self.foreign(), self.clock.now(), &mut NoIds);
        let mut waiting: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(halt) = &decision.plan.halted {
            waiting.entry(String::new()).or_default().push(halt.to_string());
        }
        for wait in decision.plan.waiting {
            if *wait.group.environment == *key.environment && *wait.group.app == *key.name {
                waiting.entry(wait.group.group.to_string()).or_default().push(wait.why.to_string());
            }
        }
        if let Some(open) = state.open_move(key) {
            for leg in open.with_data().filter(|leg| open.holds(&leg.group)) {
                waiting.entry(leg.group.clone()).or_default().push(waits(state, open));
            }
        }
        for one in stranded {
            waiting.entry(one.group.clone()).or_default().push(one.why.clone());
        }
        waiting
    }

    /// Changes what is wanted of an app.
    pub async fn update_app(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        body: UpdateApp,
        expect: Option<u64>,
    ) -> Result<View<AppView>, AppError> {
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            match (body.goal, &body.replicas) {
                (Some(goal), None) => Ok(Command::SetGoal { app, goal: goal_of(goal), expect }),
                (None, Some(replicas)) => Ok(Command::ScaleApp { app, replicas: replicas.clone(), expect }),
                _ => Err(AppError::invalid("goal", "say either `goal` or `replicas`")),
            }
        };
        self.changed(call, environment, name, build).await
    }

    /// Replaces all instances by fresh ones.
    pub async fn restart_app(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
    ) -> Result<View<AppView>, AppError> {
        let deployment = DeploymentId::mint();
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            Ok(Command::RestartApp { app, deployment })
        };
        self.changed(call, environment, name, build).await
    }

    /// Lets an instance come back with older data than its app allows.
    pub async fn accept_loss(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        body: &AcceptLoss,
    ) -> Result<View<AppView>, AppError> {
        let group = body.group.clone().unwrap_or_else(|| GroupName::MAIN.to_owned());
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            Ok(Command::AcceptLoss { app, group: group.clone(), slot: body.slot })
        };
        self.changed(call, environment, name, build).await
    }

    /// Moves an app to a release it has.
    pub async fn rollback_app(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        body: &Rollback,
        expect: Option<u64>,
    ) -> Result<View<AppView>, AppError> {
        let deployment = DeploymentId::mint();
        let build = |state: &State| {
            let app = find_app(state, environment, name)?;
            let proven = || app.deployment().and_then(|newest| app.falls_back_to(newest));
            let before = || app.releases.keys().copied().filter(|number| *number < app.release).max();
            let to = body.to.or_else(proven).or_else(before).ok_or_else(|| {
                AppError::invalid("to", format!("release {} of {} has none before it", app.release, app.key))
            })?;
            Ok(Command::MoveApp { app: app.key.clone(), deployment, to, expect })
        };
        self.changed(call, environment, name, build).await
    }

    /// Takes a hand in a deployment.
    pub async fn steer_deployment(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        deployment: DeploymentId,
        body: SteerDeployment,
    ) -> Result<View<AppView>, AppError> {
        let back = DeploymentId::mint();
        let what = match body.action {
            SteerAction::Pause => Steer::Pause,
            SteerAction::Resume => Steer::Resume,
            SteerAction::Promote => Steer::Promote,
            SteerAction::Abort => Steer::Abort,
        };
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            Ok(Command::SteerDeployment { app, deployment, back, what })
        };
        self.changed(call, environment, name, build).await
    }

    /// Removes an app; with `volumes`, its data too.
    pub async fn remove_app(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        volumes: bool,
    ) -> Result<View<()>, AppError> {
        let goal = if volumes { Goal::Purge } else { Goal::Remove };
        let build = |state: &State| {
            let app = find_app(state, environment, name)?.key.clone();
            Ok(Command::SetGoal { app, goal, expect: None })
        };
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    pub(super) async fn changed(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        build: impl Fn(&State) -> Result<Command, AppError> + Send + Sync,
    ) -> Result<View<AppView>, AppError> {
        let written = self.write(call, build).await?;
        let body = self.get_app(&written.state, environment, name)?;
        Ok(View { index: written.state.index, body })
    }

    /// What foreign containers take, of all hosts.
    pub(super) fn foreign(&self) -> BTreeMap<omni_common::ids::HostId, rollout::Foreign> {
        let hosts = self.observed.hosts();
        hosts.into_iter().map(|(host, observed)| (host, observed.foreign())).collect()
    }
}

/// For a plan that is only looked at.
pub(super) struct NoIds;

impl rollout::Ids for NoIds {
    fn allocation(&mut self) -> AllocationId {
        AllocationId::from_u128(0)
    }

    fn deployment(&mut self) -> DeploymentId {
        DeploymentId::from_u128(0)
    }
}

/// The app of that name.
pub(super) fn find_app<'a>(
    state: &'a State,
    environment: &str,
    name: &str,
) -> Result<&'a AppState, AppError> {
    let found = state.find_app(environment, name).map(|app| &**app);
    found.ok_or_else(|| AppError::not_found("app", format!("{environment}/{name}")))
}

pub(super) fn view(state: &State, app: &AppState, waiting: &BTreeMap<String, Vec<String>>) -> AppView {
    let allocations: Vec<&Allocation> = state.allocations_of(&app.key).map(|held| &**held).collect();
    let (wanted, healthy) = counts(app, &allocations);
    AppView {
        name: app.key.name.clone(),
        environment: app.key.environment.clone(),
        goal: goal_view(app.goal),
        status: status(app, &allocations, wanted, healthy, !waiting.is_empty()),
        release: app.release,
        wanted,
        healthy,
        groups: groups(app, waiting),
        allocations: allocations.iter().map(|held| allocation(state, held)).collect(),
        volumes: volumes(state, app),
        moving: state.moves.get(&app.key).map(|one| move_view(state, one)),
        old_data: old_data(state, app),
        stranded: Vec::new(),
        deployment: app.deployment().map(|newest| deployment(app, newest, &allocations, wanted)),
        earlier_deployments: Vec::new(),
        created: app.created,
        revision: app.revision,
    }
}

/// Where the app's data is.
fn volumes(state: &State, app: &AppState) -> Vec<VolumeView> {
    let groups = app.wanted().into_iter().flat_map(|release| &release.groups);
    let of_group = |(group_name, group): (&String, &Arc<Group>)| -> Vec<VolumeView> {
        let own = app.homes.iter().filter(|((group, _), _)| group == group_name);
        let places: Vec<(u32, HostId)> =
            own.flat_map(|((_, slot), hosts)| hosts.iter().map(|host| (*slot, *host))).collect();
        let view = |(slot, host): &(u32, HostId), name: &String| VolumeView {
            name: name.clone(),
            group: group_name.clone(),
            slot: *slot,
            host: *host,
            host_name: host_name(state, *host),
            restored: app
                .rescued
                .get(&(group_name.clone(), *slot))
                .filter(|rescued| rescued.to == *host)
                .map(|rescued| restored(state, rescued)),
        };
        places.iter().flat_map(|place| group.volumes.iter().map(move |name| view(place, name))).collect()
    };
    groups.flat_map(of_group).collect()
}

pub(super) fn host_name(state: &State, host: HostId) -> String {
    state.hosts.get(&host).map_or_else(|| host.to_string(), |host| host.name.clone())
}

fn restored(state: &State, rescued: &Rescued) -> RestoredView {
    let lost = rescued.down.since(rescued.taken);
    RestoredView {
        from_host: host_name(state, rescued.from),
        taken: rescued.taken,
        lost_ms: u64::try_from(lost.as_millis()).unwrap_or(u64::MAX),
        at: rescued.at,
    }
}

/// Wanted and healthy instances.
fn counts(app: &AppState, allocations: &[&Allocation]) -> (u32, u32) {
    let Some(release) = app.wanted().filter(|_| app.goal == Goal::Run) else { return (0, 0) };
    let mut sum = (0, 0);
    for (name, group) in &release.groups {
        let own = || allocations.iter().filter(|held| held.group == *name && held.counts());
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let wanted = app.replicas(name, group).unwrap_or_else(|| count(own().count()));
        sum.0 += wanted;
        sum.1 += count(own().filter(|held| held.is_healthy()).count()).min(wanted);
    }
    sum
}

fn status(app: &AppState, allocations: &[&Allocation], wanted: u32, healthy: u32, waits: bool) -> AppStatus {
    let running = allocations.iter().any(|held| held.state != AllocationState::Stopped);
    match app.goal {
        Goal::Remove | Goal::Purge => AppStatus::Removing,
        Goal::Stop if running => AppStatus::Removing,
        Goal::Stop => AppStatus::Stopped,
        Goal::Run if app.open_deployment().is_some_and(|open| open.state == DeploymentState::Running) => {
            AppStatus::Deploying
        }
        Goal::Run if healthy >= wanted => AppStatus::Healthy,
        Goal::Run if allocations.is_empty() || waits && healthy == 0 => AppStatus::Pending,
        Goal::Run if healthy == 0 => AppStatus::Down,
        Goal::Run => AppStatus::Degraded,
    }
}

fn groups(app: &AppState, waiting: &BTreeMap<String, Vec<String>>) -> Vec<GroupView> {
    let Some(release) = app.wanted() else { return Vec::new() };
    let groups = release.groups.iter();
    groups
        .map(|(name, group)| GroupView {
            name: name.clone(),
            services: group.services.clone(),
            replicas: app.replicas(name, group),
            exclusive: group.exclusive,
            waiting: waiting.get(name).or_else(|| waiting.get("")).cloned().unwrap_or_default(),
        })
        .collect()
}

fn allocation(state: &State, held: &Allocation) -> AllocationView {
    let host = state.hosts.get(&held.host);
    AllocationView {
        id: held.id,
        group: held.group.clone(),
        slot: held.slot,
        host: held.host,
        host_name: host.map_or_else(|| held.host.to_string(), |host| host.name.clone()),
        release: held.release,
        epoch: held.epoch,
        run: held.run,
        state: held.state,
        lost: held.lost,
        since: held.since,
        reason: held.reason.clone(),
        log: held.log.clone(),
        why: held.why.clone(),
    }
}

fn deployment(
    app: &AppState,
    newest: &Deployment,
    allocations: &[&Allocation],
    wanted: u32,
) -> DeploymentView {
    let fresh =
        |held: &&&Allocation| held.is_healthy() && held.release == newest.to && held.round == app.round;
    DeploymentView {
        id: newest.id,
        from: newest.from,
        to: newest.to,
        back: newest.back,
        state: match newest.state {
            DeploymentState::Running => api::DeploymentState::Running,
            DeploymentState::Paused => api::DeploymentState::Paused,
            DeploymentState::Done => api::DeploymentState::Done,
            DeploymentState::Failed => api::DeploymentState::Failed,
            DeploymentState::RolledBack => api::DeploymentState::RolledBack,
            DeploymentState::Superseded => api::DeploymentState::Superseded,
            DeploymentState::Aborted => api::DeploymentState::Aborted,
        },
        started: newest.started,
        since: newest.since,
        by: newest.by.clone(),
        wanted,
        done: u32::try_from(allocations.iter().filter(fresh).count()).unwrap_or(u32::MAX),
        reason: newest.reason.clone(),
        log: newest.log.clone(),
    }
}

fn goal_of(goal: AppGoal) -> Goal {
    match goal {
        AppGoal::Run => Goal::Run,
        AppGoal::Stop => Goal::Stop,
        AppGoal::Remove => Goal::Remove,
        AppGoal::Purge => Goal::Purge,
    }
}

fn goal_view(goal: Goal) -> AppGoal {
    match goal {
        Goal::Run => AppGoal::Run,
        Goal::Stop => AppGoal::Stop,
        Goal::Remove => AppGoal::Remove,
        Goal::Purge => AppGoal::Purge,
    }
}
