//! `omni apps`: one row each.

use super::words::{hosts, status_tone, status_word};
use crate::args::AppsListArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, span};
use anyhow::Result;
use omni_common::api::v1::{AppStatus, AppView, AppsQuery};
use omni_common::clock::Time;

/// Lists apps.
pub(crate) async fn run(args: &AppsListArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let query = AppsQuery {
        environment: args.environment.clone(),
        host: args.host.clone(),
        q: args.text.clone(),
        ..AppsQuery::default()
    };
    let all = query == AppsQuery::default();
    let apps = session.client.apps(query).await?;
    if apps.is_empty() && out.for_people() {
        if all {
            out.say("There is no app yet.");
            out.hint("run `omni deploy` in a folder with a compose file");
        } else {
            out.say("No app fits.");
        }
        return Ok(ExitStatus::Done);
    }
    out.table(&apps, || table(&apps, session.now))?;
    Ok(ExitStatus::Done)
}

/// One row each.
pub(crate) fn table(apps: &[AppView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("NAME").shrinks_to(12),
        Column::new("ENV").shrinks_to(8),
        Column::new("STATUS"),
        Column::new("HEALTHY").right(),
        Column::new("RELEASE").right(),
        Column::new("HOSTS").shrinks_to(12).rank(1),
        Column::new("AGE").right().rank(2),
        Column::new("GROUPS").wide(),
        Column::new("DEPLOYED BY").wide(),
        Column::new("REVISION").right().wide(),
    ]);
    apps.iter().for_each(|app| table.row(row(app, now)));
    table
}

fn row(app: &AppView, now: Time) -> Vec<Cell> {
    let hosts = hosts(app);
    let groups: Vec<&str> = app.groups.iter().map(|group| group.name.as_str()).collect();
    let by = app.deployment.as_ref().map(|deployment| deployment.by.clone());
    vec![
        app.name.as_str().into(),
        app.environment.as_str().into(),
        Cell::toned(status_word(app.status), status_tone(app.status)),
        healthy(app),
        app.release.to_string().into(),
        if hosts.is_empty() { ABSENT.into() } else { hosts.join(" ").into() },
        span(now.since(app.created)).into(),
        groups.join(" ").into(),
        by.unwrap_or_else(|| ABSENT.to_owned()).into(),
        app.revision.to_string().into(),
    ]
}

fn healthy(app: &AppView) -> Cell {
    let tone = match app.status {
        AppStatus::Stopped | AppStatus::Removing => Tone::Dim,
        _ if app.healthy >= app.wanted => Tone::Plain,
        AppStatus::Down => Tone::Bad,
        _ => Tone::Warn,
    };
    Cell::toned(format!("{}/{}", app.healthy, app.wanted), tone)
}
