//! Long-running parts of the process: each has a name, a policy for when it ends, and the stop token.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Waits before a part is started again: doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What happens when a part ends although nobody asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// The process cannot go on without it.
    StopAll,
    /// It is started again, after a growing wait.
    Restart,
}

/// Starts parts and sees them out.
pub struct Supervisor {
    stop: CancellationToken,
    tracker: TaskTracker,
    running: std::sync::Arc<Mutex<Vec<&'static str>>>,
}

impl Supervisor {
    /// Parts live until `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, tracker: TaskTracker::new(), running: std::sync::Arc::default() }
    }

    /// Starts a part; `make` makes it anew each time it is started.
    pub fn spawn<F>(
        &self,
        name: &'static str,
        on_end: OnEnd,
        mut make: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, running) = (self.stop.clone(), self.running.clone());
        self.tracker.spawn(async move {
            enter(&running, name);
            let mut wait = FIRST_WAIT;
            while !stop.is_cancelled() {
                // A task of its own, so that its panic ends here.
                let ended = tokio::spawn(make(stop.clone())).await;
                if stop.is_cancelled() {
                    break;
                }
                report(name, on_end, &ended);
                if on_end == OnEnd::StopAll {
                    stop.cancel();
                    break;
                }
                stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
            leave(&running, name);
        });
    }

    /// Waits until `stop`, and then at most `patience` for the parts to end. Names those that did not.
    pub async fn finish(self, patience: Duration) -> Vec<&'static str> {
        self.stop.cancelled().await;
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.ok();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn report(name: &str, on_end: OnEnd, ended: &Result<(), tokio::task::JoinError>) {
    match ended {
        Ok(()) if on_end == OnEnd::StopAll => tracing::info!(part = name, "part ended, stopping"),
        Ok(()) => tracing::warn!(part = name, "part ended, starting it again"),
        Err(error) => tracing::error!(part = name, %error, "part failed"),
    }
}

fn enter(running: &Mutex<Vec<&'static str>>, name: &'static str) {
    running.lock().unwrap_or_else(PoisonError::into_inner).push(name);
}

fn leave(running: &Mutex<Vec<&'static str>>, name: &str) {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = running.iter().position(|other| *other == name) {
        running.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_is_started_again() {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        let starts = Arc::new(AtomicU32::new(0));
        let counted = starts.clone();
        supervisor.spawn("flaky", OnEnd::Restart, move |stop| {
            let start = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(start >= 2, "fails twice");
                stop.cancel();
            }
        });
        assert!(supervisor.finish(Duration::from_secs(1)).await.is_empty());
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vital_part_takes_the_process_with_it_and_stragglers_are_named() {
        let supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("vital", OnEnd::StopAll, |_| std::future::ready(()));
        supervisor.spawn("deaf", OnEnd::Restart, |_| std::future::pending());
        assert_eq!(supervisor.finish(Duration::from_secs(1)).await, ["deaf"]);
    }
}
