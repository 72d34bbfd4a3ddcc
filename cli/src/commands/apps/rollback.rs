//! `omni rollback`: moves an app to a release it had before.

use super::life::finish_move;
use crate::app_name::find;
use crate::args::RollbackArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;
use omni_common::api::v1::Rollback;

/// Moves an app to `--to`, or to the release before the wanted one.
pub(crate) async fn run(args: &RollbackArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, before) = find(&args.app, session).await?;
    let to = Rollback { to: args.to };
    // What someone else does meanwhile must not be undone by a word that was meant for what is there now.
    let revision = Some(before.revision);
    let app = session.client.rollback_app(&name.environment, &name.name, &to, revision).await?;
    out.say(&format!(
        "{name} goes from release {} to {}. Data in volumes stays as it is.",
        before.release, app.release
    ));
    finish_move(&name, app, args.wait.wait, session, out).await
}
