//! The file as it is written. Unknown keys are refused: a misspelt one would otherwise be a rule that nobody keeps.

use super::rules::{DrillRules, Probe, RepositoryRules, Rules};
use crate::{Backup, ComponentName, Method, Quiesce, Tier};
use omni_common::domain::backup::Span;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The only version that there is.
pub(super) const VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: u32,
    pub(super) time_zone: String,
    pub(super) catch_up: CatchUp,
    pub(super) limits: Limits,
    pub(super) repositories: BTreeMap<String, RepositoryRules>,
    pub(super) tiers: BTreeMap<Tier, OfTier>,
    pub(super) policies: BTreeMap<ComponentName, Spanned<OfComponent>>,
    pub(super) covered: BTreeMap<ComponentName, ComponentName>,
    pub(super) none: BTreeMap<ComponentName, String>,
}

/// What is made up for after downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatchUp {
    /// Which of the runs that were missed.
    pub mode: CatchUpMode,
    /// For whom.
    pub after: CatchUpAfter,
    /// They begin within this.
    pub spread: Span,
}

/// Which of the runs that were missed are made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUpMode {
    /// The newest.
    Newest,
    /// None: the next one comes at its time.
    None,
}

/// For whom runs are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUpAfter {
    /// For what is older than half of what it may be.
    HalfMaxAge,
}

/// How many runs there are at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// On one host.
    pub per_host: u32,
    /// On one repository.
    pub per_repository: u32,
    /// Drills on one host.
    pub drills_per_host: u32,
}

/// What a repository is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Disks of a server.
    Disk,
    /// An object store.
    Object,
    /// Tapes.
    Tape,
}

/// References to secrets; never a value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Name at the server.
    pub user: Option<String>,
    /// Where the server's password or key is.
    pub secret: String,
    /// Where the repository's password is.
    pub password: String,
}

/// Who takes care of a repository, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// By what way.
    pub via: Via,
    /// Where it is on the server's disk.
    #[serde(default)]
    pub path: Option<String>,
    /// Where the key that may delete is.
    #[serde(default)]
    pub secret: Option<String>,
    /// Retention.
    pub prune: Prune,
    /// Checks.
    pub check: Check,
}

/// By what way snapshots are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// On the server's own disk: nobody may through its address.
    ServerDisk,
    /// Through its address, with credentials.
    Credentials,
}

/// When a repository is taken care of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Retention.
    pub prune: Prune,
    /// Checks.
    pub check: Check,
}

/// When retention is applied.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// Five cron fields.
    pub schedule: String,
    /// Given up after this long.
    pub max_duration: Span,
    /// Unused space that may stay.
    pub max_unused: String,
    /// Most that is written anew at a time.
    pub max_repack_size: String,
}

/// When a repository is checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Five cron fields.
    pub schedule: String,
    /// Given up after this long.
    pub max_duration: Span,
    /// The data is read once in so many checks.
    pub read_data_parts: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Times {
    pub(super) time_zone: String,
    pub(super) schedule: String,
    pub(super) jitter: Span,
    pub(super) max_duration: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copies {
    pub(super) to: Vec<String>,
    pub(super) max_duration: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drill {
    pub(super) schedule: String,
    pub(super) jitter: Span,
    pub(super) max_duration: Span,
    pub(super) max_age: Span,
    pub(super) restore_within: Span,
    #[serde(rename = "host")]
    _host: DrillHost,
    #[serde(rename = "copy")]
    _copy: DrillCopy,
    #[serde(default)]
    pub(super) probe: Option<Probe>,
}

/// The only host that drills are done on: another than the component's.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DrillHost {
    Other,
}

/// The only order in which drills go through the repositories: each in turn.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DrillCopy {
    Rotate,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTier {
    pub(super) repository: String,
    pub(super) backup: Times,
    pub(super) copy: Copies,
    pub(super) max_age: Span,
    pub(super) retention: BTreeMap<String, String>,
    pub(super) drill: Drill,
    pub(super) maintenance: Maintenance,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfComponent {
    pub(super) system: u16,
    pub(super) tier: Tier,
    pub(super) catalogue_tier: Tier,
    pub(super) take: Take,
    #[serde(default)]
    pub(super) keys_elsewhere: Vec<String>,
    pub(super) repository: String,
    pub(super) tags: Vec<String>,
    pub(super) backup: Times,
    pub(super) copy: Copies,
    pub(super) max_age: Span,
    pub(super) worst_age: Span,
    pub(super) retention: BTreeMap<String, String>,
    pub(super) drill: Drill,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// What is taken, as the catalogue had it when the file was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Take {
    /// By what.
    pub(super) method: Method,
    /// Who holds the databases.
    #[serde(default)]
    pub(super) server: Option<ComponentName>,
    /// Which.
    #[serde(default)]
    pub(super) databases: Vec<String>,
    /// Paths in the container.
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// Paths on the host.
    #[serde(default)]
    pub(super) host_paths: Vec<String>,
    /// Buckets.
    #[serde(default)]
    pub(super) buckets: Vec<String>,
    /// A command.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// What is done meanwhile.
    pub(super) quiesce: Quiesce,
    /// Whose backups belong together with it.
    #[serde(default)]
    pub(super) same_moment: Vec<ComponentName>,
}

impl Take {
    /// Whether the catalogue says the same.
    pub(super) fn agrees(&self, backup: &Backup) -> bool {
        *self
            == Self {
                method: backup.method,
                server: backup.server.clone(),
                databases: backup.databases.clone(),
                paths: backup.paths.clone(),
                host_paths: backup.host_paths.clone(),
                buckets: backup.buckets.clone(),
                command: backup.command.clone(),
                quiesce: backup.quiesce,
                same_moment: backup.same_moment.clone(),
            }
    }
}

/// What the file says of a component that the catalogue knows better.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// It has rules.
    Policy { system: u16, tier: Tier, take: Box<Take>, keys: Vec<String> },
    /// Another's backup covers it.
    Covered(ComponentName),
    /// It has nothing to keep.
    Nothing,
}

impl File {
    pub(super) fn said(&self) -> BTreeMap<String, Said> {
        let policies = self.policies.iter().map(|(name, one)| {
            let one = &one.value;
            let said = Said::Policy {
                system: one.system,
                tier: one.catalogue_tier,
                take: Box::new(one.take.clone()),
                keys: one.keys_elsewhere.clone(),
            };
            (name.to_string(), said)
        });
        let covered = self.covered.iter().map(|(name, by)| (name.to_string(), Said::Covered(by.clone())));
        let none = self.none.keys().map(|name| (name.to_string(), Said::Nothing));
        policies.chain(covered).chain(none).collect()
    }
}

impl From<Drill> for DrillRules {
    fn from(drill: Drill) -> Self {
        Self {
            schedule: drill.schedule,
            jitter: drill.jitter,
            max_duration: drill.max_duration,
            max_age: drill.max_age,
            restore_within: drill.restore_within,
            probe: drill.probe,
        }
    }
}

impl From<OfTier> for Rules {
    fn from(one: OfTier) -> Self {
        rules(one.repository, one.backup, one.copy, one.max_age, one.retention, one.drill, None)
    }
}

impl From<OfComponent> for Rules {
    fn from(one: OfComponent) -> Self {
        rules(one.repository, one.backup, one.copy, one.max_age, one.retention, one.drill, one.reason)
    }
}

fn rules(
    repository: String,
    backup: Times,
    copy: Copies,
    max_age: Span,
    retention: BTreeMap<String, String>,
    drill: Drill,
    reason: Option<String>,
) -> Rules {
    Rules {
        repository,
        copy_to: copy.to,
        copy_duration: copy.max_duration,
        schedule: backup.schedule,
        time_zone: backup.time_zone,
        jitter: backup.jitter,
        max_duration: backup.max_duration,
        max_age,
        retention,
        drill: drill.into(),
        reason,
    }
}
