//! Repositories of backups, and what policies say.

use super::records::{EventDraft, emit};
use super::secrets;
use crate::state::command::{NewSecret, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{AppKey, BackupDefaults, BackupRepository, MAX_REPOSITORIES, RunKind, State};
use omni_common::domain::backup::{Location, PolicyOptions, Schedule};
use omni_common::domain::check_name;
use std::sync::Arc;

pub(super) fn create(
    state: &mut State,
    new: &BackupRepository,
    password: Option<&NewSecret>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    check_name(&new.name).map_err(invalid)?;
    let location: Location = new.location.parse().map_err(invalid)?;
    for upkeep in [&new.prune, &new.check].into_iter().flatten() {
        Schedule::new(&upkeep.schedule, &upkeep.time_zone).map_err(invalid)?;
    }
    if state.repositories.contains_key(&new.name) {
        let message = format!("a repository named `{}` exists", new.name);
        return Err(Refusal::new(RefusalCode::NameTaken, message));
    }
    if let Some(same) = state.repositories.values().find(|one| one.location == location.to_string()) {
        // Two names for one repository would let two runs hold it alone at once.
        if same.host == new.host {
            let message = format!("repository {} lies at that location already", same.name);
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
    }
    if state.repositories.len() >= MAX_REPOSITORIES {
        let message = format!("there are {MAX_REPOSITORIES} repositories already; remove some first");
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    if let Some(host) = new.host.filter(|host| !state.hosts.contains_key(host)) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no host `{host}`")));
    }
    if let Some(password) = password {
        // Over one that exists, data of another repository could become unreadable.
        secrets::put(state, &new.password, password, Some(0), proposal).map_err(|refusal| {
            match refusal.code {
                RefusalCode::RevisionMismatch => Refusal::new(
                    RefusalCode::NameTaken,
                    format!(
                        "secret {} exists; name it with --password-secret when it is this repository's",
                        new.password
                    ),
                ),
                _ => refusal,
            }
        })?;
    }
    let needed = new.credentials.names().into_iter().chain([&new.password]);
    if let Some(missing) = needed.into_iter().find(|name| !state.secrets.contains_key(*name)) {
        let message =
            format!("there is no secret `{missing}`; put it first with `omni secrets put {missing}`");
        return Err(Refusal::new(RefusalCode::NotFound, message));
    }
    let repository = BackupRepository {
        location: location.to_string(),
        created: proposal.at,
        checks: 0,
        checked: None,
        pruned: None,
        revision: state.index,
        ..new.clone()
    };
    state.repositories.insert(new.name.clone(), Arc::new(repository));
    let message = format!("repository {} was added", new.name);
    emit(state, proposal.at, EventDraft::new("backup", "repository.created", message));
    Ok(Reply::Done)
}

pub(super) fn delete(state: &mut State, name: &str, proposal: &Proposal) -> Result<Reply, Refusal> {
    if !state.repositories.contains_key(name) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no repository `{name}`")));
    }
    if let Some(run) = state.open_runs().find(|run| run.repositories().any(|one| one == name)) {
        let message = format!(
            "a {} is using repository {name}; wait for it, or cancel run {}",
            run.kind(),
            run.id.short()
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    state.repositories.remove(name);
    let gone: Vec<_> = state.snapshots.keys().filter(|key| key.repository == name).cloned().collect();
    for key in gone {
        state.snapshots.remove(&key);
    }
    for kind in [RunKind::Check, RunKind::Prune] {
        state.run_marks.remove(&(kind, name.to_owned()));
    }
    let message = format!("repository {name} was removed from the list; what lies in it stays there");
    emit(state, proposal.at, EventDraft::new("backup", "repository.deleted", message));
    Ok(Reply::Done)
}

pub(super) fn set_defaults(state: &mut State, defaults: &BackupDefaults) -> Result<Reply, Refusal> {
    defaults.policy.check().map_err(|why| Refusal::new(RefusalCode::Invalid, why))?;
    let limits = [defaults.per_host, defaults.per_repository, defaults.drills_per_host];
    if limits.iter().any(|limit| *limit > 64) {
        return Err(Refusal::new(RefusalCode::Invalid, "limits of runs at a time are 1 to 64"));
    }
    known(state, &defaults.policy)?;
    state.backup_defaults = defaults.clone();
    Ok(Reply::Done)
}

pub(super) fn set_policy(
    state: &mut State,
    app: &AppKey,
    policy: Option<&PolicyOptions>,
) -> Result<Reply, Refusal> {
    if !app.is_controllers() && !state.apps.contains_key(app) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no app `{app}`")));
    }
    match policy {
        Some(policy) => {
            policy.check().map_err(|why| Refusal::new(RefusalCode::Invalid, why))?;
            known(state, policy)?;
            state.backup_policies.insert(app.clone(), Arc::new(policy.clone()));
        }
        None => drop(state.backup_policies.remove(app)),
    }
    Ok(Reply::Done)
}

/// What is named must be there now; a release may name a repository that comes later.
fn known(state: &State, policy: &PolicyOptions) -> Result<(), Refusal> {
    let named = policy.copy_to.iter().flatten().chain(&policy.to);
    match named.into_iter().find(|name| !state.repositories.contains_key(*name)) {
        Some(name) => Err(Refusal::new(RefusalCode::NotFound, format!("no repository `{name}`"))),
        None => Ok(()),
    }
}

fn invalid(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(RefusalCode::Invalid, error.to_string())
}
