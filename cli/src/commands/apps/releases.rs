//! `omni releases`: the releases of an app, newest first.

use crate::app_name::{AppName, explained};
use crate::args::AppArg;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago};
use anyhow::Result;
use omni_common::api::v1::ReleaseView;
use omni_common::clock::Time;

/// Digits of a digest that tell releases apart.
const DIGEST: usize = 12;

/// Lists releases.
pub(crate) async fn run(app: &AppArg, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let app = AppName::read(app, &session.environment)?;
    let releases = match session.client.releases(&app.environment, &app.name).await {
        Ok(releases) => releases,
        Err(error) => return Err(explained(&app, error, session).await),
    };
    out.table(&releases, || table(&releases, session.now))?;
    Ok(ExitStatus::Done)
}

/// One row each.
pub(crate) fn table(releases: &[ReleaseView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("RELEASE").right(),
        Column::new("CURRENT"),
        Column::new("MADE").right(),
        Column::new("BY").shrinks_to(8),
        Column::new("SOURCE").shrinks_to(10).rank(2),
        Column::new("IMAGES").shrinks_to(16).rank(1),
        Column::new("NOTE").shrinks_to(8).rank(3),
        Column::new("FILES").right().wide(),
        Column::new("DIGEST").wide(),
    ]);
    for release in releases {
        let text = |value: &Option<String>| Cell::from(value.clone().unwrap_or_else(|| ABSENT.to_owned()));
        table.row([
            release.number.to_string().into(),
            Cell::toned(if release.current { "*" } else { "" }, Tone::Good),
            ago(release.created, now).into(),
            release.author.as_str().into(),
            text(&release.source),
            release.images.join(" ").into(),
            text(&release.note),
            release.files.to_string().into(),
            release.digest.chars().take(DIGEST).collect::<String>().into(),
        ]);
    }
    table
}
