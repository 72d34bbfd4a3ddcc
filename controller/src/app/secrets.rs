//! Secrets: put, list, reveal, remove.

use super::{App, AppError, Call, View};
use crate::state::command::{NewAudit, NewSecret};
use crate::state::{Command, Secret, State, secret_context};
use omni_common::api::v1::{Page, PutSecret, RevealSecret, SecretValue, SecretVersionView, SecretView};
use omni_common::domain::backup::Hidden;
use omni_common::domain::{MAX_SECRET, SecretName};
use sha2::{Digest, Sha256};

impl App {
    /// All secrets by name, without their values. There are at most [`crate::state::MAX_SECRETS`].
    pub fn list_secrets(&self, state: &State) -> Page<SecretView> {
        Page::whole(state.secrets.values().map(|secret| view(state, secret)).collect())
    }

    /// One secret, without its value.
    pub fn get_secret(&self, state: &State, name: &str) -> Result<SecretView, AppError> {
        find(state, name).map(|secret| view(state, secret))
    }

    /// Puts a new version of a secret. With `expect`, only when that is still its revision; zero for a new one.
    pub async fn put_secret(
        &self,
        call: &Call,
        name: &str,
        body: &PutSecret,
        expect: Option<u64>,
    ) -> Result<View<SecretView>, AppError> {
        let name = secret_name(name)?;
        let version = self.sealed_secret(&name, &body.value)?;
        let call = self.keyed(call);
        let build =
            |_: &State| Ok(Command::PutSecret { name: name.clone(), version: version.clone(), expect });
        let written = self.write(&call, build).await?;
        let body = self.get_secret(&written.state, name.as_str())?;
        Ok(View { index: written.state.index, body })
    }

    /// The value of a secret. That it was asked for is in the audit trail before it is given out.
    pub async fn reveal_secret(
        &self,
        call: &Call,
        name: &str,
        body: RevealSecret,
    ) -> Result<View<SecretValue>, AppError> {
        let name = secret_name(name)?;
        let entry = NewAudit {
            target: name.to_string(),
            detail: body.version.map(|version| format!("version {version}")),
            ..self.audited(call, "secret.reveal")
        };
        let build = |state: &State| {
            pick(state, &name, body)?;
            Ok(Command::RecordAudit(vec![entry.clone()]))
        };
        let written = self.write(call, build).await?;
        let (version, sealed) = pick(&written.state, &name, body)?;
        let bytes = self.cluster_key.open(&secret_context(&name), &sealed).map_err(AppError::Secret)?;
        let value =
            std::str::from_utf8(&bytes).map_err(|_| AppError::not_found("text in secret", name.as_str()))?;
        let body = SecretValue { name, version, value: Hidden::new(value) };
        Ok(View { index: written.state.index, body })
    }

    /// That something was given out, on its way into the audit trail.
    pub(super) fn audited(&self, call: &Call, action: &str) -> NewAudit {
        let actor = &call.actor;
        NewAudit {
            at: self.clock.now(),
            who: actor.name.clone(),
            role: actor.role.map(|role| role.as_str().to_owned()),
            from: actor.from.clone(),
            action: action.to_owned(),
            target: String::new(),
            outcome: "done".to_owned(),
            detail: None,
        }
    }

    /// Forgets a version of a secret, or all of it.
    pub async fn delete_secret(
        &self,
        call: &Call,
        name: &str,
        version: Option<u64>,
    ) -> Result<View<()>, AppError> {
        let name = secret_name(name)?;
        let written = self.write(call, |_| Ok(Command::DeleteSecret { name: name.clone(), version })).await?;
        Ok(View { index: written.state.index, body: () })
    }

    /// A value sealed for a name.
    pub(super) fn sealed_secret(&self, name: &SecretName, value: &Hidden) -> Result<NewSecret, AppError> {
        let bytes = value.reveal().as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_SECRET {
            return Err(AppError::invalid("/value", format!("a secret has 1 to {MAX_SECRET} bytes")));
        }
        let sealed = self.cluster_key.seal(&secret_context(name), bytes).map_err(AppError::Secret)?;
        Ok(NewSecret { size: u32::try_from(bytes.len()).unwrap_or(u32::MAX), sealed })
    }

    /// The same call with a fingerprint that says nothing of its body to those without the cluster key: it is kept in
    /// clear, and a short value could be guessed from its digest.
    pub(super) fn keyed(&self, call: &Call) -> Call {
        let keyed = |plain: [u8; 32]| {
            Sha256::new().chain_update(self.cluster_key.as_bytes()).chain_update(plain).finalize().into()
        };
        Call { fingerprint: call.fingerprint.map(keyed), ..call.clone() }
    }
}

pub(super) fn secret_name(text: &str) -> Result<SecretName, AppError> {
    SecretName::new(text).map_err(|error| AppError::invalid("name", error.to_string()))
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a Secret, AppError> {
    let found = state.secrets.get(&secret_name(name)?).map(|secret| &**secret);
    found.ok_or_else(|| AppError::not_found("secret", name))
}

fn pick(state: &State, name: &SecretName, body: RevealSecret) -> Result<(u64, Vec<u8>), AppError> {
    let secret = find(state, name.as_str())?;
    let found = match body.version {
        None => secret.newest(),
        Some(number) => secret.versions.get(&number).map(|version| (number, version)),
    };
    let wanted = || format!("{name} {}", body.version.unwrap_or_default());
    let (number, version) = found.ok_or_else(|| AppError::not_found("version of secret", wanted()))?;
    Ok((number, version.sealed.clone()))
}

fn view(state: &State, secret: &Secret) -> SecretView {
    let needs = |repository: &&std::sync::Arc<crate::state::BackupRepository>| {
        repository.password == secret.name || repository.credentials.names().contains(&&secret.name)
    };
    let versions = secret.versions.iter().rev().map(|(number, version)| SecretVersionView {
        version: *number,
        at: version.at,
        by: version.by.clone(),
        size: version.size,
    });
    SecretView {
        name: secret.name.clone(),
        created: secret.created,
        versions: versions.collect(),
        used_by: state.repositories.values().filter(needs).map(|one| one.name.clone()).collect(),
        revision: secret.revision,
    }
}
