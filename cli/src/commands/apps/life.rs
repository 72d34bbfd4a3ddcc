//! `omni start`, `omni stop` and `omni restart`.

use super::watch::{follow, settle};
use crate::app_name::{AppName, explained, find};
use crate::args::RunArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;
use omni_common::api::v1::{AppGoal, AppStatus, AppView, UpdateApp};

/// Lets a stopped app run again.
pub(crate) async fn start(args: &RunArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let name = set(args, AppGoal::Run, session).await?;
    out.say(&format!("{name} is to run."));
    finish(&name, AppStatus::Healthy, args.wait.wait, session, out).await
}

/// Stops an app.
pub(crate) async fn stop(args: &RunArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let name = set(args, AppGoal::Stop, session).await?;
    out.say(&format!("{name} is to stop. Its data stays; `omni start {name}` lets it run again."));
    finish(&name, AppStatus::Stopped, args.wait.wait, session, out).await
}

async fn set(args: &RunArgs, goal: AppGoal, session: &Session) -> Result<AppName> {
    let name = AppName::read(&args.app, &session.environment)?;
    let change = UpdateApp { goal: Some(goal), ..UpdateApp::default() };
    match session.client.update_app(&name.environment, &name.name, &change, None).await {
        Ok(_) => Ok(name),
        Err(error) => Err(explained(&name, error, session).await),
    }
}

/// Ends a command that began no deployment: when the app is as it should be, if that is to be waited for.
pub(crate) async fn finish(
    name: &AppName,
    status: AppStatus,
    wait: Option<std::time::Duration>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let app = match wait {
        Some(limit) => settle(name, limit, session, out, |app| app.status == status).await?,
        None if out.for_people() => return Ok(ExitStatus::Done),
        None => session.client.app(&name.environment, &name.name).await?,
    };
    show(&app, out)
}

/// Replaces an app's instances.
pub(crate) async fn restart(args: &RunArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    // Its name is resolved first, so that a slip is answered with near names.
    let (name, _) = find(&args.app, session).await?;
    let app = session.client.restart_app(&name.environment, &name.name).await?;
    out.say(&format!("The instances of {name} are being replaced by fresh ones."));
    finish_move(&name, app, args.wait.wait, session, out).await
}

/// Ends a command that began a deployment: with its outcome when that is to be waited for.
pub(crate) async fn finish_move(
    name: &AppName,
    app: AppView,
    wait: Option<std::time::Duration>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let app = match (wait, &app.deployment) {
        (Some(limit), Some(deployment)) => follow(name, deployment.id, limit, session, out).await?,
        _ => app,
    };
    if wait.is_some() {
        let (healthy, wanted) = (app.healthy, app.wanted);
        out.say(&format!("{name} is at release {}: {healthy} of {wanted} healthy.", app.release));
    }
    show(&app, out)
}

/// Programs get the app as it is.
fn show(app: &AppView, out: &mut Printer) -> Result<ExitStatus> {
    if !out.for_people() {
        out.text(app, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}
