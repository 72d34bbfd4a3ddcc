//! What holds for a component or a tier, and for a repository.

use super::file::{Access, Credentials, Medium};
use crate::Tier;
use omni_common::domain::backup::{DrillOptions, PolicyOptions, Span};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What holds for the backups of a component, or of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Name of the repository.
    pub repository: String,
    /// Names of those that snapshots are copied to.
    pub copy_to: Vec<String>,
    /// Copies that take longer are given up.
    pub copy_duration: Span,
    /// Five cron fields.
    pub schedule: String,
    /// Time zone of the schedules.
    pub time_zone: String,
    /// Runs begin up to this much later.
    pub jitter: Span,
    /// A run that takes longer is given up.
    pub max_duration: Span,
    /// Oldest that the newest proven snapshot may be.
    pub max_age: Span,
    /// What is kept: `last`, `within`, `hourly` … `yearly`.
    pub retention: BTreeMap<String, String>,
    /// How restores are proven.
    pub drill: DrillRules,
    /// Why it differs from its tier, in words.
    pub reason: Option<String>,
}

/// How restores are proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillRules {
    /// Five cron fields.
    pub schedule: String,
    /// They begin up to this much later.
    pub jitter: Span,
    /// One that takes longer is given up.
    pub max_duration: Span,
    /// Oldest that the last one that passed may be.
    pub max_age: Span,
    /// One that takes longer has failed.
    pub restore_within: Span,
    /// What has to hold; absent in the rules of a tier, which know no product.
    pub probe: Option<Probe>,
}

impl Rules {
    /// The same in the words of `x-omni.backup`, as the last layer below what people say.
    pub fn options(&self) -> PolicyOptions {
        PolicyOptions {
            skip: None,
            to: Some(self.repository.clone()),
            copy_to: Some(self.copy_to.clone()),
            schedule: Some(self.schedule.clone()),
            time_zone: Some(self.time_zone.clone()),
            jitter: Some(self.jitter),
            max_duration: Some(self.max_duration),
            max_age: Some(self.max_age),
            retention: Some(self.retention.clone()),
            drill: Some(DrillOptions {
                skip: None,
                schedule: Some(self.drill.schedule.clone()),
                max_age: Some(self.drill.max_age),
                restore_within: Some(self.drill.restore_within),
                probes: None,
            }),
        }
    }
}

/// What a drill has to show.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// By what it is shown.
    pub kind: ProbeKind,
    /// Of SQL: which one.
    #[serde(default)]
    pub engine: Option<Engine>,
    /// What is made for it.
    #[serde(default)]
    pub restore_into: Option<RestoreInto>,
    /// Of SQL: what has to be answered.
    #[serde(default)]
    pub query: Option<String>,
    /// Of HTTP: the path that has to answer.
    #[serde(default)]
    pub path: Option<String>,
    /// What is held against what was written down at backup time.
    pub compare: Vec<Compare>,
}

/// By what a restore is shown to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// Number, bytes and hashes of files.
    Files,
    /// A server that took the dump answers.
    Sql,
    /// A server that loaded the file.
    Redis,
    /// A server that was started from the data.
    Http,
    /// Objects of a bucket.
    Objects,
    /// Repositories of Git.
    Git,
    /// An archive with sums of its own.
    Archive,
}

/// A database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    Postgresql,
    /// MariaDB or MySQL.
    Mariadb,
    /// SQLite.
    Sqlite,
    /// ClickHouse.
    Clickhouse,
}

/// What a drill restores into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreInto {
    /// A server made for it.
    ScratchServer,
    /// Folders made for it.
    ScratchFiles,
    /// One file.
    File,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// How many files or objects.
    Count,
    /// How many bytes.
    Bytes,
    /// Hashes of some files.
    SampleHashes,
    /// Names of databases.
    Databases,
    /// Names of tables.
    Tables,
    /// Rows of each table.
    RowCounts,
    /// How many keys.
    Keys,
    /// Names of collections.
    Collections,
    /// Points of each collection.
    Points,
    /// Names of repositories.
    Repositories,
    /// Branches and tags.
    Refs,
    /// Entries of an archive.
    Entries,
    /// Its own sums.
    Sums,
    /// Index of the state.
    StateIndex,
}

/// What is said of a repository by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryRules {
    /// Where it lies, in a word.
    pub site: String,
    /// Whose data is in it.
    pub tier: Tier,
    /// Its address, with variables.
    pub url: String,
    /// Its region, or a variable.
    pub region: String,
    /// What it is kept on.
    pub medium: Medium,
    /// Who writes to it cannot delete from it.
    pub append_only: bool,
    /// It is not where the apps are.
    pub offsite: bool,
    /// What its server wants to see.
    pub credentials: Credentials,
    /// When it is pruned and checked, and by whom.
    pub maintenance: Access,
}
