//! How a component's data gets into a repository, and out again.

use crate::ComponentName;
use serde::{Deserialize, Serialize};

/// What takes the data. Paths, host paths and buckets of a [`Backup`] go along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The files of `paths`.
    Volume,
    /// Dumps of `databases`, and the roles when that is every one.
    Postgres,
    /// Dumps of `databases`.
    Mariadb,
    /// A background save and its file.
    Redis,
    /// The online copy of each database file.
    Sqlite,
    /// A snapshot of each collection.
    Qdrant,
    /// ClickHouse's own backup of `databases`.
    Clickhouse,
    /// A snapshot of the time series.
    Prometheus,
    /// Gitea's dump with its database.
    Gitea,
    /// Database, configuration and files from the same moment.
    Mattermost,
    /// The database, and exports of workflows and credentials.
    N8n,
    /// A Raft snapshot of OpenBao or Vault.
    Openbao,
    /// A mirror of `buckets`.
    S3,
    /// The files of `host_paths`.
    HostPath,
    /// Whatever `command` writes.
    Command,
    /// A snapshot of omni's own state.
    Omni,
    /// Covered by the backup of `shared_with`.
    Shared,
    /// Nothing worth keeping.
    None,
}

/// What is done to a component while its files are read; always undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quiesce {
    /// Nothing.
    #[default]
    None,
    /// Its processes are frozen.
    Pause,
    /// It is stopped.
    Stop,
    /// It is told to refuse writes.
    ReadOnly,
}

/// How a component's data gets into a repository, and out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// What takes the data.
    pub method: Method,
    /// The component whose backup covers this one.
    #[serde(default)]
    pub shared_with: Option<ComponentName>,
    /// Who holds `databases`; the component itself when absent.
    #[serde(default)]
    pub server: Option<ComponentName>,
    /// Databases to dump; `*` is every one.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Paths inside the container.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Paths on the host.
    #[serde(default)]
    pub host_paths: Vec<String>,
    /// Buckets; `*` is every one.
    #[serde(default)]
    pub buckets: Vec<String>,
    /// A command inside the container; `<file>` stands for what it must write.
    #[serde(default)]
    pub command: Vec<String>,
    /// The command that takes it back; `<file>` stands for what it reads.
    #[serde(default)]
    pub load: Vec<String>,
    /// What is done to it meanwhile.
    #[serde(default)]
    pub quiesce: Quiesce,
    /// Backups that are consistent only when taken at the same moment.
    #[serde(default)]
    pub same_moment: Vec<ComponentName>,
    /// Secrets without which the restored data is worthless.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What is kept, in words.
    pub what: String,
    /// How it comes back, in words.
    pub restore: String,
}
