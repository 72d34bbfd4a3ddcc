//! `omni alerts`: what Alertmanager reported and has not taken back.

use crate::args::{AlertsCommand, AlertsListArgs};
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, span};
use anyhow::Result;
use omni_common::api::v1::{AlertStatus, AlertView, AlertsQuery};
use omni_common::clock::Time;

/// Does what was asked; lists when nothing was.
pub(crate) async fn run(
    command: Option<&AlertsCommand>,
    args: &AlertsListArgs,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None => list(args, session, out).await,
        Some(AlertsCommand::List(args)) => list(args, session, out).await,
        Some(AlertsCommand::Dismiss { alerts }) => dismiss(alerts, session, out).await,
    }
}

async fn list(args: &AlertsListArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let alerts = session.client.alerts(&AlertsQuery { all: args.all }).await?;
    if alerts.is_empty() && out.for_people() {
        out.say("No alert is reported.");
        out.hint("alerts come from Alertmanager: alerts/alertmanager/build.sh --omni-webhook");
        return Ok(ExitStatus::Done);
    }
    out.table(&alerts, || table(&alerts, session.now))?;
    Ok(ExitStatus::Done)
}

async fn dismiss(alerts: &[String], session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    for fingerprint in alerts {
        session.client.dismiss_alert(fingerprint).await?;
        out.say(&format!("{fingerprint} is out of view until it is reported again."));
    }
    Ok(ExitStatus::Done)
}

/// One row each.
pub(super) fn table(alerts: &[AlertView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("SEVERITY"),
        Column::new("ALERT").shrinks_to(16),
        Column::new("SINCE").right(),
        Column::new("HEARD").right().rank(1),
        Column::new("WHAT").shrinks_to(20),
        Column::new("WHERE").shrinks_to(8).rank(2),
        Column::new("WHAT TO DO").wide(),
        Column::new("FINGERPRINT").wide(),
    ]);
    alerts.iter().for_each(|alert| table.row(row(alert, now)));
    table
}

fn row(alert: &AlertView, now: Time) -> Vec<Cell> {
    let label = |names: &[&str]| names.iter().find_map(|name| alert.labels.get(*name)).cloned();
    let text = |value: Option<&str>| Cell::from(value.unwrap_or(ABSENT));
    let place = label(&["host", "instance"]);
    vec![
        severity(alert),
        alert.name.as_str().into(),
        span(now.since(alert.since)).into(),
        ago(alert.heard, now).into(),
        text(alert.summary.as_deref()),
        text(place.as_deref()),
        text(alert.runbook.as_deref()),
        alert.fingerprint.as_str().into(),
    ]
}

fn severity(alert: &AlertView) -> Cell {
    if alert.status == AlertStatus::Resolved {
        return Cell::toned("resolved", Tone::Dim);
    }
    let word = alert.severity.as_deref().unwrap_or(ABSENT);
    let tone = match word {
        "critical" => Tone::Bad,
        "info" | "none" => Tone::Plain,
        _ => Tone::Warn,
    };
    Cell::toned(word, tone)
}
