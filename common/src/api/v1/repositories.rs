//! Repositories of backups.

use crate::clock::Time;
use crate::domain::SecretName;
use crate::domain::backup::Span;
use crate::ids::{HostId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryView {
    /// Its name.
    pub name: String,
    /// As restic writes it. Without a password.
    pub location: String,
    /// Region that it lies in.
    pub region: Option<String>,
    /// What it is kept on.
    pub medium: RepositoryMedium,
    /// It is not where the apps are.
    pub offsite: bool,
    /// What is in it cannot be deleted by those who write to it.
    pub append_only: bool,
    /// The host that it lies on, or the only one that reaches it.
    pub host: Option<HostId>,
    /// That host's name.
    pub host_name: Option<String>,
    /// Most that is sent, KiB a second.
    pub upload_kib: Option<u32>,
    /// Most that is fetched, KiB a second.
    pub download_kib: Option<u32>,
    /// The secret that is its password.
    pub password: SecretName,
    /// What its server wants to see.
    pub credentials: RepositoryCredentials,
    /// A certificate authority of its own is set for its server.
    pub own_ca: bool,
    /// When retention is applied.
    pub prune: Option<Upkeep>,
    /// When it is checked.
    pub check: Option<Upkeep>,
    /// When it was added.
    pub created: Time,
    /// The last check.
    pub checked: Option<RepositoryCheck>,
    /// When retention was last applied.
    pub pruned: Option<Time>,
    /// Snapshots that are known to lie in it.
    pub snapshots: u64,
    /// Grows with each change.
    pub revision: u64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryCheck {
    /// When.
    pub at: Time,
    /// Nothing was damaged.
    pub passed: bool,
    /// By which run.
    pub run: RunId,
}

/// What to do about the locks of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockRepository {
    /// Remove those too whose holder is at work, or may be: it loses what it has written since its last whole snapshot.
    #[serde(default)]
    pub force: bool,
}

/// What became of the locks of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnlockedRepository {
    /// Those that were removed.
    pub removed: Vec<RepositoryLock>,
    /// Those that are there now.
    pub left: Vec<RepositoryLock>,
}

/// A lock in a repository: some process is at work there, or died there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryLock {
    /// Its id in the repository.
    pub id: String,
    /// What the machine of the process calls itself.
    pub hostname: String,
    /// User of the process.
    pub user: String,
    /// Number of the process.
    pub process: u32,
    /// When it was renewed last, which restic does every five minutes.
    pub renewed: Option<Time>,
    /// It keeps out everybody, not only who wants to keep out everybody.
    pub exclusive: bool,
    /// Name of the host of the mesh that calls itself so; absent when there is none, or more than one.
    pub host: Option<String>,
    /// How that host stands; one that is `down` has lost its lease, and may all the same still write.
    pub host_status: Option<super::HostStatus>,
    /// The run that this host is doing there.
    pub run: Option<RunId>,
    /// Whether somebody is known to be at work.
    pub holder: LockHolder,
    /// The same as a sentence.
    pub why: String,
}

/// Who is behind a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockHolder {
    /// A run of a host of the mesh.
    Run,
    /// Nobody knows: it was renewed less than half an hour ago.
    Unknown,
    /// Nobody: it was not renewed for half an hour.
    Nobody,
}

/// What a repository is kept on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryMedium {
    /// Disks of a server.
    #[default]
    Disk,
    /// An object store.
    Object,
    /// Something else.
    Other,
}

/// Secrets by which a repository's server is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryCredentials {
    /// None.
    #[default]
    None,
    /// A user of a REST server.
    Rest {
        /// Name.
        user: String,
        /// Secret with the password.
        password: SecretName,
    },
    /// Keys of an object store.
    S3 {
        /// Who.
        access_key_id: String,
        /// Secret with the key.
        secret_access_key: SecretName,
        /// Region, for stores that check it.
        region: Option<String>,
    },
    /// A key of an SSH server.
    Sftp {
        /// Secret with the private key.
        private_key: SecretName,
        /// Lines of a `known_hosts` file.
        known_hosts: Option<String>,
    },
    /// rclone's variables.
    Rclone {
        /// Secrets by variable.
        variables: BTreeMap<String, SecretName>,
    },
}

/// When work on a whole repository is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upkeep {
    /// Five cron fields.
    pub schedule: String,
    /// Time zone of it.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Given up after this long.
    pub max_duration: Span,
    /// Of a check: the data is read once in so many checks; zero for only its structure.
    #[serde(default)]
    pub parts: u32,
    /// Of a prune: unused space that may stay, e.g. `10%`.
    #[serde(default)]
    pub max_unused: Option<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A repository to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRepository {
    /// Its name.
    pub name: String,
    /// As restic writes it: `/FOLDER`, `rest:https://…`, `s3:https://…`, `sftp://…`, `rclone:REMOTE:PATH`.
    pub location: String,
    /// Region that it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What it is kept on; `object` for S3 and `disk` otherwise when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<RepositoryMedium>,
    /// It is not where the apps are.
    #[serde(default)]
    pub offsite: bool,
    /// What is in it cannot be deleted by those who write to it.
    #[serde(default)]
    pub append_only: bool,
    /// Name or id of the host that it lies on, or of the only one that reaches it; `*` for a folder that every host has, as
    /// on a network file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Most that is sent, KiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_kib: Option<u32>,
    /// Most that is fetched, KiB a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_kib: Option<u32>,
    /// The secret that is its password; one is made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretName>,
    /// What its server wants to see.
    #[serde(default)]
    pub credentials: RepositoryCredentials,
    /// Certificates of its server's authority, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// When retention is applied; once a night when absent, and never in an append-only repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Upkeep>,
    /// When it is checked; once a night when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Upkeep>,
}
