//! `omni rollout`: looks at a deployment, and takes a hand in it.

use super::life::finish_move;
use super::show::{deployment_line, log_lines};
use super::watch::follow;
use super::words::is_open;
use crate::app_name::find;
use crate::args::{AppArg, RolloutCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::session::{Session, confirm};
use crate::tone::Tone;
use anyhow::Result;
use omni_common::api::v1::{DeploymentView, SteerAction};
use omni_common::clock::Time;
use std::time::Duration;

/// Runs one of the rollout commands.
pub(crate) async fn run(
    command: &RolloutCommand,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        RolloutCommand::Show(app) => show(app, session, out).await,
        RolloutCommand::Watch { app, limit } => watch(app, *limit, session, out).await,
        RolloutCommand::Pause(app) => steer(app, SteerAction::Pause, session, out).await,
        RolloutCommand::Resume(app) => steer(app, SteerAction::Resume, session, out).await,
        RolloutCommand::Promote(app) => steer(app, SteerAction::Promote, session, out).await,
        RolloutCommand::Abort { app, yes } => abort(app, *yes, session, out).await,
    }
}

async fn show(app: &AppArg, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(app, session).await?;
    let all: Vec<DeploymentView> = app.deployment.into_iter().chain(app.earlier_deployments).collect();
    if all.is_empty() {
        out.say(&format!("{name} has no deployment."));
    }
    out.text(&all, |look| draw(&all, session.now, look))?;
    Ok(ExitStatus::Done)
}

/// A line each, the newest first, with the last lines of what failed.
pub(crate) fn draw(all: &[DeploymentView], now: Time, look: Look) -> String {
    let one = |deployment: &DeploymentView| {
        let mut text = format!("{}\n", deployment_line(deployment, now, look));
        if is_open(deployment) {
            text += &format!("  {} of {} healthy at the new release\n", deployment.done, deployment.wanted);
        }
        if let Some(log) = &deployment.log {
            text += &Tone::Dim.paint("  last lines of the container that failed:", look.colour);
            text += &format!("\n{}", log_lines(log, look.colour));
        }
        text
    };
    all.iter().map(one).collect()
}

async fn watch(app: &AppArg, limit: Duration, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(app, session).await?;
    let Some(deployment) = &app.deployment else {
        return Err(Failure::NotFound(format!("{name} has no deployment")).into());
    };
    let app = follow(&name, deployment.id, limit, session, out).await?;
    finish_move(&name, app, Some(limit), session, out).await
}

async fn steer(
    app: &AppArg,
    action: SteerAction,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let (name, app) = find(app, session).await?;
    // A deployment that is over is refused by the cluster, which says so better.
    let Some(deployment) = &app.deployment else {
        return Err(Failure::NotFound(format!("{name} has no deployment")).into());
    };
    let id = deployment.id;
    let app = session.client.steer_deployment(&name.environment, &name.name, id, action).await?;
    out.say(&match action {
        SteerAction::Pause => {
            format!("The deployment of {name} is paused; `omni rollout resume {name}` lets it go on.")
        }
        SteerAction::Resume => format!("The deployment of {name} goes on."),
        SteerAction::Promote => format!("The deployment of {name} goes on without waiting for health."),
        SteerAction::Abort => match &app.deployment {
            Some(back) if back.back => format!("{name} goes back to release {}.", back.to),
            _ => format!("The deployment of {name} is given up; it had no release before."),
        },
    });
    if !out.for_people() {
        out.text(&app, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

async fn abort(app: &AppArg, yes: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, view) = find(app, session).await?;
    if let Some(open) = view.deployment.as_ref().filter(|deployment| is_open(deployment)) {
        let fate = match open.from {
            Some(from) => format!("it goes back to release {from}"),
            None => "it is stopped: there is no release before".to_owned(),
        };
        confirm(&format!("Give up the deployment of {name} to release {}? Then {fate}.", open.to), yes, out)?;
    }
    steer(app, SteerAction::Abort, session, out).await
}
