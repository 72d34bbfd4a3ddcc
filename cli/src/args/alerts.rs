//! What can be typed about alerts.

use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

/// `alerts …`
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// List alerts, the worst first
    #[command(alias = "ls")]
    List(AlertsListArgs),
    /// Take alerts out of view until they are reported again
    Dismiss {
        /// Fingerprints, as `omni alerts -o wide` shows them.
        #[arg(value_name = "FINGERPRINT", required = true, add = ArgValueCompleter::new(complete::alerts))]
        alerts: Vec<String>,
    },
}

/// `alerts list`
#[derive(Clone, Debug, Args)]
pub(crate) struct AlertsListArgs {
    /// Those too that were resolved within the last day
    #[arg(long, short)]
    pub all: bool,
}
