//! `omni explain`: host by host, why an app runs where it runs, and why not elsewhere.

use crate::app_name::{AppName, explained};
use crate::args::AppArg;
use crate::exit::ExitStatus;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::{Cell, Column, Fit, Table, harmless};
use crate::tone::Tone;
use crate::units::ABSENT;
use anyhow::Result;
use omni_common::api::v1::{Explanation, GroupExplanation, HostExplanation};

/// Explains one app.
pub(crate) async fn run(app: &AppArg, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let app = AppName::read(app, &session.environment)?;
    let explanation = match session.client.explain_app(&app.environment, &app.name).await {
        Ok(explanation) => explanation,
        Err(error) => return Err(explained(&app, error, session).await),
    };
    let wide = out.wide();
    out.text(&explanation, |look| draw(&explanation, look, wide))?;
    Ok(ExitStatus::Done)
}

/// A table for each group.
pub(crate) fn draw(explanation: &Explanation, look: Look, wide: bool) -> String {
    let groups = explanation.groups.iter().map(|group| {
        let title = Tone::Strong.paint(&format!("Group {}", harmless(&group.group)), look.colour);
        let waits: String = group.waiting.iter().map(|why| format!("waits: {}\n", harmless(why))).collect();
        let fit = Fit { width: look.width, colour: look.colour, wide };
        format!("{title}\n{waits}{}", table(group).render(fit))
    });
    groups.collect::<Vec<_>>().join("\n")
}

/// One row for each host.
pub(crate) fn table(group: &GroupExplanation) -> Table {
    let mut table = Table::new([
        Column::new("HOST").shrinks_to(12),
        Column::new("RUNS"),
        Column::new("FITS"),
        Column::new("SCORE").right(),
        Column::new("WHY").shrinks_to(20),
        Column::new("SCORE PARTS").wide(),
    ]);
    group.hosts.iter().for_each(|host| table.row(row(host)));
    table
}

fn row(host: &HostExplanation) -> Vec<Cell> {
    let (runs, fits) = match (host.runs, host.fits) {
        (true, true) => (Cell::toned("yes", Tone::Good), "yes".into()),
        // It was placed there when it did fit.
        (true, false) => (Cell::toned("yes", Tone::Warn), Cell::toned("not any more", Tone::Warn)),
        (false, true) => (ABSENT.into(), "yes".into()),
        (false, false) => (ABSENT.into(), Cell::toned("no", Tone::Dim)),
    };
    let why = match (host.against.is_empty(), host.runs) {
        (false, _) => host.against.join("; "),
        (true, true) => "runs there".to_owned(),
        (true, false) => "could run there".to_owned(),
    };
    vec![
        host.host.as_str().into(),
        runs,
        fits,
        host.score.map_or_else(|| ABSENT.to_owned(), |score| score.to_string()).into(),
        why.into(),
        if host.parts.is_empty() { ABSENT.into() } else { host.parts.join(", ").into() },
    ]
}
