//! `omni backup`, `snapshots`, `restore`, `drills`.
//!
//! ```text
//! runs.rs       begin, list, show, cancel      follow.rs    wait for runs, with bars on a terminal
//! repo.rs, unlock.rs  repositories               policy.rs    what holds for apps
//! status.rs     how protected apps are         restore.rs   bring data back        snapshots.rs, files.rs, drills.rs
//! ```

pub(crate) mod drills;
pub(crate) mod files;
mod follow;
mod policy;
pub(super) mod repo;
pub(crate) mod restore;
pub(super) mod runs;
pub(crate) mod snapshots;
pub(super) mod status;
mod unlock;

use crate::args::{BackupCommand, FollowArg};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::Result;
use follow::follow;
use omni_common::api::v1::{AppsQuery, RunView};
use omni_common::domain::backup::RunState;
use std::time::Duration;

/// How long an outcome is waited for in a terminal when nothing else is said: terabytes over a slow link.
const DEFAULT_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Does what was asked; shows how all stands when nothing was.
pub(crate) async fn run(
    command: Option<&BackupCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None | Some(BackupCommand::Status) => status::run(session, out).await,
        Some(BackupCommand::Run { app, to, follow }) => {
            runs::backup(app, to.as_deref(), *follow, session, out).await
        }
        Some(BackupCommand::List(args)) => runs::list(args, session, out).await,
        Some(BackupCommand::Show { run }) => runs::show(run, session, out).await,
        Some(BackupCommand::Cancel { runs }) => runs::cancel(runs, session, out).await,
        Some(BackupCommand::Repo { command }) => repo::run(command.as_ref(), session, out).await,
        Some(BackupCommand::Policy { command }) => policy::run(command, session, out).await,
        Some(BackupCommand::Defaults(args)) => policy::defaults(args, session, out).await,
    }
}

/// Tells what was begun, and waits for it when that is wanted. What is not whole in the end is a failure.
async fn begun(
    runs: Vec<RunView>,
    args: FollowArg,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let limit = args.wait.or_else(|| (out.look().talk_is_terminal && !args.detach).then_some(DEFAULT_WAIT));
    let Some(limit) = limit else {
        for run in &runs {
            out.say(&format!(
                "Run {} begins: {} {}.",
                run.id.short(),
                runs::kind_word(run),
                runs::subject(run)
            ));
        }
        if runs.iter().any(|run| !run.state.is_over()) {
            out.say("`omni backup list` shows how it goes.");
        }
        if !out.for_people() {
            out.text(&runs, |_| String::new())?;
        }
        return Ok(ExitStatus::Done);
    };
    let over = follow(runs, limit, session, out).await?;
    for run in &over {
        out.say(&runs::outcome(run));
    }
    if !out.for_people() {
        out.text(&over, |_| String::new())?;
    }
    let well = over.iter().all(|run| run.state == RunState::Succeeded);
    Ok(if well { ExitStatus::Done } else { ExitStatus::Failed })
}

/// Environment and name of an app that filters a list: `NAME` alone is one of that name in any environment.
fn filter(typed: Option<&str>) -> Result<(Option<String>, Option<String>), Failure> {
    match typed.map(|text| (text, text.split_once('/'))) {
        None => Ok((None, None)),
        Some((_, Some((environment, name)))) if !environment.is_empty() && !name.is_empty() => {
            Ok((Some(environment.to_owned()), Some(name.to_owned())))
        }
        Some((text, None)) if !text.is_empty() => Ok((None, Some(text.to_owned()))),
        Some((text, _)) => {
            Err(Failure::Usage(format!("`{text}` names no app: write `NAME` or `ENVIRONMENT/NAME`")))
        }
    }
}

/// Whether an app of that name exists: an empty list of a mistyped name looks like one of an app without backups.
async fn expect_app(name: Option<&str>, session: &Session) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let query = AppsQuery { q: Some(name.to_owned()), ..AppsQuery::default() };
    let apps = session.client.apps(query).await?;
    match apps.iter().any(|app| app.name == name) {
        true => Ok(()),
        false => Err(Failure::NotFound(format!("there is no app `{name}`; `omni apps` lists them")).into()),
    }
}
