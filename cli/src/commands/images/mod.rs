//! `omni image`: which host has which image, and images from this machine.

mod engine;
pub(super) mod list;
mod push;

use crate::args::ImageCommand;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;

/// Does what was asked.
pub(crate) async fn run(command: &ImageCommand, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    match command {
        ImageCommand::Ls(args) => list::run(args, session, out).await,
        ImageCommand::Push(args) => push::run(args, session, out).await,
    }
}
