//! What can be typed. Nothing here is checked against the world; that is for `settings` and the commands.

mod alerts;
mod apps;
mod backups;
mod images;
mod people;
mod registry;
mod secrets;

pub(crate) use alerts::*;
pub(crate) use apps::*;
pub(crate) use backups::*;
pub(crate) use images::*;
pub(crate) use people::*;
pub(crate) use registry::*;
pub(crate) use secrets::*;

use crate::complete;
use crate::exit::EXIT_CODES;
use crate::moment;
use crate::settings::{ColourChoice, Format, Typed};
use clap::{Args, Parser, Subcommand};
use clap_complete::ArgValueCompleter;
use omni_common::api::v1::{AccessRole, HostStatus};
use std::path::PathBuf;
use std::time::Duration;

/// One platform out of many Docker hosts.
#[derive(Debug, Parser)]
#[command(name = "omni", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
#[command(
    propagate_version = false,
    infer_long_args = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Use this context instead of the current one [env: OMNI_CONTEXT]
    #[arg(long, short = 'c', global = true, value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    pub context: Option<String>,
    /// Controllers to ask, instead of the context's; may be repeated [env: OMNI_URL, parted by commas]
    #[arg(long = "url", global = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// How to print data [env: OMNI_OUTPUT]
    #[arg(long, short, global = true, value_name = "FORMAT", value_enum)]
    pub output: Option<Format>,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long = "color", alias = "colour", global = true, value_name = "WHEN", value_enum)]
    pub colour: Option<ColourChoice>,
    /// How long a request may take, e.g. `30s` [env: OMNI_TIMEOUT]
    #[arg(long, global = true, value_name = "LENGTH", value_parser = moment::length)]
    pub timeout: Option<Duration>,
    /// Read what the answering controller has, also without a leader; it may be behind
    #[arg(long, global = true)]
    pub stale: bool,
}

impl Global {
    /// The flags as settings take them.
    pub(crate) fn typed(&self) -> Typed {
        Typed {
            context: self.context.clone(),
            urls: self.urls.clone(),
            output: self.output,
            colour: self.colour,
            timeout: self.timeout,
            stale: self.stale,
        }
    }
}

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in to a cluster and keep it as a context
    Login(LoginArgs),
    /// Forget a context and its token
    Logout(LogoutArgs),
    /// Switch between clusters
    Context {
        /// What to do.
        #[command(subcommand)]
        command: ContextCommand,
    },
    /// The cluster on one screen: what runs, what needs attention, what happened
    Status,
    /// Whether all is well: exit code 0 when it is, 1 when not
    Health(HealthArgs),
    /// Deploy a compose file: read it, show what would change, and roll it out
    Deploy(DeployArgs),
    /// Compose projects that run on a host: list them, or take one over without a restart
    Adopt(AdoptArgs),
    /// Apps: list (the default), show
    #[command(args_conflicts_with_subcommands = true)]
    Apps {
        /// What to do.
        #[command(subcommand)]
        command: Option<AppsCommand>,
        /// Filters of the list.
        #[command(flatten)]
        list: AppsListArgs,
    },
    /// Releases of an app, newest first
    Releases(AppArg),
    /// What differs between two releases of an app
    Diff(DiffArgs),
    /// Move an app to a release it had before
    Rollback(RollbackArgs),
    /// A deployment under way: show, watch, pause, resume, promote, abort
    Rollout {
        /// What to do.
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// Set how many instances of an app there are
    Scale(ScaleArgs),
    /// Let a stopped app run again
    Start(RunArgs),
    /// Stop an app; its data and definition stay
    Stop(RunArgs),
    /// Replace an app's instances by fresh ones, under its own rules
    Restart(RunArgs),
    /// Move an app to another host with its data; confirm that, or take it back
    Move(MoveArgs),
    /// Remove an app; its volumes stay unless --volumes says otherwise
    Rm(RemoveArgs),
    /// Why an app runs where it does, and why not elsewhere
    Explain(AppArg),
    /// Hosts: list (the default), show, label, cordon, uncordon, drain, undrain, rm
    #[command(args_conflicts_with_subcommands = true)]
    Hosts {
        /// What to do.
        #[command(subcommand)]
        command: Option<HostsCommand>,
        /// Filters of the list.
        #[command(flatten)]
        list: HostsListArgs,
    },
    /// Place nothing new on hosts; the same as `hosts cordon`
    Cordon(HostNames),
    /// Place things on hosts again; the same as `hosts uncordon`
    Uncordon(HostNames),
    /// Empty hosts: move what runs there elsewhere, and place nothing new; the same as `hosts drain`
    Drain(DrainArgs),
    /// Let emptied hosts take work again; the same as `hosts undrain`
    Undrain(HostNames),
    /// The platform's systems, or the components of one, and what of them runs
    Systems(SystemsArgs),
    /// Images: ls (which host has which), push (from this machine to hosts)
    Image {
        /// What to do.
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Containers of all hosts
    Ps(PsArgs),
    /// Hosts, containers and GPUs, live and full screen
    Top(TopArgs),
    /// Logs of one or several containers, merged by time
    Logs(LogsArgs),
    /// Run a program in a container
    Exec(ExecArgs),
    /// What happened
    Events(EventsArgs),
    /// Alerts that Alertmanager reported: list (the default), dismiss
    #[command(args_conflicts_with_subcommands = true)]
    Alerts {
        /// What to do.
        #[command(subcommand)]
        command: Option<AlertsCommand>,
        /// Filters of the list.
        #[command(flatten)]
        list: AlertsListArgs,
    },
    /// Backups: status (the default), run, list, show, cancel, repo, policy, defaults
    Backup {
        /// What to do.
        #[command(subcommand)]
        command: Option<BackupCommand>,
    },
    /// Snapshots of apps' data: list (the default), files
    #[command(args_conflicts_with_subcommands = true)]
    Snapshots {
        /// What to do.
        #[command(subcommand)]
        command: Option<SnapshotsCommand>,
        /// Filters of the list.
        #[command(flatten)]
        list: SnapshotsArgs,
    },
    /// Bring an app's data back, or put it into a folder
    Restore(Box<RestoreArgs>),
    /// Proof that data comes back: list (the default), run
    Drills {
        /// What to do.
        #[command(subcommand)]
        command: Option<DrillsCommand>,
    },
    /// Where images come from: how hosts sign in there
    Registry {
        /// What to do; lists registries when absent.
        #[command(subcommand)]
        command: Option<RegistryCommand>,
    },
    /// Secrets: list (the default), put, get, versions, rm
    Secrets {
        /// What to do.
        #[command(subcommand)]
        command: Option<SecretsCommand>,
    },
    /// People: who may come in, what they may do, and their sessions
    Users {
        /// What to do; lists people when absent.
        #[command(subcommand)]
        command: Option<UsersCommand>,
    },
    /// Your own account: show it, change the password, sessions
    Account {
        /// What to do; shows it when absent.
        #[command(subcommand)]
        command: Option<AccountCommand>,
    },
    /// How people may sign in
    Auth {
        /// What to do.
        #[command(subcommand)]
        command: AuthCommand,
    },
    /// Tokens: for machines to join with, and for people and programs to call the API with
    Token {
        /// What to do.
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Controllers: list (the default), show, rm, transfer-leader
    Controllers {
        /// What to do.
        #[command(subcommand)]
        command: Option<ControllersCommand>,
    },
    /// Who changed what, and who was refused
    Audit(AuditArgs),
    /// Print a script that makes your shell complete commands and live names
    Completion(CompletionArgs),
    /// Version of this program and of the controller that answers
    Version,
}

/// `systems`
#[derive(Debug, Args)]
pub(crate) struct SystemsArgs {
    /// Show the components of this one: its number or codename
    #[arg(value_name = "SYSTEM")]
    pub system: Option<String>,
}

/// `logout`
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The context to forget; the current one when absent
    #[arg(value_name = "CONTEXT", add = ArgValueCompleter::new(complete::contexts))]
    pub name: Option<String>,
}

/// `context …`
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List contexts
    #[command(alias = "ls")]
    List,
    /// Make a context the current one
    Use {
        /// Which.
        #[arg(value_name = "CONTEXT", add = ArgValueCompleter::new(complete::contexts))]
        name: String,
    },
    /// Show a context, its token masked
    Show {
        /// Which; the current one when absent.
        #[arg(value_name = "CONTEXT", add = ArgValueCompleter::new(complete::contexts))]
        name: Option<String>,
    },
    /// The environment that apps are looked for in when none is named: show, or set it
    Env {
        /// Its name; shows the present one when absent.
        #[arg(value_name = "ENVIRONMENT", add = ArgValueCompleter::new(complete::environments))]
        name: Option<String>,
        /// Go back to `default`
        #[arg(long, conflicts_with = "name")]
        unset: bool,
    },
    /// Forget a context and its token
    Rm {
        /// Which.
        #[arg(value_name = "CONTEXT", add = ArgValueCompleter::new(complete::contexts))]
        name: String,
    },
}

/// `health`
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Wait until all is well, but no longer than this (2m when no length is given)
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, default_missing_value = "2m", value_parser = moment::length)]
    pub wait: Option<Duration>,
}

/// `hosts …`
#[derive(Debug, Subcommand)]
pub(crate) enum HostsCommand {
    /// List hosts
    #[command(alias = "ls")]
    List(HostsListArgs),
    /// Everything about one host
    Show {
        /// Name or id.
        #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
        host: String,
    },
    /// Set (`key=value`) and remove (`key-`) labels
    Label {
        /// Name or id.
        #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
        host: String,
        /// Labels: `key=value` sets one, `key-` removes it.
        #[arg(value_name = "LABEL", required = true)]
        labels: Vec<String>,
    },
    /// Place nothing new on hosts
    Cordon(HostNames),
    /// Place things on hosts again
    Uncordon(HostNames),
    /// Empty hosts: move what runs there elsewhere, and place nothing new
    Drain(DrainArgs),
    /// Let emptied hosts take work again
    Undrain(HostNames),
    /// Remove a host: its certificate is revoked and its session cut. Its containers keep running
    Rm {
        /// Name or id.
        #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
        host: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Filters of the list of hosts.
#[derive(Debug, Default, Args)]
pub(crate) struct HostsListArgs {
    /// Only hosts with this label: `key=value`, or `key` for any value; all that are given must hold
    #[arg(long, short, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Only hosts with this status; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = host_status)]
    pub status: Vec<HostStatus>,
    /// Only hosts in this region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// One or more hosts.
#[derive(Debug, Args)]
pub(crate) struct HostNames {
    /// Names or ids.
    #[arg(value_name = "HOST", required = true, add = ArgValueCompleter::new(complete::hosts))]
    pub hosts: Vec<String>,
}

/// `ps`
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Only containers whose name or image contains this text
    #[arg(value_name = "TEXT", add = ArgValueCompleter::new(complete::containers))]
    pub text: Option<String>,
    /// Also containers that do not run
    #[arg(long, short)]
    pub all: bool,
    /// Only on this host; may be repeated
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Vec<String>,
    /// Only with this container label: `key=value`, or `key` for any value; all that are given must hold
    #[arg(long, short, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Only of this component; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub component: Vec<String>,
    /// Only in this state (`running`, `exited` …); may be repeated
    #[arg(long, value_name = "STATE", value_parser = container_state)]
    pub state: Vec<String>,
    /// Order of the rows
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t)]
    pub sort: PsSort,
}

/// What `ps` sorts by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PsSort {
    // Host, then name.
    #[default]
    Host,
    // Name, then host.
    Name,
    // Most CPU first.
    Cpu,
    // Most memory first.
    Mem,
}

/// `top`
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Only this host; may be repeated. Named hosts report each second
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Vec<String>,
    /// Print one frame and end; needs no terminal
    #[arg(long)]
    pub once: bool,
    /// What containers are sorted by at first
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t)]
    pub sort: TopSort,
}

/// What `top` sorts containers by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TopSort {
    // Most CPU first.
    #[default]
    Cpu,
    // Most memory first.
    Mem,
    // Most network traffic first.
    Net,
    // By name.
    Name,
}

/// `logs`
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Containers: `NAME`, `HOST/NAME`, the name of a component, or the start of an id
    #[arg(value_name = "NAME", required_unless_present_any = ["component", "label"], add = ArgValueCompleter::new(complete::containers))]
    pub names: Vec<String>,
    /// Keep printing new lines
    #[arg(long, short)]
    pub follow: bool,
    /// No lines before this: `10m`, `04:50`, `2026-11-23 04:50`, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// No lines after this
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only this many of the newest lines of each container; `all` for no limit
    #[arg(long, short = 'n', value_name = "LINES", value_parser = tail, default_value = "200")]
    pub tail: Tail,
    /// Only lines that match this regular expression
    #[arg(long, short, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only containers on this host; may be repeated
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Vec<String>,
    /// All containers of this component; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub component: Vec<String>,
    /// All containers with this label: `key=value` or `key`
    #[arg(long, short, value_name = "LABEL")]
    pub label: Vec<String>,
    /// A name that several hosts have means all of them
    #[arg(long, short = 'A')]
    pub all_hosts: bool,
    /// Begin each line with its time
    #[arg(long, short)]
    pub timestamps: bool,
    /// Do not begin lines with their container's name
    #[arg(long)]
    pub no_prefix: bool,
}

/// How many lines of each container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail(pub Option<u32>);

/// `exec`
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Container: `NAME`, `HOST/NAME`, the name of a component, or the start of an id
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::containers))]
    pub name: String,
    /// Program and arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
    /// Send it our standard input; on by itself in a terminal
    #[arg(long, short)]
    pub interactive: bool,
    /// Give it a terminal; on by itself in a terminal
    #[arg(long, short, conflicts_with = "no_tty")]
    pub tty: bool,
    /// Give it no terminal
    #[arg(long, short = 'T')]
    pub no_tty: bool,
    /// Run as this user, as Docker writes it: `name`, `uid`, `uid:gid`
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Run in this directory
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Set a variable: `KEY=value`; may be repeated
    #[arg(long, short, value_name = "VAR")]
    pub env: Vec<String>,
    /// Only a container on this host
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Option<String>,
}

/// `events`
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Keep printing new events
    #[arg(long, short)]
    pub follow: bool,
    /// Only events after this number, as it stands before each line
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
    /// Only about this: app, allocation, host, container, controller, token, user, environment or cluster; may be
    /// repeated
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    pub topic: Vec<String>,
    /// Only of this kind, e.g. `host.down`; may be repeated
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Only about this host
    #[arg(long, value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub host: Option<String>,
    /// At most this many past events
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub limit: u32,
}

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for machines to join with, or an invitation for an admin; its text is shown this once
    Create {
        /// What may join with it
        #[arg(long, value_name = "ROLE", value_enum)]
        role: JoinRoleArg,
        /// How long it is good for; an hour when absent
        #[arg(long, value_name = "LENGTH", value_parser = moment::length)]
        ttl: Option<Duration>,
        /// How often it can be used; once when absent, 0 for no limit
        #[arg(long, value_name = "COUNT")]
        uses: Option<u32>,
        /// Label for the hosts that join with it: `key=value`; may be repeated
        #[arg(long, short, value_name = "LABEL")]
        label: Vec<String>,
    },
    /// Make a token for a person or a program to call the API with; its text is shown this once
    CreateApi {
        /// Whose it is; the name that the audit trail shows
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do: viewer, operator or admin
        #[arg(long, value_name = "ROLE", value_parser = clap::builder::ValueParser::new(str::parse::<AccessRole>))]
        role: AccessRole,
        /// Where it may do it.
        #[command(flatten)]
        places: PlacesArg,
        /// How long it is good for; for ever when absent
        #[arg(long, value_name = "LENGTH", value_parser = moment::length)]
        ttl: Option<Duration>,
    },
    /// List tokens, without their secrets
    #[command(alias = "ls")]
    List {
        /// Also those that have expired or are used up
        #[arg(long, short)]
        all: bool,
    },
    /// Revoke tokens: by id, by the end of an id as the list shows it, or by name
    Rm {
        /// Which.
        #[arg(value_name = "TOKEN", required = true)]
        tokens: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum JoinRoleArg {
    // A host.
    Agent,
    // A controller.
    Controller,
    // A person, who becomes an admin.
    Admin,
}

/// `controllers …`
#[derive(Debug, Subcommand)]
pub(crate) enum ControllersCommand {
    /// List controllers
    #[command(alias = "ls")]
    List,
    /// Everything about one controller
    Show {
        /// Name or number.
        #[arg(value_name = "CONTROLLER", add = ArgValueCompleter::new(complete::controllers))]
        controller: String,
    },
    /// Remove a controller from the group: its certificate is revoked and its sessions are cut
    Rm {
        /// Name or number.
        #[arg(value_name = "CONTROLLER", add = ArgValueCompleter::new(complete::controllers))]
        controller: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Take the cluster's key into escrow: without it no copy of the controllers' state can be opened. Goes to the audit trail
    Key {
        /// Write it to this new file, readable by you alone
        #[arg(long, value_name = "FILE", conflicts_with = "reveal")]
        out: Option<PathBuf>,
        /// Yes, print it
        #[arg(long)]
        reveal: bool,
    },
    /// Hand leadership over
    TransferLeader {
        /// To this one; to the most caught-up one when absent.
        #[arg(value_name = "CONTROLLER", add = ArgValueCompleter::new(complete::controllers))]
        to: Option<String>,
    },
}

/// `audit`
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only by those whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub who: Option<String>,
    /// Only actions that begin with this text, e.g. `host` or `host.update`
    #[arg(long, value_name = "TEXT")]
    pub what: Option<String>,
    /// Only with this outcome: `done`, or the code of a refusal such as `forbidden`
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// No entries before this: `10m`, `04:50`, `2026-11-23 04:50`, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// At most this many
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub limit: u32,
}

/// `completion`
#[derive(Debug, Args)]
#[command(after_help = "\
Bash:  echo 'source <(omni completion bash)' >> ~/.bashrc
Zsh:   echo 'source <(omni completion zsh)' >> ~/.zshrc
Fish:  echo 'omni completion fish | source' >> ~/.config/fish/config.fish")]
pub(crate) struct CompletionArgs {
    /// Your shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Shells that can be taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    // GNU Bash.
    Bash,
    // Z shell.
    Zsh,
    // Fish.
    Fish,
    // Elvish.
    Elvish,
    // PowerShell.
    Powershell,
}

impl Shell {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Elvish => "elvish",
            Self::Powershell => "powershell",
        }
    }
}

fn host_status(text: &str) -> Result<HostStatus, String> {
    match text {
        "up" => Ok(HostStatus::Up),
        "suspect" => Ok(HostStatus::Suspect),
        "down" => Ok(HostStatus::Down),
        "pending" => Ok(HostStatus::Pending),
        other => Err(format!("`{other}` is no status: use up, suspect, down or pending")),
    }
}

/// One thing or many: `hosts` means `host`.
fn topic(text: &str) -> Result<String, String> {
    const TOPICS: [&str; 11] = [
        "app",
        "allocation",
        "backup",
        "host",
        "container",
        "alert",
        "controller",
        "token",
        "user",
        "environment",
        "cluster",
    ];
    let one = text.strip_suffix('s').unwrap_or(text);
    if TOPICS.contains(&one) {
        Ok(one.to_owned())
    } else {
        Err(format!("`{text}` is no topic: use {}", TOPICS.join(", ")))
    }
}

fn container_state(text: &str) -> Result<String, String> {
    const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
    if STATES.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no state: use {}", STATES.join(", ")))
    }
}

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => number
            .parse()
            .map(|lines| Tail(Some(lines)))
            .map_err(|_| format!("`{number}` is no number of lines; write `all` for no limit")),
    }
}
