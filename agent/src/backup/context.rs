//! What every step of a run has at hand.

use super::Shared;
use super::failure::Failure;
use super::repository::Opened;
use crate::runs::{Done, Errand};
use omni_common::domain::backup::{self, ItemName, ItemOutcome, RunState};
use omni_common::ids::RunId;
use omni_restic::{Error, Running};
use std::collections::BTreeMap;

/// A run under way.
pub(super) struct Context<'a> {
    pub(super) shared: &'a Shared,
    pub(super) run: RunId,
    pub(super) errand: &'a Errand,
}

impl Context<'_> {
    /// A repository of the order, with what it takes to open it.
    pub(super) fn open(&self, told: &backup::Repository) -> Result<Opened, Failure> {
        let restic = self.shared.restic.as_ref();
        let restic =
            restic.ok_or_else(|| Failure::new("no_restic", "there is no restic on this host; install it"))?;
        Opened::new(restic, told, &self.shared.work)
    }

    /// Waits for restic, shows how far it is, and ends it when the run is given up.
    pub(super) async fn attend<T: Send + 'static>(&self, running: Running<T>) -> Result<T, Error> {
        self.errand.reporter.follow(running.progress());
        let canceller = running.canceller();
        let end = running.end();
        tokio::pin!(end);
        tokio::select! {
            biased;
            ended = &mut end => ended,
            () = self.errand.cancel.cancelled() => {
                canceller.cancel();
                end.await
            }
        }
    }

    /// Does something that ends when the run is given up.
    pub(super) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.errand.cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Failure::cancelled()))
    }

    /// Whether the run was given up.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.errand.cancel.is_cancelled() { Err(Failure::cancelled()) } else { Ok(()) }
    }
}

/// Runs something that blocks beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new("internal", format!("the agent made a mistake: {error}"))))
}

/// An item of which nothing has become yet.
pub(super) fn nothing_yet(item: &ItemName, taken: omni_common::clock::Time) -> ItemOutcome {
    ItemOutcome {
        item: item.clone(),
        state: RunState::Failed,
        snapshot: None,
        taken,
        bytes: 0,
        added_bytes: 0,
        files: 0,
        facts: BTreeMap::new(),
        missing: Vec::new(),
        message: None,
    }
}

/// What a run comes to whose items came to this; `first` is what went wrong first.
pub(super) fn sum_up(items: Vec<ItemOutcome>, first: Option<Failure>) -> Done {
    if let Some(failure) = first {
        let (state, code) = (failure.state(), Some(failure.code.to_owned()));
        return Done { state, items, code, message: Some(failure.message) };
    }
    let partial = items.iter().find(|item| item.state == RunState::Partial);
    let message = partial.and_then(|item| Some(format!("{}: {}", item.item, item.message.as_ref()?)));
    let (state, code) = match partial {
        Some(_) => (RunState::Partial, Some("incomplete".to_owned())),
        None => (RunState::Succeeded, None),
    };
    Done { state, items, code, message }
}
