//! `omni snapshots`: what is known to lie in repositories.

use super::{expect_app, filter};
use crate::args::SnapshotsArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ago, bytes};
use anyhow::Result;
use omni_common::api::v1::{SnapshotView, SnapshotsQuery};
use omni_common::clock::Time;

pub(crate) async fn run(args: &SnapshotsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (environment, app) = filter(args.app.as_deref())?;
    let query = SnapshotsQuery {
        environment,
        app: app.clone(),
        repository: args.repository.clone(),
        item: args.item.clone(),
        limit: Some(args.limit),
        cursor: None,
    };
    let snapshots = session.client.snapshots(query).await?;
    if snapshots.is_empty() {
        expect_app(app.as_deref(), session).await?;
        if out.for_people() {
            out.say("There is no such snapshot.");
            return Ok(ExitStatus::Done);
        }
    }
    out.table(&snapshots, || table(&snapshots, session.now))?;
    Ok(ExitStatus::Done)
}

/// One row each.
pub(crate) fn table(snapshots: &[SnapshotView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("ID"),
        Column::new("APP").shrinks_to(12),
        Column::new("ITEM").shrinks_to(12),
        Column::new("TAKEN").right(),
        Column::new("REPOSITORY").shrinks_to(8),
        Column::new("SIZE").right(),
        Column::new("NEW").right().rank(1),
        Column::new("FROM").shrinks_to(6).rank(2),
        Column::new("WHOLE").rank(3),
        Column::new("RUN").wide(),
        Column::new("FULL ID").wide(),
    ]);
    for one in snapshots {
        table.row([
            one.id.get(..8).unwrap_or(&one.id).into(),
            format!("{}/{} {}.{}", one.environment, one.app, one.group, one.slot).into(),
            one.item.as_str().into(),
            ago(one.taken, now).into(),
            one.repository.as_str().into(),
            bytes(one.bytes).into(),
            bytes(one.added_bytes).into(),
            one.host_name.as_str().into(),
            if one.whole { Cell::from("yes") } else { Cell::toned("no", Tone::Warn) },
            one.run.short().into(),
            one.id.as_str().into(),
        ]);
    }
    table
}
