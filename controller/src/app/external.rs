//! Secrets and configs that a compose file calls external.
//!
//! Both are kept as the platform's secrets; what a file calls a config is a file like others on hosts, and a secret lies in
//! memory only. They are taken into the release by value when it is made: a release never changes, so a rollback brings back
//! the value that it ran with, and a new value comes with the next deploy, which its plan shows. An app has access to the
//! secrets of its own folder and to those of its environment's, whoever deploys it: no file can ask for the password of a
//! repository.

use super::{App, AppError};
use crate::state::{AppKey, State, secret_context};
use omni_common::domain::SecretName;
use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, FileMount, FileOrigin, FileRef, PackedFile, SecretSource, Service,
};
use omni_compose::Reading;
use std::collections::BTreeSet;

/// Permission bits where the file says nothing: Compose's default for both.
const MODE: u32 = 0o444;

impl App {
    /// Puts the values of external secrets and configs in their places. Those that no service uses stay as they are.
    pub(super) fn take_external(
        &self,
        state: &State,
        app: &AppKey,
        reading: &mut Reading,
    ) -> Result<(), AppError> {
        for key in used(&reading.spec, |service| &service.secrets) {
            if let Some(SecretSource::External(known_as)) = reading.spec.secrets.get(&key).cloned() {
                let packed = self.take(state, app, ("secrets", &known_as), reading)?;
                reading.spec.secrets.insert(key, SecretSource::Packed(packed));
            }
        }
        for key in used(&reading.spec, |service| &service.configs) {
            if let Some(ConfigSource::External(known_as)) = reading.spec.configs.get(&key).cloned() {
                let packed = self.take(state, app, ("configs", &known_as), reading)?;
                reading.spec.configs.insert(key, ConfigSource::Packed(packed));
            }
        }
        Ok(())
    }

    /// Adds the newest value to what travels with the release. It stays sealed, as it was.
    fn take(
        &self,
        state: &State,
        app: &AppKey,
        (section, known_as): (&str, &str),
        reading: &mut Reading,
    ) -> Result<PackedFile, AppError> {
        let (name, sealed) = find(state, app, (section, known_as))?;
        let bytes = self.cluster_key.open(&secret_context(&name), sealed).map_err(AppError::Secret)?;
        let digest = ContentDigest::of(&bytes);
        let content = FileRef { digest: digest.clone(), size: bytes.len() as u64, mode: MODE };
        reading.files.insert(digest.clone(), bytes.to_vec());
        reading.sensitive.insert(digest);
        Ok(PackedFile { content, origin: FileOrigin::Secret(name.to_string()), labels: Default::default() })
    }
}

/// Names in the file of the secrets or configs that services use.
fn used(spec: &AppSpec, of: impl Fn(&Service) -> &Vec<FileMount>) -> BTreeSet<String> {
    spec.services.values().flat_map(of).map(|mount| mount.source.clone()).collect()
}

/// The newest value of a secret: of the app's folder, or else of its environment's.
fn find<'a>(
    state: &'a State,
    app: &AppKey,
    (section, known_as): (&str, &str),
) -> Result<(SecretName, &'a [u8]), AppError> {
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
    Err(AppError::invalid(format!("{section}.{known_as}"), detail))
}
