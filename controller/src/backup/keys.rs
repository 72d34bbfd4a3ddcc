//! What it takes to open repositories: secrets in clear, for whoever is to work there.

use super::order::{Opener, OrderError, gone};
use crate::state::{BackupRepository, CredentialNames, State, secret_context};
use omni_common::domain::SecretName;
use omni_common::domain::backup::{Credentials, Hidden, Repository};

/// Opens what the state keeps sealed.
pub(crate) struct Keys<'a> {
    pub(crate) state: &'a State,
    pub(crate) opener: &'a dyn Opener,
}

impl<'a> Keys<'a> {
    pub(super) fn find(&self, name: &str) -> Result<&'a BackupRepository, OrderError> {
        match self.state.repositories.get(name) {
            Some(repository) => Ok(repository),
            None => gone(format!("there is no repository {name} any more")),
        }
    }

    /// A repository with all it takes to open it.
    pub(crate) fn repository(&self, name: &str, create: bool) -> Result<Repository, OrderError> {
        self.opened(self.find(name)?, create)
    }

    fn opened(&self, known: &BackupRepository, create: bool) -> Result<Repository, OrderError> {
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
