//! What can be typed about backups.

use super::AppArg;
use crate::complete;
use crate::moment;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use omni_common::domain::backup::Span;
use std::path::PathBuf;
use std::time::Duration;

/// Whether to wait for runs, and how long.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FollowArg {
    /// Wait for the outcome, but no longer than this (24h when no length is given); on by itself in a terminal
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "24h", value_parser = moment::length)]
    pub wait: Option<Duration>,
    /// Do not wait for the outcome
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
}

/// `backup …`
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// How protected each app is: what is lost when its host dies now, and when it is back
    Status,
    /// Take a backup of an app now
    Run {
        /// Which app.
        #[command(flatten)]
        app: AppArg,
        /// Repository; the policy's when absent
        #[arg(long, value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        to: Option<String>,
        /// Whether to wait.
        #[command(flatten)]
        follow: FollowArg,
    },
    /// Runs: backups, copies, checks, prunes, restores, drills; newest first
    #[command(alias = "ls")]
    List(RunsArgs),
    /// Everything about one run
    Show {
        /// Id, or its last eight digits
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Give a run up
    Cancel {
        /// Ids, or their last eight digits
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<String>,
    },
    /// Repositories: list (the default), add, show, check, prune, unlock, rm
    Repo {
        /// What to do.
        #[command(subcommand)]
        command: Option<RepoCommand>,
    },
    /// What holds for an app's backups: show, set, unset
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// What holds for apps that say nothing else: shown, or set with a flag
    Defaults(DefaultsArgs),
}

/// `backup list`
#[derive(Debug, Default, Args)]
pub(crate) struct RunsArgs {
    /// Only of this app: `NAME`, or `ENVIRONMENT/NAME`
    #[arg(value_name = "APP", add = ArgValueCompleter::new(complete::apps))]
    pub app: Option<String>,
    /// Only of this kind; may be repeated
    #[arg(long, value_name = "KIND", value_parser = ["backup", "copy", "check", "prune", "restore", "drill"])]
    pub kind: Vec<String>,
    /// Only in this state; may be repeated
    #[arg(long, value_name = "STATE", value_parser = ["queued", "running", "succeeded", "partial", "failed", "cancelled"])]
    pub state: Vec<String>,
    /// Only those that use this repository
    #[arg(long = "repo", value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
    pub repository: Option<String>,
    /// At most this many
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50)]
    pub limit: u32,
}

/// `backup repo …`
#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    /// List repositories
    #[command(alias = "ls")]
    List,
    /// Add a repository
    Add(Box<RepoAddArgs>),
    /// Everything about one repository
    Show {
        /// Name
        #[arg(value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        name: String,
    },
    /// Look whether a repository is whole
    Check {
        /// Name
        #[arg(value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        name: String,
        /// Read all of its data too, which takes long
        #[arg(long)]
        read_data: bool,
        /// Whether to wait.
        #[command(flatten)]
        follow: FollowArg,
    },
    /// Apply retention to a repository: forget what is no longer kept, and free its space
    Prune {
        /// Name
        #[arg(value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        name: String,
        /// Whether to wait.
        #[command(flatten)]
        follow: FollowArg,
    },
    /// Remove the locks that dead processes have left in a repository
    Unlock {
        /// Name
        #[arg(value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        name: String,
        /// Also those of processes that are at work, or may be: what they have written since their last whole snapshot is
        /// lost
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Forget a repository; what lies in it stays there
    Rm {
        /// Name
        #[arg(value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What a repository is kept on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum MediumArg {
    /// Disks of a server
    Disk,
    /// An object store
    Object,
    /// Something else
    Other,
}

/// `backup repo add`
#[derive(Debug, Args)]
pub(crate) struct RepoAddArgs {
    /// Name for it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// As restic writes it: `/FOLDER`, `rest:https://HOST:8000/`, `s3:https://HOST/BUCKET`, `sftp://USER@HOST//FOLDER`, `rclone:REMOTE:PATH`
    #[arg(value_name = "LOCATION")]
    pub location: String,
    /// Region that it lies in
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// What it is kept on; an object store for S3, else disks when absent
    #[arg(long, value_name = "MEDIUM", value_enum)]
    pub medium: Option<MediumArg>,
    /// It is not where the apps are
    #[arg(long)]
    pub offsite: bool,
    /// What is in it cannot be deleted by those who write to it
    #[arg(long)]
    pub append_only: bool,
    /// The host that it lies on, or the only one that reaches it; needed for a folder. `*` when every host has the same
    /// folder there, as on a network file system
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Option<String>,
    /// Secret that is its password; one is made when absent
    #[arg(long, value_name = "SECRET", add = ArgValueCompleter::new(complete::secrets))]
    pub password_secret: Option<String>,
    /// User of its REST server; with --server-secret
    #[arg(long, value_name = "NAME", requires = "server_secret")]
    pub user: Option<String>,
    /// Key id of its object store; with --server-secret
    #[arg(long, value_name = "ID", requires = "server_secret", conflicts_with = "user")]
    pub access_key_id: Option<String>,
    /// Region of its object store
    #[arg(long, value_name = "REGION", requires = "access_key_id")]
    pub s3_region: Option<String>,
    /// Secret that its server wants to see: the user's password, the store's key, or the private SSH key
    #[arg(long, value_name = "SECRET", add = ArgValueCompleter::new(complete::secrets))]
    pub server_secret: Option<String>,
    /// File of `known_hosts` lines of its SSH server
    #[arg(long, value_name = "FILE", requires = "server_secret")]
    pub known_hosts: Option<PathBuf>,
    /// Variable of rclone from a secret: `RCLONE_…=SECRET`; may be repeated
    #[arg(long, value_name = "VAR", conflicts_with_all = ["user", "access_key_id", "server_secret"])]
    pub rclone: Vec<String>,
    /// File with the certificates of its server's authority, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Most that is sent, KiB a second
    #[arg(long, value_name = "KIB")]
    pub upload_kib: Option<u32>,
    /// Most that is fetched, KiB a second
    #[arg(long, value_name = "KIB")]
    pub download_kib: Option<u32>,
}

/// `backup policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// What holds, and what of the app is taken
    Show(AppArg),
    /// Set by hand, over what the app's file says; what is not named goes back to the file's
    Set {
        /// Which app.
        #[command(flatten)]
        app: AppArg,
        /// What holds.
        #[command(flatten)]
        policy: PolicyArgs,
    },
    /// Go back to what the app's file says
    Unset(AppArg),
}

/// What holds for backups.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyArgs {
    /// Repository
    #[arg(long, value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
    pub to: Option<String>,
    /// Also copy to this one; may be repeated
    #[arg(long, value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
    pub copy_to: Vec<String>,
    /// Five cron fields, e.g. `'0 * * * *'`
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// Of schedules, e.g. `Europe/Berlin`
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Oldest that the newest proven snapshot may be
    #[arg(long, value_name = "LENGTH")]
    pub max_age: Option<Span>,
    /// A run that takes longer is given up
    #[arg(long, value_name = "LENGTH")]
    pub max_duration: Option<Span>,
    /// What is kept: `last=1`, `daily=30d`, …; may be repeated
    #[arg(long, value_name = "RULE")]
    pub keep: Vec<String>,
    /// Five cron fields for drills
    #[arg(long, value_name = "CRON")]
    pub drill_schedule: Option<String>,
    /// No drills
    #[arg(long, conflicts_with = "drill_schedule")]
    pub no_drills: bool,
    /// No backups
    #[arg(long)]
    pub skip: bool,
}

/// `backup defaults`
#[derive(Debug, Default, Args)]
pub(crate) struct DefaultsArgs {
    /// What holds.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Runs at a time on one host; 0 for what the backup policies say
    #[arg(long, value_name = "NUMBER")]
    pub per_host: Option<u32>,
    /// Runs at a time on one repository; 0 for what the backup policies say
    #[arg(long, value_name = "NUMBER")]
    pub per_repository: Option<u32>,
    /// Drills at a time on one host; 0 for what the backup policies say
    #[arg(long, value_name = "NUMBER")]
    pub drills_per_host: Option<u32>,
}

/// `snapshots …`
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// What is in a snapshot, one folder at a time
    #[command(alias = "ls")]
    Files(FilesArgs),
}

/// `snapshots files`
#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Its id, or the beginning of it
    #[arg(value_name = "SNAPSHOT")]
    pub snapshot: String,
    /// Folder in it, from the root of what was taken
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: String,
    /// At most this many; all when absent
    #[arg(long, short = 'n', value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// `snapshots`
#[derive(Debug, Args)]
pub(crate) struct SnapshotsArgs {
    /// Only of this app: `NAME`, or `ENVIRONMENT/NAME`
    #[arg(value_name = "APP", add = ArgValueCompleter::new(complete::apps))]
    pub app: Option<String>,
    /// Only in this repository
    #[arg(long = "repo", value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
    pub repository: Option<String>,
    /// Only of this item, e.g. `postgres-db`
    #[arg(long, value_name = "ITEM")]
    pub item: Option<String>,
    /// At most this many
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 100)]
    pub limit: u32,
}

/// `restore`
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// A snapshot, or a run that took some, by id or its beginning; the newest whole one when absent
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    pub snapshot: Option<String>,
    /// The newest that is not newer than this: `2h`, `04:50`, `2026-11-23 04:50`
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Only this item; may be repeated
    #[arg(long, value_name = "ITEM")]
    pub item: Vec<String>,
    /// Only this path of the one item
    #[arg(long, value_name = "PATH", requires = "item")]
    pub path: Option<String>,
    /// From this repository; the policy's when absent
    #[arg(long, value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
    pub from: Option<String>,
    /// Which group; the only one with data when absent
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Which instance of the group
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub slot: u32,
    /// Into this folder of a host, which must be empty or absent, instead of the app's own volumes
    #[arg(long, value_name = "HOST:PATH")]
    pub to_folder: Option<String>,
    /// Only fill what is absent or empty, instead of replacing what is there
    #[arg(long, conflicts_with = "to_folder")]
    pub keep: bool,
    /// Its host is lost: let it come back elsewhere with older data than its file allows, this once
    #[arg(long, conflicts_with_all = ["snapshot", "at", "item", "from", "to_folder", "keep", "dry_run"])]
    pub accept_loss: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Whether to wait.
    #[command(flatten)]
    pub follow: FollowArg,
}

/// `drills …`
#[derive(Debug, Subcommand)]
pub(crate) enum DrillsCommand {
    /// Drills that were done, newest first
    #[command(alias = "ls")]
    List,
    /// Prove now that an app can be restored: into scratch space, on another host
    Run {
        /// Which app.
        #[command(flatten)]
        app: AppArg,
        /// From this repository; the policy's when absent
        #[arg(long, value_name = "REPOSITORY", add = ArgValueCompleter::new(complete::repositories))]
        from: Option<String>,
        /// On this host; any but the app's own when absent
        #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
        on: Option<String>,
        /// Whether to wait.
        #[command(flatten)]
        follow: FollowArg,
    },
}
