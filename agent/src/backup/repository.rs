//! A repository of an order as the one that restic is given, and the care for locks that dead processes of this host left.

use super::failure::Failure;
use omni_common::domain::backup::{self, Credentials};
use omni_restic::{Error, Limits, Repository, Restic, S3Keys, Secret, SshKey, Unlock};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// A repository that can be worked with. What goes with it on disk goes when it is dropped.
pub(super) struct Opened {
    pub(super) restic: Restic,
    pub(super) repository: Repository,
    pub(super) limits: Limits,
    _ca: Option<NamedTempFile>,
}

impl Opened {
    /// Puts it together; nothing is asked of its server yet.
    pub(super) fn new(restic: &Restic, told: &backup::Repository, work: &Path) -> Result<Self, Failure> {
        let invalid = |error: String| Failure::new("invalid", format!("repository {}: {error}", told.name));
        let location = told.location.parse().map_err(|error| invalid(format!("{error}")))?;
        let password = Secret::new(told.password.reveal());
        let repository = Repository::new(location, credentials(&told.credentials), password)
            .map_err(|error| invalid(error.to_string()))?;
        let ca = told.ca.as_deref().map(|pem| ca_file(pem, work)).transpose()?;
        let repository = match &ca {
            Some(file) => repository.with_ca_file(file.path()),
            None => repository,
        };
        let limits = Limits {
            upload_kib_per_second: told.upload_kib.filter(|kib| *kib > 0),
            download_kib_per_second: told.download_kib.filter(|kib| *kib > 0),
        };
        Ok(Self { restic: restic.clone(), repository, limits, _ca: ca })
    }

    /// Makes the repository when it is absent and that is wanted; like another one where snapshots are to be copied from
    /// there.
    pub(super) async fn ensure(&self, create: bool, like: Option<&Repository>) -> Result<(), Failure> {
        if create {
            self.restic.init(&self.repository, like).await?;
        }
        Ok(())
    }

    /// Finds that it is there and its password right.
    pub(super) async fn found(&self) -> Result<(), Failure> {
        self.restic.info(&self.repository).await?;
        Ok(())
    }

    /// Does something that a lock may keep from being done. One that a dead process of this host has left is removed, and
    /// it is done again; one of anybody else is respected.
    pub(super) async fn unlocked<T, F>(&self, mut work: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match work().await {
            Err(Error::Locked { .. }) if self.only_the_dead_hold_it().await? => {
                tracing::warn!(repository = %self.repository.location(), "lock of a dead process of this host removed");
                self.restic.unlock(&self.repository, Unlock::Stale).await?;
                Ok(work().await?)
            }
            done => Ok(done?),
        }
    }

    async fn only_the_dead_hold_it(&self) -> Result<bool, Failure> {
        let locks = self.restic.locks(&self.repository).await?;
        let host = rustix::system::uname();
        let dead = |lock: &omni_restic::Lock| {
            lock.hostname.as_bytes() == host.nodename().to_bytes()
                && !Path::new("/proc").join(lock.pid.to_string()).exists()
        };
        Ok(!locks.is_empty() && locks.iter().all(dead))
    }
}

fn credentials(told: &Credentials) -> omni_restic::Credentials {
    let secret = |hidden: &backup::Hidden| Secret::new(hidden.reveal());
    match told {
        Credentials::None => omni_restic::Credentials::None,
        Credentials::Rest { user, password } => {
            omni_restic::Credentials::Rest { user: user.clone(), password: secret(password) }
        }
        Credentials::S3 { access_key_id, secret_access_key, region } => {
            omni_restic::Credentials::S3(S3Keys {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret(secret_access_key),
                session_token: None,
                region: region.clone(),
            })
        }
        Credentials::Sftp { private_key, known_hosts } => omni_restic::Credentials::Sftp(SshKey {
            private_key: secret(private_key),
            known_hosts: known_hosts.clone(),
        }),
        Credentials::Rclone { variables } => omni_restic::Credentials::Rclone {
            config_file: None,
            variables: variables
                .iter()
                .map(|(name, value)| (name.clone(), secret(value)))
                .collect::<BTreeMap<_, _>>(),
        },
    }
}

fn ca_file(pem: &str, work: &Path) -> Result<NamedTempFile, Failure> {
    let failed = |error: std::io::Error| Failure::io("writing a certificate into", work, &error);
    let mut file = NamedTempFile::with_prefix_in("ca-", work).map_err(failed)?;
    file.write_all(pem.as_bytes()).map_err(failed)?;
    Ok(file)
}
