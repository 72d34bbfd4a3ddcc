//! Secrets and configs that a compose file calls external.
//!
//! Secrets are taken into the release by value when it is made: a release never changes, so a rollback brings back the value
//! that it ran with, and a new value comes with the next deploy, which its plan shows. An app has access to the secrets of its
//! own folder and to those of its environment's, whoever deploys it: no file can ask for the password of a repository.

use super::{App, AppError};
use crate::state::{AppKey, State, secret_context};
use omni_common::domain::SecretName;
use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, FileOrigin, FileRef, PackedFile, SecretSource,
};
use omni_compose::Reading;
use std::collections::BTreeSet;

/// Permission bits where the file says nothing: Compose's default for secrets.
const MODE: u32 = 0o444;

impl App {
    /// Puts the values of external secrets in their places. Those that no service uses stay as they are.
    pub(super) fn take_external_secrets(
        &self,
        state: &State,
        app: &AppKey,
        reading: &mut Reading,
    ) -> Result<(), AppError> {
        no_external_configs(&reading.spec)?;
        for key in used(&reading.spec) {
            let Some(SecretSource::External(known_as)) = reading.spec.secrets.get(&key) else { continue };
            let (name, sealed) = find(state, app, known_as)?;
            let bytes = self.cluster_key.open(&secret_context(&name), sealed).map_err(AppError::Secret)?;
            let digest = ContentDigest::of(&bytes);
            let content = FileRef { digest: digest.clone(), size: bytes.len() as u64, mode: MODE };
            let packed = PackedFile {
                content,
                origin: FileOrigin::Secret(name.to_string()),
                labels: Default::default(),
            };
            reading.files.insert(digest.clone(), bytes.to_vec());
            reading.sensitive.insert(digest);
            reading.spec.secrets.insert(key, SecretSource::Packed(packed));
        }
        Ok(())
    }
}

/// Names in the file of the secrets that services use.
fn used(spec: &AppSpec) -> BTreeSet<String> {
    spec.services.values().flat_map(|service| &service.secrets).map(|mount| mount.source.clone()).collect()
}

/// Nothing keeps configs by themselves.
fn no_external_configs(spec: &AppSpec) -> Result<(), AppError> {
    let mounts = spec.services.values().flat_map(|service| &service.configs);
    let mut external =
        mounts.filter(|mount| matches!(spec.configs.get(&mount.source), Some(ConfigSource::External(_))));
    match external.next() {
        None => Ok(()),
        Some(mount) => Err(AppError::invalid(
            format!("configs.{}", mount.source),
            "it is external, and omni keeps no configs by themselves: give its content with `file:` or `content:`, or make it a secret",
        )),
    }
}

/// The newest value of a secret: of the app's folder, or else of its environment's.
fn find<'a>(state: &'a State, app: &AppKey, known_as: &str) -> Result<(SecretName, &'a [u8]), AppError> {
    let AppKey { environment, name } = app;
    let places = [format!("app/{environment}/{name}/{known_as}"), format!("env/{environment}/{known_as}")];
    for place in &places {
        let Ok(name) = SecretName::new(place) else { continue };
        let newest = state.secrets.get(&name).and_then(|secret| secret.newest());
        if let Some((_, version)) = newest {
            return Ok((name, &version.sealed));
        }
    }
    let [own, shared] = places;
    let detail = format!(
        "`{known_as}` is external, and there is no such secret: put it with `omni secrets put {own}`, or with `omni secrets put {shared}` for every app of the environment"
    );
    Err(AppError::invalid(format!("secrets.{known_as}"), detail))
}
