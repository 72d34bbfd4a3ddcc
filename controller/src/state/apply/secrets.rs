//! Secrets: versions come, and the oldest go.

use crate::state::command::{NewSecret, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{MAX_SECRET_VERSIONS, MAX_SECRETS, MAX_SECRETS_SIZE, Secret, SecretVersion, State};
use omni_common::domain::SecretName;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn put(
    state: &mut State,
    name: &SecretName,
    new: &NewSecret,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let known = state.secrets.get(name);
    if expect.is_some_and(|expect| expect != known.map_or(0, |secret| secret.revision)) {
        let message = format!("secret {name} has changed meanwhile; look at it again");
        return Err(Refusal::new(RefusalCode::RevisionMismatch, message));
    }
    if known.is_none() && state.secrets.len() >= MAX_SECRETS {
        let message = format!("there are {MAX_SECRETS} secrets already; remove some first");
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    let mut secret = known.map_or_else(
        || Secret {
            name: name.clone(),
            created: proposal.at,
            next_version: 1,
            versions: BTreeMap::new(),
            revision: 0,
        },
        |secret| Secret::clone(secret),
    );
    let before = kept(&secret);
    let number = secret.next_version;
    secret.next_version += 1;
    secret.revision = state.index;
    let version = SecretVersion {
        at: proposal.at,
        by: proposal.actor.name.clone(),
        size: new.size,
        sealed: new.sealed.clone(),
    };
    secret.versions.insert(number, version);
    while secret.versions.len() > MAX_SECRET_VERSIONS {
        secret.versions.pop_first();
    }
    let size = (state.secrets_size + kept(&secret)).saturating_sub(before);
    if size > MAX_SECRETS_SIZE {
        let message = format!(
            "all secrets together would be over {} MiB; remove versions or secrets that are not needed",
            MAX_SECRETS_SIZE >> 20
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    state.secrets_size = size;
    state.secrets.insert(name.clone(), Arc::new(secret));
    Ok(Reply::Secret(number))
}

pub(super) fn delete(state: &mut State, name: &SecretName, version: Option<u64>) -> Result<Reply, Refusal> {
    let Some(known) = state.secrets.get(name) else {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no secret `{name}`")));
    };
    let mut secret = Secret::clone(known);
    let before = kept(&secret);
    match version {
        None => secret.versions.clear(),
        Some(number) => {
            if secret.versions.remove(&number).is_none() {
                let message = format!("secret {name} has no version {number}");
                return Err(Refusal::new(RefusalCode::NotFound, message));
            }
        }
    }
    if secret.versions.is_empty()
        && let Some(repository) = user(state, name)
    {
        let message = format!(
            "repository {repository} cannot be opened without secret {name}; remove the repository first"
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    state.secrets_size = (state.secrets_size + kept(&secret)).saturating_sub(before);
    secret.revision = state.index;
    if secret.versions.is_empty() {
        state.secrets.remove(name);
    } else {
        state.secrets.insert(name.clone(), Arc::new(secret));
    }
    Ok(Reply::Done)
}

/// A repository that needs the secret.
fn user<'a>(state: &'a State, name: &SecretName) -> Option<&'a str> {
    let needs = |repository: &crate::state::BackupRepository| {
        repository.password == *name || repository.credentials.names().contains(&name)
    };
    state.repositories.values().find(|one| needs(one)).map(|one| one.name.as_str())
}

fn kept(secret: &Secret) -> u64 {
    secret.versions.values().map(|version| version.sealed.len() as u64).sum()
}
