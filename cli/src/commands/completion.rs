//! `omni completion`: the script that a shell loads.

use crate::args::CompletionArgs;
use crate::complete::VARIABLE;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use anyhow::{Context, Result};
use clap_complete::env::Shells;

/// Prints the script. It calls this program for each completion, so it needs no update when verbs change.
pub(crate) fn run(args: &CompletionArgs, out: &mut Printer) -> Result<ExitStatus> {
    let shells = Shells::builtins();
    let shell = shells.completer(args.shell.name()).context("this shell cannot be completed")?;
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "omni", "omni", "omni", &mut script)
        .context("cannot write the completion script")?;
    out.bytes(&script)?;
    Ok(ExitStatus::Done)
}
