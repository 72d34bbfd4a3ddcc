//! What it takes to open a repository: its secrets are opened for whoever is about to use it, and kept nowhere.

use super::{Outline, Outlines};
use crate::state::{AppKey, BackupRepository, CredentialNames, State, secret_context};
use omni_catalogue::policies::Policies;
use omni_common::domain::SecretName;
use omni_common::domain::app::AppSpec;
use omni_common::domain::backup::{Credentials, Hidden, LocationKind, Repository};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Why there is no order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// What it is about is gone.
    #[error("{0}")]
    Gone(String),
    /// A secret does not open.
    #[error("secret {0} cannot be opened")]
    Sealed(SecretName),
}

pub(super) fn gone<T>(why: impl Into<String>) -> Result<T, OrderError> {
    Err(OrderError::Gone(why.into()))
}

/// What is opened for an order.
pub(crate) trait Opener {
    /// Opens what was sealed for a context.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
    /// The specification of a release and what of it is data.
    fn release(&self, state: &State, app: &AppKey, number: u64) -> Option<(AppSpec, Arc<Outline>)>;
    /// The data of every app's wanted release.
    fn outlines(&self, state: &State) -> Outlines;
    /// What holds where nobody says anything.
    fn policies(&self) -> &Policies;
}

/// Opens repositories.
pub(super) struct Opening<'a> {
    state: &'a State,
    opener: &'a dyn Opener,
}

/// A repository that is there, with all it takes to open it.
pub(crate) fn opened(state: &State, name: &str, opener: &dyn Opener) -> Result<Repository, OrderError> {
    let opening = Opening::of(state, opener);
    opening.open(opening.find(name)?, false)
}

impl<'a> Opening<'a> {
    pub(super) fn of(state: &'a State, opener: &'a dyn Opener) -> Self {
        Self { state, opener }
    }

    pub(super) fn find(&self, name: &str) -> Result<&'a BackupRepository, OrderError> {
        match self.state.repositories.get(name) {
            Some(repository) => Ok(repository),
            None => gone(format!("there is no repository {name} any more")),
        }
    }

    pub(super) fn open(&self, known: &BackupRepository, create: bool) -> Result<Repository, OrderError> {
        Ok(Repository {
            name: known.name.clone(),
            location: known.location.clone(),
            password: self.secret(&known.password)?,
            credentials: self.credentials(&known.credentials)?,
            ca: known.ca.clone(),
            create,
            upload_kib: known.upload_kib,
            download_kib: known.download_kib,
        })
    }

    fn credentials(&self, names: &CredentialNames) -> Result<Credentials, OrderError> {
        Ok(match names {
            CredentialNames::None => Credentials::None,
            CredentialNames::Rest { user, password } => {
                Credentials::Rest { user: user.clone(), password: self.secret(password)? }
            }
            CredentialNames::S3 { access_key_id, secret_access_key, region } => Credentials::S3 {
                access_key_id: access_key_id.clone(),
                secret_access_key: self.secret(secret_access_key)?,
                region: region.clone(),
            },
            CredentialNames::Sftp { private_key, known_hosts } => {
                Credentials::Sftp { private_key: self.secret(private_key)?, known_hosts: known_hosts.clone() }
            }
            CredentialNames::Rclone { variables } => {
                let opened = variables.iter().map(|(name, secret)| Ok((name.clone(), self.secret(secret)?)));
                Credentials::Rclone { variables: opened.collect::<Result<_, _>>()? }
            }
        })
    }

    fn secret(&self, name: &SecretName) -> Result<Hidden, OrderError> {
        let newest = self.state.secrets.get(name).and_then(|secret| secret.newest());
        let Some((_, version)) = newest else { return gone(format!("there is no secret {name} any more")) };
        let sealed = || OrderError::Sealed(name.clone());
        let bytes = self.opener.open(&secret_context(name), &version.sealed).ok_or_else(sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| sealed())?;
        // Keys and passwords are typed and piped with a line end that is none of theirs; a private key needs its own.
        let text = if text.contains("PRIVATE KEY") { text } else { text.trim_end_matches(['\n', '\r']) };
        Ok(Hidden::new(text))
    }
}

/// Which credentials a kind of location may have.
pub(crate) fn fits(kind: LocationKind, credentials: &CredentialNames) -> bool {
    matches!(
        (kind, credentials),
        (_, CredentialNames::None)
            | (LocationKind::Rest, CredentialNames::Rest { .. })
            | (LocationKind::S3, CredentialNames::S3 { .. })
            | (LocationKind::Sftp, CredentialNames::Sftp { .. })
            | (LocationKind::Rclone, CredentialNames::Rclone { .. })
    )
}
