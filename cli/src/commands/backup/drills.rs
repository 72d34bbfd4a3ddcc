//! `omni drills`: proof that data comes back.

use super::begun;
use super::runs::table;
use crate::app_name::{AppName, explained};
use crate::args::DrillsCommand;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;
use omni_common::api::v1::{CommaList, RunsQuery, StartRun};

/// Does what was asked; lists when nothing was.
pub(crate) async fn run(
    command: Option<&DrillsCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let Some(DrillsCommand::Run { app, from, on, follow }) = command else { return list(session, out).await };
    let name = AppName::read(app, &session.environment)?;
    let body = StartRun::Drill {
        environment: name.environment.clone(),
        app: name.name.clone(),
        from: from.clone(),
        host: on.clone(),
    };
    match session.client.start_runs(&body).await {
        Ok(runs) => begun(runs, *follow, session, out).await,
        Err(error) => Err(explained(&name, error, session).await),
    }
}

async fn list(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let kind = Some(CommaList(vec!["drill".to_owned()]));
    let drills = session.client.runs(RunsQuery { kind, limit: Some(100), ..RunsQuery::default() }).await?;
    if drills.is_empty() && out.for_people() {
        out.say("No drill has been done yet.");
        out.hint("`omni drills run APP` does one now");
        return Ok(ExitStatus::Done);
    }
    out.table(&drills, || table(&drills, session.now))?;
    Ok(ExitStatus::Done)
}
