//! `omni top`: hosts, containers and GPUs, live.
//!
//! ```text
//! feed (listings each few seconds, samples as they come) ──Update──▶ model (pure) ──▶ draw ──▶ screen, or one printed frame
//! ```

mod draw;
mod feed;
mod frame;
mod keys;
mod model;

use crate::args::TopArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use anyhow::{Context, Result};
use crossterm::event::{Event, EventStream};
use draw::Room;
use feed::Feed;
use futures_util::StreamExt;
use keys::Step;
use model::Model;
use ratatui::DefaultTerminal;
use std::io::{self, IsTerminal};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The clock and the ages on the screen move this often, whatever arrives.
const REDRAW: Duration = Duration::from_secs(1);

/// Runs until the person quits; prints one frame with `--once`.
pub(crate) async fn run(args: &TopArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !args.once && !on_terminal {
        let what = "top needs a terminal; `omni top --once` prints one frame, `omni ps --sort cpu` a table";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    let title = session
        .connection
        .context
        .clone()
        .unwrap_or_else(|| session.connection.addresses[0].host().to_owned());
    let mut model = Model::new(title, args.sort);
    let first = feed::listing(&session.client, &args.host).await?;
    model.apply(first, Instant::now());
    feed::gpu_samples(&session.client, &mut model).await;
    if args.once {
        return print(&model, out);
    }
    let feed = Feed::start(session.client.clone(), args.host.clone(), &model);
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let ended = watch(&mut terminal, &mut model, feed).await;
    ratatui::restore();
    ended
}

fn print(model: &Model, out: &mut Printer) -> Result<ExitStatus> {
    let look = out.look();
    out.text(&model.document(), |_| frame::text(model, look, Instant::now()))?;
    Ok(ExitStatus::Done)
}

async fn watch(terminal: &mut DefaultTerminal, model: &mut Model, mut feed: Feed) -> Result<ExitStatus> {
    let mut typed = EventStream::new();
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    loop {
        tokio::select! {
            update = feed.next() => model.apply(update?, Instant::now()),
            event = typed.next() => match event {
                Some(Ok(Event::Key(key))) => if keys::press(model, key) == Step::Quit {
                    return Ok(ExitStatus::Done);
                },
                // A resize is drawn below like everything else.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("cannot read the keyboard"),
                None => return Ok(ExitStatus::Done),
            },
            _ = redraw.tick() => {}
            _ = terminated.recv() => return Ok(ExitStatus::Done),
        }
        terminal
            .draw(|frame| draw::screen(frame, model, Room::Screen, Instant::now()))
            .context("cannot draw")?;
    }
}
