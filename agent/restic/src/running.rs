//! Operations that are under way.

use crate::failure::Error;
use crate::report::Progress;
use std::future::Future;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An operation that is under way, in a task of the runtime that it was started on. Dropping it cancels it:
/// restic is interrupted, and killed if that does not help, in the background.
#[derive(Debug)]
#[must_use = "an operation that nobody waits for is cancelled"]
pub struct Running<T> {
    task: JoinHandle<Result<T, Error>>,
    cancel: CancellationToken,
    progress: watch::Receiver<Progress>,
}

impl<T: Send + 'static> Running<T> {
    /// Starts an operation.
    pub(crate) fn start<F>(begin: impl FnOnce(CancellationToken, watch::Sender<Progress>) -> F) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let (sender, progress) = watch::channel(Progress::default());
        // A task of its own, because what is dropped cannot wait for restic to end.
        let task = tokio::spawn(begin(cancel.clone(), sender));
        Self { task, cancel, progress }
    }

    /// How far it is: always the newest value, twice a second.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Asks it to end. It ends as [`Error::Cancelled`], or well when it was done already; after the grace of
    /// the settings at the latest, and up to a minute later where a lock has to be removed from a slow
    /// repository.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// A token that does the same as [`Running::cancel`], for where only the wait is at hand.
    pub fn canceller(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Waits for its end. Dropping this future cancels the operation.
    pub async fn end(mut self) -> Result<T, Error> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down, and this future with it.
                Err(error) => {
                    Err(Error::Io { doing: "waiting for restic", source: std::io::Error::other(error) })
                }
            },
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
