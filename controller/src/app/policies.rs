//! What holds for backups: of an app, and of all that say nothing else.

use super::apps::find_app;
use super::backups::is_controllers;
use super::{App, AppError, Call, View};
use crate::backup::{Policy, controllers, controllers_policy};
use crate::state::{App as AppState, AppKey, BackupDefaults, Command, State};
use omni_common::api::v1::{self as api, BackupPolicyView, DrillPolicyView, ItemView};
use omni_common::domain::backup::{Item, PolicyOptions, Quiesce, Span, Take};
use std::collections::BTreeMap;
use std::time::Duration;

impl App {
    /// What holds for an app, and what of it is taken.
    pub fn get_backup_policy(
        &self,
        state: &State,
        environment: &str,
        name: &str,
    ) -> Result<BackupPolicyView, AppError> {
        if is_controllers(environment, name) {
            return Ok(controllers_view(state));
        }
        let app = find_app(state, environment, name)?;
        self.policy_view(state, app)
    }

    /// Sets by hand what holds for an app, over what its release says; with nothing, goes back to that.
    pub async fn set_backup_policy(
        &self,
        call: &Call,
        environment: &str,
        name: &str,
        policy: Option<PolicyOptions>,
    ) -> Result<View<BackupPolicyView>, AppError> {
        let build = |state: &State| {
            let app = match is_controllers(environment, name) {
                true => AppKey::controllers(),
                false => find_app(state, environment, name)?.key.clone(),
            };
            Ok(Command::SetBackupPolicy { app, policy: policy.clone().map(Box::new) })
        };
        let written = self.write(call, build).await?;
        let body = self.get_backup_policy(&written.state, environment, name)?;
        Ok(View { index: written.state.index, body })
    }

    /// What holds for every app that says nothing else.
    pub fn get_backup_defaults(&self, state: &State) -> api::BackupDefaults {
        defaults_view(&state.backup_defaults)
    }

    /// Sets it.
    pub async fn set_backup_defaults(
        &self,
        call: &Call,
        body: &api::BackupDefaults,
    ) -> Result<View<api::BackupDefaults>, AppError> {
        let defaults = BackupDefaults {
            policy: body.policy.clone(),
            per_host: body.per_host,
            per_repository: body.per_repository,
            drills_per_host: body.drills_per_host,
            spread: body.spread,
        };
        let command = Command::SetBackupDefaults(Box::new(defaults));
        let written = self.write(call, |_| Ok(command.clone())).await?;
        let body = self.get_backup_defaults(&written.state);
        Ok(View { index: written.state.index, body })
    }

    fn policy_view(&self, state: &State, app: &AppState) -> Result<BackupPolicyView, AppError> {
        let (outline, policy) = self.outlined(state, app)?;
        let items = outline.groups.iter();
        let items = items.map(|(group, items)| (group.clone(), items.iter().map(item).collect())).collect();
        Ok(shown(state, &app.key, policy, items, outline.fault.clone()))
    }
}

/// What holds for the controllers' own state.
fn controllers_view(state: &State) -> BackupPolicyView {
    let own = ItemView {
        name: controllers::item(),
        method: "state".to_owned(),
        of: "the controllers".to_owned(),
        quiesce: "none".to_owned(),
    };
    let items = BTreeMap::from([(controllers::GROUP.to_owned(), vec![own])]);
    shown(state, &AppKey::controllers(), controllers_policy(state), items, None)
}

fn shown(
    state: &State,
    app: &AppKey,
    policy: Policy,
    items: BTreeMap<String, Vec<ItemView>>,
    fault: Option<String>,
) -> BackupPolicyView {
    BackupPolicyView {
        environment: app.environment.clone(),
        app: app.name.clone(),
        skip: policy.skip,
        to: policy.to,
        copy_to: policy.copy_to,
        schedule: policy.schedule_text,
        time_zone: policy.time_zone,
        jitter: span(policy.jitter),
        max_duration: span(policy.max_duration),
        max_age: span(policy.max_age),
        retention: policy.retention,
        drill: policy.drills.map(|drills| DrillPolicyView {
            schedule: drills.schedule_text,
            max_age: span(drills.max_age),
            restore_within: span(drills.restore_within),
            probes: drills.probes,
        }),
        items,
        by_hand: state.backup_policies.get(app).map(|policy| PolicyOptions::clone(policy)),
        fault: fault.or(policy.fault),
    }
}

fn span(length: Duration) -> Span {
    Span::secs(length.as_secs())
}

fn defaults_view(defaults: &BackupDefaults) -> api::BackupDefaults {
    api::BackupDefaults {
        policy: defaults.policy.clone(),
        per_host: defaults.per_host,
        per_repository: defaults.per_repository,
        drills_per_host: defaults.drills_per_host,
        spread: defaults.spread,
    }
}

fn item(item: &Item) -> ItemView {
    let (method, of) = match &item.take {
        Take::Volume { volume, .. } => ("volume", volume.clone()),
        Take::HostPath { path, .. } => ("path", path.clone()),
        Take::Postgres { service, .. } => ("postgres", service.to_string()),
        Take::Mariadb { service, .. } => ("mariadb", service.to_string()),
        Take::Redis { service, .. } => ("redis", service.to_string()),
        Take::Command { service, .. } => ("command", service.to_string()),
    };
    let quiesce = match &item.quiesce {
        Quiesce::None => "none",
        Quiesce::Pause { .. } => "pause",
        Quiesce::Stop { .. } => "stop",
        Quiesce::Hook { .. } => "hook",
    };
    ItemView { name: item.name.clone(), method: method.to_owned(), of, quiesce: quiesce.to_owned() }
}
