//! The command line.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Measures omni against its peers: etcd, node_exporter, docker-compose and restic, on this machine and in the same run.
#[derive(Debug, Parser)]
#[command(name = "omni-bench", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to measure; everything when absent.
    #[command(subcommand)]
    pub what: Option<What>,
    /// How.
    #[command(flatten)]
    pub settings: Settings,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum What {
    /// Committed writes and linearizable reads, against etcd.
    Writes,
    /// From a leader's death, or its planned hand-over, to the next accepted write, against etcd.
    Failover,
    /// What an agent with 30 containers costs its host, against node_exporter.
    Agent,
    /// From `omni deploy` to a healthy app, against docker-compose.
    Deploy,
    /// From the loss of a host to its app's instance elsewhere.
    AppFailover,
    /// The same for an app with 100 MiB and with 1 GiB of data.
    DataFailover,
    /// Backup and restore of a mixed tree, against restic by hand; what the agent holds meanwhile.
    Backup,
    /// What thousands of hosts cost the controllers.
    Scale,
    /// All of them, in this order.
    All,
    /// Lives as many simulated agents; started by `scale` as a process of its own.
    #[command(hide = true)]
    Fleet {
        /// Where orders come from.
        #[arg(long)]
        chief: SocketAddr,
    },
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// A few short rounds, to see that it works; its numbers mean little.
    #[arg(long, global = true)]
    pub quick: bool,
    /// Also write each result as JSON into this folder.
    #[arg(long, global = true, value_name = "DIR")]
    pub json: Option<PathBuf>,
    /// Keep all data below this folder; it must be on a real disk [default: beside the programs].
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Take omni's programs from this folder [default: where this one lies].
    #[arg(long, global = true, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Rounds of each comparison of writes and reads, deploys, backups; losses of each size of data.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Leaders to kill on each side, or hosts.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub kills: Option<u32>,
    /// Simulated hosts, one run for each number.
    #[arg(long, global = true, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub hosts: Vec<u32>,
}

impl Settings {
    /// `full`, or `quick` when that was asked for.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
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
    fn options_may_stand_on_either_side() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).expect("valid");
        let cli = parse("omni-bench scale --quick --hosts 10,20");
        assert_eq!((cli.what, cli.settings.quick), (Some(What::Scale), true));
        assert_eq!(cli.settings.hosts, [10, 20]);
        assert_eq!(parse("omni-bench --quick").what, None);
    }
}
