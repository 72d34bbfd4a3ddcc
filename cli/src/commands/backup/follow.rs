//! Waits for runs, with a bar each on a terminal.

use super::runs::{kind_word, subject};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::harmless;
use crate::units::bytes;
use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use omni_common::api::v1::RunView;
use omni_common::domain::backup::{Phase, RunProgress, RunState};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often runs that are waited for are asked about.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Runs as they are when all of them are over.
pub(super) async fn follow(
    mut runs: Vec<RunView>,
    limit: Duration,
    session: &Session,
    out: &mut Printer,
) -> Result<Vec<RunView>> {
    let deadline = Instant::now() + limit;
    let bars = Bars::new(&runs, out);
    loop {
        for (position, run) in runs.iter_mut().enumerate().filter(|(_, run)| !run.state.is_over()) {
            match session.client.run(&run.id.to_string()).await {
                Ok(now) => *run = now,
                // An election passes, and so does a controller that dies.
                Err(error) if error.status().is_none_or(|status| status >= 500) => {}
                Err(error) => return Err(error.into()),
            }
            bars.show(position, run);
        }
        let open: Vec<&RunView> = runs.iter().filter(|run| !run.state.is_over()).collect();
        let Some(first) = open.first() else {
            bars.clear();
            return Ok(runs);
        };
        if Instant::now() + ASK_EVERY > deadline {
            bars.clear();
            let what = format!("{} {}: {}", kind_word(first), subject(first), words(first));
            return Err(Failure::TimedOut { what, after: limit }.into());
        }
        sleep(ASK_EVERY).await;
    }
}

/// What a run is at.
pub(super) fn words(run: &RunView) -> String {
    match (&run.progress, run.state) {
        (Some(progress), RunState::Running) => doing(progress),
        (None, RunState::Running) => "runs".to_owned(),
        (_, RunState::Queued) => run.message.clone().unwrap_or_else(|| match &run.host_name {
            Some(host) => format!("host {host} is about to begin"),
            None => "waits for its turn".to_owned(),
        }),
        (_, state) => state.to_string(),
    }
}

fn doing(progress: &RunProgress) -> String {
    let word = match progress.phase {
        Phase::Preparing => "prepares",
        Phase::Transferring => "transfers",
        Phase::Loading => "loads",
        Phase::Verifying => "verifies",
        Phase::Tidying => "tidies up",
    };
    let item = progress.item.as_ref().map(|item| format!(" {item}")).unwrap_or_default();
    let done = match (progress.bytes, progress.total_bytes) {
        (0, None) => String::new(),
        (done, Some(total)) => format!(", {} of {}", bytes(done), bytes(total)),
        (done, None) => format!(", {}", bytes(done)),
    };
    format!("{word}{item}{done}")
}

/// A bar for each run.
struct Bars {
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Bars {
    fn new(runs: &[RunView], out: &Printer) -> Self {
        let target = match out.look().talk_is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let all = MultiProgress::with_draw_target(target);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3}% {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |run: &RunView| {
            let bar = all.add(ProgressBar::new(100).with_style(style.clone()));
            bar.set_prefix(harmless(&format!("{} {}", kind_word(run), subject(run))));
            bar
        };
        let bars = runs.iter().map(bar).collect();
        Self { all, bars }
    }

    fn show(&self, position: usize, run: &RunView) {
        let bar = &self.bars[position];
        if let Some((done, total)) = run.progress.as_ref().and_then(|one| Some((one.bytes, one.total_bytes?)))
        {
            bar.set_length(total.max(1));
            bar.set_position(done.min(total));
        }
        bar.set_message(harmless(&words(run)));
        bar.tick();
    }

    fn clear(&self) {
        // What cannot be wiped off a terminal stays there.
        self.all.clear().ok();
    }
}
