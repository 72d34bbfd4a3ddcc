//! What a run of a backup asks of the converger: containers that it has stopped stay so for a while, and nothing is started
//! on a volume whose data is not whole.
//!
//! The second outlives the agent, in the data folder. A restore that ends well takes it back, and so does an operator who
//! knows better, by removing the file `unfinished` there while the agent is down.

use crate::ledger::{Ledger, LedgerError};
use omni_common::ids::RunId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The holds of a host.
#[derive(Debug, Default)]
pub struct Holds {
    ledger: Option<Arc<Ledger>>,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Ids of containers that a run has stopped.
    stopped: BTreeSet<String>,
    /// Ids of containers that a run is done with, and that are to be started again.
    released: BTreeSet<String>,
    /// Volumes whose restore has not ended well, by their names on the host.
    unfinished: BTreeMap<String, RunId>,
}

impl Holds {
    /// What was held when the agent ran last.
    ///
    /// # Errors
    /// When the data folder cannot be read, or the file is torn.
    pub fn open(ledger: Arc<Ledger>) -> Result<Self, LedgerError> {
        let unfinished = ledger.unfinished()?.unwrap_or_default();
        let inner = Mutex::new(Inner { unfinished, ..Inner::default() });
        Ok(Self { ledger: Some(ledger), inner, changes: watch::Sender::default() })
    }

    /// A container that a run stops is not started again until it is released.
    pub fn hold(&self, container: &str) {
        self.lock().stopped.insert(container.to_owned());
        self.changed();
    }

    /// The run is done with a container: it is started again, if it is to run at all.
    pub fn release(&self, container: &str) {
        let mut inner = self.lock();
        inner.stopped.remove(container);
        inner.released.insert(container.to_owned());
        drop(inner);
        self.changed();
    }

    /// From now on nothing is started on these volumes; on disk before this returns.
    ///
    /// # Errors
    /// When it could not be written; then nothing has changed.
    pub async fn bar(&self, volumes: &BTreeSet<String>, run: RunId) -> Result<(), LedgerError> {
        self.set(|unfinished| unfinished.extend(volumes.iter().map(|volume| (volume.clone(), run)))).await
    }

    /// The data of these volumes is whole.
    ///
    /// # Errors
    /// When it could not be written; then nothing has changed.
    pub async fn unbar(&self, volumes: &BTreeSet<String>) -> Result<(), LedgerError> {
        if !volumes.iter().any(|volume| self.lock().unfinished.contains_key(volume)) {
            return Ok(());
        }
        self.set(|unfinished| unfinished.retain(|volume, _| !volumes.contains(volume))).await
    }

    async fn set(&self, change: impl FnOnce(&mut BTreeMap<String, RunId>)) -> Result<(), LedgerError> {
        let mut unfinished = self.lock().unfinished.clone();
        change(&mut unfinished);
        if let Some(ledger) = self.ledger.clone() {
            let copy = unfinished.clone();
            let saved = tokio::task::spawn_blocking(move || ledger.save_unfinished(&copy)).await;
            saved.unwrap_or(Ok(()))?;
        }
        self.lock().unfinished = unfinished;
        self.changed();
        Ok(())
    }

    /// The containers that stay stopped.
    pub fn held(&self) -> BTreeSet<String> {
        self.lock().stopped.clone()
    }

    /// The volumes that nothing is started on, and the runs that did not end well.
    pub fn barred(&self) -> BTreeMap<String, RunId> {
        self.lock().unfinished.clone()
    }

    /// The containers that were released since this was last asked.
    pub(super) fn take_released(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().released)
    }

    /// Counts up with each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
