//! `omni image ls`: images and the hosts that have them.

use crate::args::ImageListArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{self, ABSENT};
use anyhow::Result;
use omni_common::api::v1::{ImageHost, ImageView, ImagesQuery};
use omni_common::clock::Time;

/// Digits of an image's id that tell it apart from others, as Docker shows it.
const SHORT_ID: usize = 12;

/// Prints them.
pub(super) async fn run(args: &ImageListArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let query = ImagesQuery {
        host: (!args.hosts.is_empty()).then(|| args.hosts.iter().collect()),
        q: args.text.clone(),
        limit: args.limit,
        cursor: None,
    };
    let images = session.client.images(query).await?;
    if images.is_empty() && out.for_people() {
        out.say("No host has such an image.");
        return Ok(ExitStatus::Done);
    }
    out.table(&images, || table(&images, session.now))?;
    Ok(ExitStatus::Done)
}

/// One row for each name and image.
pub(crate) fn table(images: &[ImageView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("IMAGE").shrinks_to(16),
        Column::new("ID").rank(1),
        Column::new("SIZE").right(),
        Column::new("BUILT").rank(2),
        Column::new("HOSTS").shrinks_to(12),
    ]);
    images.iter().for_each(|image| table.row(row(image, now)));
    table
}

fn row(image: &ImageView, now: Time) -> Vec<Cell> {
    let built = image.created.map_or_else(|| ABSENT.to_owned(), |at| units::ago(at, now));
    vec![
        image.name.as_str().into(),
        image.id.as_str()[..SHORT_ID].into(),
        units::bytes(image.size_bytes).into(),
        built.into(),
        hosts(&image.hosts),
    ]
}

/// Hosts that cannot hand it on now stand in parentheses.
fn hosts(hosts: &[ImageHost]) -> Cell {
    let shown = hosts.iter().map(|host| match host.connected {
        true => host.name.clone(),
        false => format!("({})", host.name),
    });
    let tone = if hosts.iter().any(|host| host.connected) { Tone::Plain } else { Tone::Warn };
    Cell::toned(shown.collect::<Vec<_>>().join(" "), tone)
}
