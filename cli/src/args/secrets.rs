//! What can be typed about secrets.

use crate::complete;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// `secrets …`
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// List secrets, without their values
    #[command(alias = "ls")]
    List,
    /// Put a secret: its value is read from standard input, or typed unseen
    Put {
        /// Name, e.g. `backup/home/password`
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::secrets))]
        name: String,
        /// Read the value from this file; `-` is standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Refuse when it exists already
        #[arg(long)]
        new: bool,
    },
    /// Print a secret's value; that it was asked for goes to the audit trail
    Get {
        /// Name
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::secrets))]
        name: String,
        /// A version, instead of the newest
        #[arg(long, value_name = "NUMBER")]
        version: Option<u64>,
        /// Yes, print it
        #[arg(long)]
        reveal: bool,
    },
    /// Versions of a secret, without their values
    Versions {
        /// Name
        #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::secrets))]
        name: String,
    },
    /// Remove a secret, or one version of it
    Rm(SecretsRmArgs),
}

/// `secrets rm`
#[derive(Debug, Args)]
pub(crate) struct SecretsRmArgs {
    /// Name
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::secrets))]
    pub name: String,
    /// Only this version
    #[arg(long, value_name = "NUMBER")]
    pub version: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
