//! What can be typed about images.

use crate::complete;
use clap::{ArgGroup, Args, Subcommand};
use clap_complete::ArgValueCompleter;
use std::path::PathBuf;

/// `image`
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List images and the hosts that have them
    #[command(visible_alias = "list")]
    Ls(ImageListArgs),
    /// Send an image from this machine to hosts, without a registry
    Push(ImagePushArgs),
}

/// `image ls`
#[derive(Debug, Args)]
pub(crate) struct ImageListArgs {
    /// Only those whose name contains this, or whose id begins with it
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Only those on this host; may be repeated
    #[arg(long = "host", value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub hosts: Vec<String>,
    /// At most this many
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub limit: Option<u32>,
}

/// `image push`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("to").required(true).args(["hosts", "label", "all"])))]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["image", "file"])))]
pub(crate) struct ImagePushArgs {
    /// The image, as the Docker engine of this machine calls it
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// To this host; may be repeated
    #[arg(long = "host", value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    pub hosts: Vec<String>,
    /// To the hosts with this label, `KEY=VALUE` or `KEY`; may be repeated
    #[arg(long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// To all hosts that are up
    #[arg(long)]
    pub all: bool,
    /// Send this file, as `docker save` writes it, instead of asking the engine; `-` for standard input
    #[arg(long, short, value_name = "FILE", conflicts_with = "image")]
    pub file: Option<PathBuf>,
}
