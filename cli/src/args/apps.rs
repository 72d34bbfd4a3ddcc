//! What can be typed about apps.

use crate::complete;
use crate::moment;
use clap::{ArgGroup, Args, Subcommand};
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;
use std::time::Duration;

/// One app.
#[derive(Clone, Debug, Args)]
pub(crate) struct AppArg {
    /// App: `NAME`, or `ENVIRONMENT/NAME`
    #[arg(value_name = "APP", add = ArgValueCompleter::new(complete::apps))]
    pub app: String,
    /// Its environment; the context's when absent, else `default` [env: OMNI_ENV]
    #[arg(long = "env", short = 'e', value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    pub environment: Option<String>,
}

/// Whether to wait, and how long.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WaitArg {
    /// Wait until it is so, but no longer than this (30m when no length is given)
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "30m", value_parser = moment::length)]
    pub wait: Option<Duration>,
}

/// `adopt`
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// Compose project; all that run on the host are listed when absent
    #[arg(value_name = "PROJECT")]
    pub project: Option<String>,
    /// Host it runs on
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: String,
    /// Name of the app; the project's when absent
    #[arg(long = "as", value_name = "APP")]
    pub name: Option<String>,
    /// Environment of the app; the context's when absent, else `default` [env: OMNI_ENV]
    #[arg(long = "env", short = 'e', value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    pub environment: Option<String>,
    /// What its definition is written from; its compose files when absent, if they can be read
    #[arg(long, value_name = "WHAT", value_parser = ["files", "containers"])]
    pub from: Option<String>,
    /// Also services of this profile; may be repeated
    #[arg(long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Set a variable of the files that came from the shell: `KEY=value`; may be repeated
    #[arg(long, value_name = "VAR")]
    pub set: Vec<String>,
    /// Only write the definition into this folder, to look at it or to change it
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["plan", "yes", "wait", "detach"])]
    pub write: Option<PathBuf>,
    /// Only print what would be done: exit code 10, as something would
    #[arg(long, conflicts_with_all = ["yes", "wait", "detach"])]
    pub plan: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Wait for the outcome, but no longer than this (30m when no length is given); on by itself in a terminal
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "30m", value_parser = moment::length)]
    pub wait: Option<Duration>,
    /// Do not wait for the outcome
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
}

/// `deploy`
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Compose files, later ones over earlier ones, or the folder they are in; the current folder when absent
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// A compose file; may be repeated. The same as PATH
    #[arg(long = "file", short, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Environment to deploy to; the context's when absent, else `default` [env: OMNI_ENV]
    #[arg(long = "env", short = 'e', value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    pub environment: Option<String>,
    /// Name of the app; that in the files when absent, else the folder's
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Also services of this profile; may be repeated
    #[arg(long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Set a variable of the files: `KEY=value`; may be repeated. It beats the shell's and `.env`
    #[arg(long, value_name = "VAR")]
    pub set: Vec<String>,
    /// Folder that nothing may be packed from outside of; the one of the first compose file when absent
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Build images again that were built from the same files before: for newer base images, say
    #[arg(long, conflicts_with = "check")]
    pub build: bool,
    /// Host that images are built on; a host of the mesh is chosen when absent
    #[arg(long, value_name = "HOST", conflicts_with = "check", add = ArgValueCompleter::new(complete::hosts))]
    pub build_on: Option<String>,
    /// Take over the running containers of this compose project: `HOST/PROJECT`; see `omni adopt`
    #[arg(long, value_name = "PROJECT")]
    pub adopt: Option<String>,
    /// Only read the files: print what they come to
    #[arg(long, conflicts_with_all = ["plan", "yes", "wait", "detach"])]
    pub check: bool,
    /// Only print what would be done: exit code 0 when nothing would change, 10 when something would
    #[arg(long, conflicts_with_all = ["yes", "wait", "detach"])]
    pub plan: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Wait for the outcome, but no longer than this (30m when no length is given); on by itself in a terminal
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "30m", value_parser = moment::length)]
    pub wait: Option<Duration>,
    /// Do not wait for the outcome
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
    /// Where it comes from, to be remembered; the Git commit of the folder when absent
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// What to remember about it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// `apps …`
#[derive(Debug, Subcommand)]
pub(crate) enum AppsCommand {
    /// List apps
    #[command(alias = "ls")]
    List(AppsListArgs),
    /// Everything about one app: what runs where, what waits and why
    Show(AppArg),
}

/// Filters of the list of apps.
#[derive(Debug, Default, Args)]
pub(crate) struct AppsListArgs {
    /// Only in this environment; all when absent
    #[arg(long = "env", short = 'e', value_name = "NAME", add = ArgValueCompleter::new(complete::environments))]
    pub environment: Option<String>,
    /// Only with an instance on this host
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Option<String>,
    /// Only whose name contains this text
    #[arg(long = "name", value_name = "TEXT")]
    pub text: Option<String>,
}

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Number of the one release; the one before TO when absent
    #[arg(value_name = "FROM")]
    pub from: Option<u64>,
    /// Number of the other; the wanted one when absent
    #[arg(value_name = "TO")]
    pub to: Option<u64>,
}

/// `rollback`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Number of the release to go to; the one before the wanted one when absent
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<u64>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArg,
}

/// `scale`
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// How many instances: `GROUP=N`, or `N` when the app has one group; `default` for what the release says
    #[arg(value_name = "COUNT", required = true)]
    pub counts: Vec<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArg,
}

/// `start`, `stop` and `restart`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArg,
}

/// `move`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["to", "confirm", "back"])))]
pub(crate) struct MoveArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Host to move to. What would be done is shown first
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub to: Option<String>,
    /// Only this group; all that can move when absent
    #[arg(long, value_name = "GROUP", requires = "to", conflicts_with = "service")]
    pub group: Option<String>,
    /// Only the group of this service
    #[arg(long, value_name = "SERVICE", requires = "to")]
    pub service: Option<String>,
    /// Repository that the data goes through; one that both hosts reach when absent
    #[arg(long, value_name = "REPOSITORY", requires = "to")]
    pub via: Option<String>,
    /// Delete what the app has left behind on other hosts. It is shown first
    #[arg(long)]
    pub confirm: bool,
    /// Give the move up, or take it back: the app goes on where it was
    #[arg(long)]
    pub back: bool,
    /// Only print what would be done
    #[arg(long, requires = "to", conflicts_with_all = ["yes", "wait", "detach"])]
    pub plan: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Wait for the outcome, but no longer than this (30m when no length is given); on by itself in a terminal
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, require_equals = true, default_missing_value = "30m", value_parser = moment::length)]
    pub wait: Option<Duration>,
    /// Do not wait for the outcome
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
}

/// `rm`
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Which app.
    #[command(flatten)]
    pub app: AppArg,
    /// Also delete its volumes: their data is lost. What is lost is shown first
    #[arg(long)]
    pub volumes: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArg,
}

/// `rollout …`
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// How the newest deployment of an app stands, and those before it
    #[command(alias = "status")]
    Show(AppArg),
    /// Follow the newest deployment until it is over
    Watch {
        /// Which app.
        #[command(flatten)]
        app: AppArg,
        /// No longer than this
        #[arg(long, value_name = "LENGTH", default_value = "30m", value_parser = moment::length)]
        limit: Duration,
    },
    /// Replace nothing more for now
    Pause(AppArg),
    /// Go on
    Resume(AppArg),
    /// Go on without waiting for health
    Promote(AppArg),
    /// Give up, and go back to the release before
    Abort {
        /// Which app.
        #[command(flatten)]
        app: AppArg,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `drain`
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Names or ids.
    #[arg(value_name = "HOST", required = true, add = ArgValueCompleter::new(complete::hosts))]
    pub hosts: Vec<String>,
    /// Stop what has found no other place after this long; without it, that is waited for
    #[arg(long, value_name = "LENGTH", value_parser = moment::length)]
    pub deadline: Option<Duration>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: WaitArg,
}
