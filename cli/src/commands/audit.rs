//! `omni audit`: who changed what, and who was refused; oldest first, like a log.

use crate::args::AuditArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::moment;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::ABSENT;
use anyhow::Result;
use jiff::Zoned;
use jiff::tz::TimeZone;
use omni_common::api::v1::{AuditEntry, AuditQuery};

/// What the outcome of a call that was carried out is called.
const DONE: &str = "done";

/// Prints the trail.
pub(crate) async fn run(args: &AuditArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let now = Zoned::new(session.now.timestamp(), TimeZone::system());
    let since = args.since.as_deref().map(|text| moment::parse(text, &now)).transpose();
    let query = AuditQuery {
        who: args.who.clone(),
        what: args.what.clone(),
        outcome: args.outcome.clone(),
        since: since.map_err(|error| Failure::Usage(error.to_string()))?,
        limit: Some(args.limit),
        cursor: None,
    };
    let mut entries = session.client.audit(query).await?;
    entries.reverse();
    if entries.is_empty() && out.for_people() {
        out.say("Nothing was recorded that fits.");
        return Ok(ExitStatus::Done);
    }
    out.table(&entries, || table(&entries))?;
    Ok(ExitStatus::Done)
}

/// One row each.
pub(super) fn table(entries: &[AuditEntry]) -> Table {
    let mut table = Table::new([
        Column::new("TIME"),
        Column::new("WHO").shrinks_to(8),
        Column::new("WHAT"),
        Column::new("TARGET").shrinks_to(8),
        Column::new("OUTCOME"),
        Column::new("FROM").rank(2),
        Column::new("ROLE").wide(),
        Column::new("DETAIL").wide(),
        Column::new("SEQ").right().wide(),
        Column::new("INDEX").right().wide(),
    ]);
    entries.iter().for_each(|entry| table.row(row(entry)));
    table
}

fn row(entry: &AuditEntry) -> Vec<Cell> {
    let text = |value: &Option<String>| Cell::from(value.clone().unwrap_or_else(|| ABSENT.to_owned()));
    let at = entry.at.timestamp().to_zoned(TimeZone::system());
    let tone = if entry.outcome == DONE { Tone::Plain } else { Tone::Warn };
    vec![
        at.strftime("%Y-%m-%d %H:%M:%S").to_string().into(),
        entry.who.as_str().into(),
        entry.what.as_str().into(),
        entry.target.as_str().into(),
        Cell::toned(entry.outcome.as_str(), tone),
        text(&entry.from),
        text(&entry.role),
        text(&entry.detail),
        entry.seq.to_string().into(),
        entry.index.to_string().into(),
    ]
}
