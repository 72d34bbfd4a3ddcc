//! Backups: runs, snapshots, restores, policies, and how all of it stands.

use super::CommaList;
use crate::clock::Time;
use crate::domain::backup::{ItemName, ItemOutcome, PolicyOptions, Probe, RunProgress, RunState, Span};
use crate::ids::{HostId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Takes data.
    Backup,
    /// Copies snapshots to another repository.
    Copy,
    /// Looks whether a repository is whole.
    Check,
    /// Applies retention.
    Prune,
    /// Brings data back.
    Restore,
    /// Brings data back into scratch space and looks at it.
    Drill,
    /// A part of the move of an app to another host.
    Move,
}

/// One long job on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// What it is for.
    pub kind: RunKind,
    /// How it stands.
    pub state: RunState,
    /// Environment of its app.
    pub environment: Option<String>,
    /// Its app; absent when it is about a repository.
    pub app: Option<String>,
    /// Group of the app.
    pub group: Option<String>,
    /// Instance of the group.
    pub slot: Option<u32>,
    /// The repository; of a copy the one that is copied from.
    pub repository: String,
    /// Of a copy: where to.
    pub to: Option<String>,
    /// Where it runs.
    pub host: Option<HostId>,
    /// That host's name.
    pub host_name: Option<String>,
    /// When it was made.
    pub created: Time,
    /// When its host began.
    pub began: Option<Time>,
    /// When it was over.
    pub ended: Option<Time>,
    /// Who wanted it; `omni` for a schedule.
    pub by: String,
    /// The time of the schedule that it serves.
    pub due: Option<Time>,
    /// Which try this is.
    pub attempt: u32,
    /// Given up after this long, milliseconds.
    pub max_duration_ms: u64,
    /// What became of its items.
    pub items: Vec<ItemOutcome>,
    /// Stable word for why it failed.
    pub code: Option<String>,
    /// One sentence: why it stands as it does.
    pub message: Option<String>,
    /// How far it is; absent when it does not run or nothing was heard of it.
    pub progress: Option<RunProgress>,
}

/// Which runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct RunsQuery {
    /// Only of apps in this environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Only of apps of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only of these kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub kind: Option<CommaList>,
    /// Only in these states.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub state: Option<CommaList>,
    /// Only those that use this repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// From a page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A run to begin now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StartRun {
    /// Take a backup of every instance of an app.
    Backup {
        /// Its environment.
        environment: String,
        /// Its name.
        app: String,
        /// Repository; the policy's when absent.
        #[serde(default)]
        to: Option<String>,
    },
    /// Prove that an app can be restored.
    Drill {
        /// Its environment.
        environment: String,
        /// Its name.
        app: String,
        /// From this repository; the policy's when absent.
        #[serde(default)]
        from: Option<String>,
        /// On this host; any but the app's own when absent.
        #[serde(default)]
        host: Option<String>,
    },
    /// Look whether a repository is whole.
    Check {
        /// Which.
        repository: String,
        /// Read all of its data too.
        #[serde(default)]
        read_data: bool,
    },
    /// Apply retention to a repository.
    Prune {
        /// Which.
        repository: String,
    },
}

/// One item at one moment, in one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotView {
    /// Full id in its repository.
    pub id: String,
    /// Environment of its app.
    pub environment: String,
    /// Its app.
    pub app: String,
    /// Group of the app.
    pub group: String,
    /// Instance of the group.
    pub slot: u32,
    /// What of it.
    pub item: ItemName,
    /// Where it lies.
    pub repository: String,
    /// Moment that the data is of.
    pub taken: Time,
    /// When it was put into this repository.
    pub stored: Time,
    /// The run that took it.
    pub run: RunId,
    /// Where the data was.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Release that ran.
    pub release: u64,
    /// Nothing is missing from it.
    pub whole: bool,
    /// Bytes of the data.
    pub bytes: u64,
    /// Of those, new in the repository.
    pub added_bytes: u64,
    /// Files of it.
    pub files: u64,
}

/// Which snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct SnapshotsQuery {
    /// Only of apps in this environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Only of apps of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Only in this repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Only of this item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// From a page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which folder of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct FilesQuery {
    /// Path within the item, from its root `/`, which it is when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// At most this many; as many as a page may have when absent, since each page opens the repository anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// From a page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Data to be brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRestore {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Which group; the only one with data when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Which instance of it.
    #[serde(default)]
    pub slot: u32,
    /// A snapshot, or a run that took some, by id or its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The newest that is not newer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Only these items; all when empty.
    #[serde(default)]
    pub items: Vec<ItemName>,
    /// Only this path of the one item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From this repository; the policy's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Into this folder of `host`, instead of the app's own volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The host that `folder` is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only fill what is absent or empty, instead of replacing what is there.
    #[serde(default)]
    pub keep: bool,
    /// Stop the app for it when it runs, and start it again afterwards.
    #[serde(default)]
    pub stop: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a restore does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlan {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Which group.
    pub group: String,
    /// Which instance.
    pub slot: u32,
    /// From which repository.
    pub repository: String,
    /// Moment that the data is of.
    pub taken: Time,
    /// What is brought back.
    pub items: Vec<RestoredItem>,
    /// On which host.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Into which folder of it; absent for the app's own volumes.
    pub folder: Option<String>,
    /// The app is stopped for it and started afterwards.
    pub stops: bool,
    /// The run; absent when nothing was begun.
    pub run: Option<RunView>,
}

/// What is brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoredItem {
    /// Which item.
    pub item: ItemName,
    /// Of which snapshot.
    pub snapshot: String,
    /// Bytes of it.
    pub bytes: u64,
}

/// What holds for an app's backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupPolicyView {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Nothing of it is backed up.
    pub skip: bool,
    /// Repository.
    pub to: Option<String>,
    /// Repositories that snapshots are copied to.
    pub copy_to: Vec<String>,
    /// When backups begin.
    pub schedule: String,
    /// Time zone of schedules.
    pub time_zone: String,
    /// Runs begin up to this much later.
    pub jitter: Span,
    /// A run that takes longer is given up.
    pub max_duration: Span,
    /// Copies that take longer are given up.
    pub copy_duration: Span,
    /// Oldest that the newest proven snapshot may be.
    pub max_age: Span,
    /// What is kept, in restic's words.
    pub retention: BTreeMap<String, String>,
    /// How restores are proven; absent for not at all.
    pub drill: Option<DrillPolicyView>,
    /// What is taken, by group.
    pub items: BTreeMap<String, Vec<ItemView>>,
    /// What was set by hand.
    pub by_hand: Option<PolicyOptions>,
    /// Whose rules hold where nobody says anything: of a component of the platform, or of a tier.
    pub follows: PolicySource,
    /// Why these rules differ from the tier's, in words.
    pub reason: Option<String>,
    /// Who says each value, by its name here: `schedule`, `drill.max_age` and so on. What nobody says is absent.
    pub sources: BTreeMap<String, PolicySource>,
    /// Why it cannot be carried out as it stands.
    pub fault: Option<String>,
}

/// Who says a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySource {
    /// Who.
    pub kind: PolicySourceKind,
    /// Of a component or a tier: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Who says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicySourceKind {
    /// A person, for this app.
    ByHand,
    /// The app's compose file.
    File,
    /// The cluster's defaults.
    Defaults,
    /// The policy of a component of the platform.
    Component,
    /// The policy of a tier.
    Tier,
    /// Nobody: there is only one repository.
    OnlyOne,
}

/// How restores are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillPolicyView {
    /// When drills begin.
    pub schedule: String,
    /// Oldest that the last drill that passed may be.
    pub max_age: Span,
    /// One that takes longer has failed.
    pub restore_within: Span,
    /// What has to hold.
    pub probes: Vec<Probe>,
}

/// Something that is taken. Commands are not shown: they may hold passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemView {
    /// Its name.
    pub name: ItemName,
    /// How: `volume`, `path`, `postgres`, `mariadb`, `redis`, `command`.
    pub method: String,
    /// The volume, path or service.
    pub of: String,
    /// What is done meanwhile: `none`, `pause`, `stop`, `hook`.
    pub quiesce: String,
}

/// What holds for every app's backups that says nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupDefaults {
    /// In place of what the policies of components and tiers say.
    pub policy: PolicyOptions,
    /// Runs at a time on one host; as the policies say when absent.
    #[serde(default)]
    pub per_host: Option<u32>,
    /// Runs at a time on one repository; as the policies say when absent.
    #[serde(default)]
    pub per_repository: Option<u32>,
    /// Drills at a time on one host; as the policies say when absent.
    #[serde(default)]
    pub drills_per_host: Option<u32>,
    /// After downtime, runs that are made up begin within this; as the policies say when absent.
    #[serde(default)]
    pub spread: Option<Span>,
    /// What follows from these and the policies. Told, and not looked at when it is sent.
    #[serde(default)]
    pub limits: Option<BackupLimits>,
}

/// How many runs there are at a time, and what is made up for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupLimits {
    /// Runs at a time on one host.
    pub per_host: u32,
    /// Runs at a time on one repository.
    pub per_repository: u32,
    /// Drills at a time on one host.
    pub drills_per_host: u32,
    /// After downtime, the newest run that was missed is made up for.
    pub catch_up: bool,
    /// Such runs begin within this.
    pub spread: Span,
}

/// How protected an app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// The newest proven snapshot is young enough, and a drill has shown that it comes back.
    Proven,
    /// It has no data, or somebody said that it needs no backup.
    NotNeeded,
    /// Its snapshots are young enough, but no drill has shown lately that they come back.
    Unproven,
    /// The newest proven snapshot is older than it may be.
    Overdue,
    /// There is none.
    Unprotected,
}

/// How the backups of an app stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppBackupView {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// In a word.
    pub protection: Protection,
    /// In a sentence: what is lost when its host dies now, and when it is back.
    pub sentence: String,
    /// Age of the newest proven snapshot, milliseconds: what would be lost now.
    pub age_ms: Option<u64>,
    /// Oldest that it may be, milliseconds.
    pub max_age_ms: u64,
    /// Why it is not younger, in words.
    pub why: String,
    /// How long the last drill that passed took, milliseconds.
    pub restore_ms: Option<u64>,
    /// When it was.
    pub drilled: Option<Time>,
    /// About drills, in words.
    pub drill_why: String,
    /// What lies in each repository that it belongs into.
    pub copies: Vec<CopyView>,
    /// Copies with the data itself, of which three are wanted.
    pub copy_count: u32,
    /// Kinds of media of the backups, of which two are wanted.
    pub media: u32,
    /// Backups off site, of which one is wanted.
    pub offsite: u32,
    /// What of three copies, two media, one off site and one append-only is missing.
    pub missing: Vec<String>,
    /// When the next backup is due.
    pub next: Option<Time>,
    /// When the next drill begins at the earliest.
    pub next_drill: Option<Time>,
}

/// What of an app lies in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyView {
    /// Which.
    pub repository: String,
    /// Moment that the newest whole snapshot there is of.
    pub newest: Option<Time>,
    /// Whether its last check passed; absent when there was none.
    pub checked: Option<bool>,
    /// How many backups are known there.
    pub count: u32,
}
