//! Repositories of backups, and what policies say.

use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::backup::{PolicyOptions, Span};
use omni_common::ids::{HostId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Repositories that may exist at once.
pub const MAX_REPOSITORIES: usize = 200;

/// Where snapshots lie. Holds no secret, only their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRepository {
    /// Its name.
    pub name: String,
    /// As restic writes it; checked.
    pub location: String,
    /// Region that it lies in.
    pub region: Option<String>,
    /// What it is kept on.
    pub medium: Medium,
    /// It is not where the apps are.
    pub offsite: bool,
    /// What is in it cannot be deleted by those who write to it.
    pub append_only: bool,
    /// The host that it lies on, or the only one that reaches it.
    pub host: Option<HostId>,
    /// Most that is sent, KiB a second.
    pub upload_kib: Option<u32>,
    /// Most that is fetched, KiB a second.
    pub download_kib: Option<u32>,
    /// The secret that is its password.
    pub password: SecretName,
    /// What its server wants to see.
    pub credentials: CredentialNames,
    /// Certificates of its server's authority, PEM.
    pub ca: Option<String>,
    /// When retention is applied to it; absent for never through omni.
    pub prune: Option<Upkeep>,
    /// When it is checked; absent for never by itself.
    pub check: Option<Upkeep>,
    /// When it was added.
    pub created: Time,
    /// Checks that were concluded.
    pub checks: u64,
    /// The last one.
    pub checked: Option<Checked>,
    /// When retention was last applied.
    pub pruned: Option<Time>,
    /// Log index of the last change by a person or program.
    pub revision: u64,
}

/// What a repository is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Medium {
    /// Disks of a server.
    Disk,
    /// An object store.
    Object,
    /// Something else.
    Other,
}

/// Secrets by which a repository's server is entered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CredentialNames {
    /// None.
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

impl CredentialNames {
    /// The secrets that are named.
    pub fn names(&self) -> Vec<&SecretName> {
        match self {
            Self::None => Vec::new(),
            Self::Rest { password, .. } => vec![password],
            Self::S3 { secret_access_key, .. } => vec![secret_access_key],
            Self::Sftp { private_key, .. } => vec![private_key],
            Self::Rclone { variables } => variables.values().collect(),
        }
    }
}

/// When work on a whole repository is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// Five cron fields.
    pub schedule: String,
    /// Time zone of it.
    pub time_zone: String,
    /// Given up after this long.
    pub max_duration: Span,
    /// Of a check: the data is read once in so many checks; zero for only its structure.
    pub parts: u32,
    /// Of a prune: unused space that may stay, e.g. `10%`.
    pub max_unused: Option<String>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When.
    pub at: Time,
    /// Nothing was damaged.
    pub passed: bool,
    /// By which run.
    pub run: RunId,
}

/// What holds for every app that says nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDefaults {
    /// In place of what components' and tiers' policies say.
    pub policy: PolicyOptions,
    /// Runs at a time on one host; zero for what the backup policies say.
    pub per_host: u32,
    /// Runs at a time on one repository; zero for what the backup policies say.
    pub per_repository: u32,
    /// Drills at a time on one host; zero for what the backup policies say.
    pub drills_per_host: u32,
    /// After downtime, runs that are made up begin within this; zero for what the backup policies say.
    pub spread: Span,
}
