//! The address book: where the controllers are, as last heard, kept on disk so that a restarted agent finds
//! them again.

use crate::ledger::Ledger;
use omni_common::wire::ControllerList;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most controllers believed; a Raft group has a handful.
const MAX_CONTROLLERS: usize = 64;
/// Longest address: a DNS name and a port.
const MAX_ADDRESS: usize = 260;

/// The controllers this agent knows.
pub struct Book {
    list: Mutex<ControllerList>,
    ledger: Option<Arc<Ledger>>,
    saving: tokio::sync::Mutex<()>,
}

impl Book {
    /// Starts from what is known; updates go to the ledger, when there is one.
    pub fn new(list: ControllerList, ledger: Option<Arc<Ledger>>) -> Self {
        Self { list: Mutex::new(list), ledger, saving: tokio::sync::Mutex::default() }
    }

    /// The list of the moment.
    pub fn list(&self) -> ControllerList {
        self.lock().clone()
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Takes up a newer list; returns whether it is one, and should be saved. An older one, which a lagging
    /// controller may still hold, is ignored, and so is one that would leave the agent with nowhere to go.
    pub fn update(&self, list: ControllerList) -> bool {
        let mut known = self.lock();
        let newer = list.version > known.version && is_sane(&list);
        if newer {
            tracing::info!(
                version = list.version,
                controllers = list.controllers.len(),
                "controllers changed"
            );
            *known = list;
        }
        newer
    }

    /// Writes the list of the moment to disk.
    pub async fn save(&self) {
        let Some(ledger) = self.ledger.clone() else { return };
        // One at a time, each with the newest list, so that an older one never overwrites a newer.
        let _one_at_a_time = self.saving.lock().await;
        let list = self.list();
        let saved = tokio::task::spawn_blocking(move || ledger.save_controllers(&list)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(error = &error as &dyn std::error::Error, "controllers not saved");
        }
    }

    fn lock(&self) -> MutexGuard<'_, ControllerList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_sane(list: &ControllerList) -> bool {
    !list.controllers.is_empty()
        && list.controllers.len() <= MAX_CONTROLLERS
        && list.controllers.iter().all(|controller| controller.quic.len() <= MAX_ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::ids::ControllerId;
    use omni_common::wire::ControllerAddress;

    fn list(version: u64, count: u64) -> ControllerList {
        let address =
            |id| ControllerAddress { id: ControllerId(id), quic: format!("c{id}:7600"), region: None };
        ControllerList { version, controllers: (1..=count).map(address).collect() }
    }

    #[tokio::test]
    async fn only_newer_and_sane_lists_are_taken_up_and_kept() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let ledger = Arc::new(Ledger::create(root.path()).expect("fresh folder"));
        let book = Book::new(list(3, 3), Some(ledger.clone()));
        for ignored in [list(2, 5), list(3, 5), list(9, 0), list(9, 1000)] {
            assert!(!book.update(ignored));
            assert_eq!(book.list(), list(3, 3));
        }
        assert!(book.update(list(4, 2)));
        book.save().await;
        assert_eq!(book.list(), list(4, 2));
        assert_eq!(ledger.controllers().expect("whole"), Some(list(4, 2)));
    }
}
