//! `omni backup status`: how protected each app is.

use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, span, until};
use anyhow::Result;
use omni_common::api::v1::{AppBackupView, Protection};
use omni_common::clock::Time;
use std::time::Duration;

pub(super) async fn run(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let apps = session.client.backup_status().await?;
    if apps.is_empty() && out.for_people() {
        out.say("There is no app.");
        return Ok(ExitStatus::Done);
    }
    out.table(&apps, || table(&apps, session.now))?;
    if out.for_people() {
        for app in apps.iter().filter(|app| app.protection != Protection::NotNeeded) {
            out.note(&app.sentence);
        }
    }
    Ok(ExitStatus::Done)
}

/// One row each.
pub(crate) fn table(apps: &[AppBackupView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("APP").shrinks_to(12),
        Column::new("PROTECTION"),
        Column::new("AGE").right(),
        Column::new("LIMIT").right(),
        Column::new("BACK IN").right(),
        Column::new("COPIES").right().rank(2),
        Column::new("NEXT").right().rank(3),
        Column::new("MISSING").shrinks_to(12).rank(1),
        Column::new("WHY").wide(),
        Column::new("DRILL").wide(),
    ]);
    for app in apps {
        table.row(row(app, now));
    }
    table
}

fn row(app: &AppBackupView, now: Time) -> Vec<Cell> {
    let length = |ms: Option<u64>| ms.map_or_else(|| ABSENT.to_owned(), |ms| span(Duration::from_millis(ms)));
    let (word, tone) = word(app.protection);
    let needed = app.protection != Protection::NotNeeded;
    vec![
        format!("{}/{}", app.environment, app.app).into(),
        Cell::toned(word, tone),
        length(app.age_ms).into(),
        length(needed.then_some(app.max_age_ms)).into(),
        length(app.restore_ms).into(),
        if needed { app.copy_count.to_string() } else { ABSENT.to_owned() }.into(),
        app.next.map_or_else(|| ABSENT.to_owned(), |next| until(next, now)).into(),
        if app.missing.is_empty() { ABSENT.to_owned() } else { app.missing.join("; ") }.into(),
        app.why.as_str().into(),
        app.drill_why.as_str().into(),
    ]
}

fn word(protection: Protection) -> (&'static str, Tone) {
    match protection {
        Protection::Proven => ("proven", Tone::Good),
        Protection::NotNeeded => ("not needed", Tone::Dim),
        Protection::Unproven => ("unproven", Tone::Warn),
        Protection::Overdue => ("overdue", Tone::Bad),
        Protection::Unprotected => ("unprotected", Tone::Bad),
    }
}
