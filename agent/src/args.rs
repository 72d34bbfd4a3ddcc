//! The command line. Each option can also come from the environment (`OMNI_*`).

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The agent of an omni host: reports the machine and its containers, and runs what the cluster asks for.
#[derive(Debug, Parser)]
#[command(name = "omni-agent", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this machine a host of a cluster, with a join token.
    Join(JoinArgs),
    /// Run the agent. Stops cleanly on SIGTERM and Ctrl-C.
    Run(RunArgs),
    /// Print the version.
    Version,
}

/// Options that every command understands.
#[derive(Debug, Default, Args)]
pub struct CommonArgs {
    /// Folder that holds the host's identity, settings and history.
    #[arg(long, env = "OMNI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Socket of the Docker engine, as `unix:///path` or a path.
    #[arg(long, env = "OMNI_DOCKER_HOST", value_name = "URL")]
    pub docker_host: Option<String>,
    /// Region of this host; controllers in it are preferred.
    #[arg(long, env = "OMNI_REGION")]
    pub region: Option<String>,
    /// Local address to speak QUIC from.
    #[arg(long, env = "OMNI_BIND", value_name = "ADDR:PORT")]
    pub bind: Option<std::net::SocketAddr>,
    /// What to log: a level, or directives such as `info,omni_agent::docker=debug`.
    #[arg(long, env = "OMNI_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log.
    #[arg(long, env = "OMNI_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<crate::config::LogFormat>,
    /// The restic program that takes backups [default: the first one on the search path].
    #[arg(long, env = "OMNI_RESTIC", value_name = "PATH")]
    pub restic: Option<std::path::PathBuf>,
    /// Seconds without any controller after which due backups are taken by this host itself; 0 for never [default: 900].
    #[arg(long, env = "OMNI_ALONE_AFTER", value_name = "SECONDS")]
    pub alone_after: Option<u64>,
    /// Print the effective configuration and exit.
    #[arg(long)]
    pub show_config: bool,
}

/// Options of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Join token, as `omni token create` printed it.
    #[arg(long, env = "OMNI_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Address of a controller; repeat it to name several.
    #[arg(long = "controller", env = "OMNI_CONTROLLERS", value_delimiter = ',', value_name = "HOST:PORT")]
    pub controllers: Vec<String>,
    /// Name of this host [default: the machine's own].
    #[arg(long, env = "OMNI_NAME")]
    pub name: Option<String>,
    /// Label of this host; repeat it to give several.
    #[arg(long = "label", env = "OMNI_LABELS", value_delimiter = ',', value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Zone of this host within its region.
    #[arg(long, env = "OMNI_ZONE")]
    pub zone: Option<String>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Where controllers may be found beside those that are known, when all of these are lost; repeat it to name several.
    #[arg(long = "controller", env = "OMNI_CONTROLLERS", value_delimiter = ',', value_name = "HOST:PORT")]
    pub controllers: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lists_can_be_repeated_or_separated() {
        let cli = Cli::try_parse_from([
            "omni-agent",
            "join",
            "--token",
            "t",
            "--controller",
            "a:1,b:2",
            "--controller",
            "c:3",
            "--label",
            "gpu=yes",
        ])
        .expect("valid");
        let Command::Join(join) = cli.command else { panic!("another command") };
        assert_eq!(join.controllers, ["a:1", "b:2", "c:3"]);
        assert_eq!(join.labels, ["gpu=yes"]);
    }
}
