//! `omni image push`: an image from this machine to hosts.

use super::engine;
use crate::args::ImagePushArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units;
use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use indicatif::{ProgressBar, ProgressStyle};
use omni_common::api::v1::{PushOutcome, PushOutput, PushQuery};
use omni_sdk::{PushReader, PushWriter};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Read and sent at once, bytes.
const PIECE: usize = 256 << 10;
/// The bar moves this often.
const TICK: Duration = Duration::from_millis(200);

/// Sends it, and shows what became of it at each host.
pub(super) async fn run(args: &ImagePushArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let mut source = Source::open(args).await?;
    let query = PushQuery {
        host: (!args.hosts.is_empty()).then(|| args.hosts.iter().collect()),
        label: (!args.label.is_empty()).then(|| args.label.iter().collect()),
        all: args.all,
        name: Some(source.name.clone()),
    };
    let (mut writer, mut reader) = session.client.push_image(&query).await?;
    let hosts = match reader.next().await? {
        Some(PushOutput::Started { hosts }) => hosts,
        _ => bail!("the controller did not begin to take the image"),
    };
    out.say(&format!("Sends {} to {}.", source.name, named(&hosts)));
    let bar = out.look().talk_is_terminal.then(|| progress(source.size));
    let outcomes = tokio::select! {
        sent = send(&mut source, &mut writer, bar.as_ref()) => match sent {
            Ok(()) => {
                if let Some(bar) = &bar {
                    bar.set_message("the hosts unpack it");
                }
                rest(&mut reader, Vec::new()).await
            }
            // What the hosts say is the reason, when they have said something.
            Err(Sending::Lost(error)) => match rest(&mut reader, Vec::new()).await {
                Ok(outcomes) if !outcomes.is_empty() => Ok(outcomes),
                _ => Err(error),
            },
            Err(Sending::Source(error)) => Err(error),
        },
        first = reader.next() => match first {
            Ok(Some(PushOutput::Host(first))) => rest(&mut reader, vec![first]).await,
            Ok(_) => Err(anyhow::anyhow!("the controller ended before all was sent")),
            Err(error) => Err(error.into()),
        },
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let outcomes = outcomes?;
    out.table(&outcomes, || table(&outcomes))?;
    match outcomes.iter().any(|outcome| outcome.problem.is_some()) {
        true => Ok(ExitStatus::Failed),
        false => Ok(ExitStatus::Done),
    }
}

/// What is sent.
struct Source {
    name: String,
    size: Option<u64>,
    bytes: Reading,
}

enum Reading {
    Engine(hyper::body::Incoming),
    File(tokio::fs::File),
}

impl Source {
    async fn open(args: &ImagePushArgs) -> Result<Self> {
        match (&args.image, &args.file) {
            (Some(image), _) => {
                let saved = engine::save(image).await?;
                Ok(Self { name: image.clone(), size: saved.size, bytes: Reading::Engine(saved.body) })
            }
            (None, Some(file)) if file == Path::new("-") => {
                let input = std::io::stdin().as_fd().try_clone_to_owned().context("no standard input")?;
                let bytes = Reading::File(tokio::fs::File::from_std(input.into()));
                Ok(Self { name: "standard input".to_owned(), size: None, bytes })
            }
            (None, Some(path)) => {
                let opened = tokio::fs::File::open(path).await;
                let file = opened.with_context(|| format!("cannot read {}", path.display()))?;
                let size = file.metadata().await.ok().map(|meta| meta.len());
                Ok(Self { name: path.display().to_string(), size, bytes: Reading::File(file) })
            }
            (None, None) => bail!("name an image, or a file"),
        }
    }

    /// The next bytes; absent at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.bytes {
            Reading::Engine(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    Some(frame) => {
                        let frame = frame.context("the Docker engine of this machine broke off")?;
                        if let Ok(bytes) = frame.into_data() {
                            return Ok(Some(bytes));
                        }
                    }
                }
            },
            Reading::File(stream) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                let count =
                    stream.read_buf(&mut piece).await.with_context(|| format!("reading {}", self.name))?;
                Ok((count > 0).then(|| piece.freeze()))
            }
        }
    }
}

/// Why not all was sent.
enum Sending {
    Source(anyhow::Error),
    Lost(anyhow::Error),
}

async fn send(
    source: &mut Source,
    writer: &mut PushWriter,
    bar: Option<&ProgressBar>,
) -> Result<(), Sending> {
    while let Some(bytes) = source.next().await.map_err(Sending::Source)? {
        let count = bytes.len() as u64;
        writer.send(bytes).await.map_err(|error| Sending::Lost(error.into()))?;
        if let Some(bar) = bar {
            bar.inc(count);
        }
    }
    writer.finish().await.map_err(|error| Sending::Lost(error.into()))
}

/// What the hosts say from here on.
async fn rest(reader: &mut PushReader, mut outcomes: Vec<PushOutcome>) -> Result<Vec<PushOutcome>> {
    while let Some(output) = reader.next().await? {
        if let PushOutput::Host(outcome) = output {
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

fn progress(size: Option<u64>) -> ProgressBar {
    let (bar, shape) = match size {
        Some(size) => {
            (ProgressBar::new(size), "{bar:30} {bytes} of about {total_bytes}, {bytes_per_sec} {msg}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {bytes_per_sec} {msg}"),
    };
    bar.enable_steady_tick(TICK);
    match ProgressStyle::with_template(shape) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn named(hosts: &[String]) -> String {
    match hosts {
        [one] => one.clone(),
        several => format!("{}: {}", units::count(several.len(), "host"), several.join(", ")),
    }
}

fn table(outcomes: &[PushOutcome]) -> Table {
    let mut table = Table::new([
        Column::new("HOST").shrinks_to(8),
        Column::new("OUTCOME"),
        Column::new("IMAGES").shrinks_to(16),
    ]);
    for outcome in outcomes {
        let (state, what) = match &outcome.problem {
            None => (Cell::toned("loaded", Tone::Good), outcome.images.join(" ")),
            Some(problem) => {
                let why = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
                (Cell::toned("failed", Tone::Bad), why)
            }
        };
        table.row(vec![outcome.host.as_str().into(), state, what.into()]);
    }
    table
}
