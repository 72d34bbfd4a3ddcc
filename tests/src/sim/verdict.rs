//! The first violation ends a run; what led to it is told with it.

use anyhow::{Result, anyhow};
use omni_common::clock::Clock;
use std::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::clock::SimClock;

/// Lines of the story told with a violation.
const TOLD: usize = 60;

/// What happened so far, and whether something did that must not.
#[derive(Debug)]
pub struct Verdict {
    clock: SimClock,
    inner: Mutex<Inner>,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct Inner {
    story: Vec<String>,
    violation: Option<String>,
}

impl Verdict {
    /// Nothing has happened.
    pub fn new(clock: SimClock) -> Self {
        Self { clock, inner: Mutex::default(), over: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }

    /// Notes something that is worth knowing when the run fails.
    pub fn note(&self, what: impl AsRef<str>) {
        let line = format!("{:9.3} s  {}", self.clock.began().elapsed().as_secs_f64(), what.as_ref());
        eprintln!("{line}");
        self.lock().story.push(line);
    }

    /// An error is a violation. Only the first one counts.
    pub fn check(&self, result: Result<()>) {
        let Err(error) = result else { return };
        let now = self.clock.now();
        let elapsed = self.clock.began().elapsed().as_secs_f64();
        self.lock().violation.get_or_insert(format!("at {elapsed:.3} s ({now}): {error:#}"));
        self.over.cancel();
    }

    /// Runs `story` until it ends or something is violated.
    ///
    /// # Errors
    /// The violation, or the story's own error, with what led to it.
    pub async fn watch<T>(&self, story: impl Future<Output = Result<T>>) -> Result<T> {
        let ended = tokio::select! {
            ended = story => ended,
            () = self.over.cancelled() => Err(anyhow!("stopped")),
        };
        let inner = self.lock();
        let failure = match (&inner.violation, ended) {
            (Some(violation), _) => violation.clone(),
            (None, Err(error)) => format!("{error:#}"),
            (None, Ok(value)) => return Ok(value),
        };
        let from = inner.story.len().saturating_sub(TOLD);
        Err(anyhow!("{failure}\n\nwhat led to it:\n{}", inner.story[from..].join("\n")))
    }

    /// How many lines of the story begin with `word` after their time.
    pub fn count(&self, word: &str) -> usize {
        self.lock().story.iter().filter(|line| line.contains(&format!(" s  {word}"))).count()
    }
}
