//! What there is to say and to do about apps once they are deployed; `deploy` is beside this.
//!
//! ```text
//! list, show, releases, diff, explain   look
//! life (start, stop, restart), scale,   change
//!   rollback, rollout, moves, remove
//! watch ── progress (pure)              wait for the outcome of a change
//! ```

pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod life;
pub(crate) mod list;
pub(crate) mod moves;
pub(crate) mod progress;
pub(crate) mod releases;
pub(crate) mod remove;
pub(crate) mod rollback;
pub(crate) mod rollout;
pub(crate) mod scale;
pub(crate) mod show;
pub(crate) mod watch;
pub(crate) mod words;

use crate::args::{AppsCommand, AppsListArgs};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;

/// Runs one of the `apps` commands; the list when none is named.
pub(crate) async fn run(
    command: Option<&AppsCommand>,
    list_args: &AppsListArgs,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None => list::run(list_args, session, out).await,
        Some(AppsCommand::List(args)) => list::run(args, session, out).await,
        Some(AppsCommand::Show(app)) => show::run(app, session, out).await,
    }
}
