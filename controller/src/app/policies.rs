//! What holds for backups: of an app, and of all that say nothing else.

use super::apps::find_app;
use super::backups::is_controllers;
use super::{App, AppError, Call, View};
use crate::backup::{self, BasisOf, Outline, Policy, Source, controllers, controllers_policy};
use crate::state::{App as AppState, AppKey, BackupDefaults, Command, State};
use omni_catalogue::policies::Policies;
use omni_common::api::v1::{
    self as api, BackupLimits, BackupPolicyView, DrillPolicyView, ItemView, PolicySource, PolicySourceKind,
};
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
            return Ok(controllers_view(state, self.releases.policies()));
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
        let set = &state.backup_defaults;
        let limits = backup::limits(state, self.releases.policies());
        let said = |number: u32| (number > 0).then_some(number);
        api::BackupDefaults {
            policy: set.policy.clone(),
            per_host: said(set.per_host),
            per_repository: said(set.per_repository),
            drills_per_host: said(set.drills_per_host),
            spread: Some(set.spread).filter(|spread| *spread > Span::secs(0)),
            limits: Some(BackupLimits {
                per_host: limits.per_host,
                per_repository: limits.per_repository,
                drills_per_host: limits.drills_per_host,
                catch_up: limits.catch_up,
                spread: span(limits.spread),
            }),
        }
    }

    /// Sets it.
    pub async fn set_backup_defaults(
        &self,
        call: &Call,
        body: &api::BackupDefaults,
    ) -> Result<View<api::BackupDefaults>, AppError> {
        for (pointer, limit) in [
            ("/per_host", body.per_host),
            ("/per_repository", body.per_repository),
            ("/drills_per_host", body.drills_per_host),
        ] {
            if limit == Some(0) {
                let detail = "nothing would ever run; leave it out for what the backup policies say";
                return Err(AppError::invalid(pointer, detail));
            }
        }
        let defaults = BackupDefaults {
            policy: body.policy.clone(),
            per_host: body.per_host.unwrap_or(0),
            per_repository: body.per_repository.unwrap_or(0),
            drills_per_host: body.drills_per_host.unwrap_or(0),
            spread: body.spread.unwrap_or_default(),
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
        Ok(shown(state, &app.key, policy, items, &outline))
    }
}

/// What holds for the controllers' own state.
fn controllers_view(state: &State, policies: &Policies) -> BackupPolicyView {
    let own = ItemView {
        name: controllers::item(),
        method: "state".to_owned(),
        of: "the controllers".to_owned(),
        quiesce: "none".to_owned(),
    };
    let items = BTreeMap::from([(controllers::GROUP.to_owned(), vec![own])]);
    let (policy, outline) = (controllers_policy(state, policies), controllers::outline(policies));
    shown(state, &AppKey::controllers(), policy, items, &outline)
}

fn shown(
    state: &State,
    app: &AppKey,
    policy: Policy,
    items: BTreeMap<String, Vec<ItemView>>,
    outline: &Outline,
) -> BackupPolicyView {
    let sources = sources(&policy);
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
        copy_duration: span(policy.copy_duration),
        max_age: span(policy.max_age),
        retention: policy.retention,
        drill: policy.drills.map(|drills| DrillPolicyView {
            schedule: drills.schedule_text,
            max_age: span(drills.max_age),
            restore_within: span(drills.restore_within),
            probes: drills.probes,
        }),
        items,
        follows: of_rules(&policy.basis),
        reason: outline.basis.rules.reason.clone(),
        sources,
        by_hand: state.backup_policies.get(app).map(|policy| PolicyOptions::clone(policy)),
        fault: outline.fault.clone().or(policy.fault),
    }
}

fn span(length: Duration) -> Span {
    Span::secs(length.as_secs())
}

/// Who says each value, by its name in the view.
fn sources(policy: &Policy) -> BTreeMap<String, PolicySource> {
    let by = &policy.sources;
    let told = [
        ("skip", by.skip),
        ("to", by.to),
        ("copy_to", by.copy_to),
        ("schedule", Some(by.schedule)),
        ("time_zone", Some(by.time_zone)),
        ("jitter", Some(by.jitter)),
        ("max_duration", Some(by.max_duration)),
        ("copy_duration", Some(by.max_duration)),
        ("max_age", Some(by.max_age)),
        ("retention", Some(by.retention)),
        ("drill.skip", by.drill_skip),
        ("drill.schedule", Some(by.drill_schedule)),
        ("drill.max_age", Some(by.drill_max_age)),
        ("drill.restore_within", Some(by.drill_restore_within)),
        ("drill.probes", Some(by.drill_probes)),
    ];
    // Who switched drills off says all of it.
    let shown = |name: &str| policy.drills.is_some() || !name.starts_with("drill.") || name == "drill.skip";
    let told = told.into_iter().filter(|(name, _)| shown(name));
    told.filter_map(|(name, source)| Some((name.to_owned(), source_view(source?, &policy.basis)))).collect()
}

fn source_view(source: Source, basis: &BasisOf) -> PolicySource {
    let kind = match source {
        Source::Hand => PolicySourceKind::ByHand,
        Source::File => PolicySourceKind::File,
        Source::Defaults => PolicySourceKind::Defaults,
        Source::OnlyOne => PolicySourceKind::OnlyOne,
        Source::Rules => return of_rules(basis),
    };
    PolicySource { kind, name: None }
}

fn of_rules(basis: &BasisOf) -> PolicySource {
    match basis {
        BasisOf::Component(name) => {
            PolicySource { kind: PolicySourceKind::Component, name: Some(name.clone()) }
        }
        BasisOf::Tier(tier) => {
            PolicySource { kind: PolicySourceKind::Tier, name: Some(tier.as_str().to_owned()) }
        }
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
