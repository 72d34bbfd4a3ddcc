//! The published state: readers take the current one without a lock, or wait for a later one.

use crate::state::State;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::watch;

/// Read side; cheap to clone.
#[derive(Clone)]
pub struct Store {
    current: Arc<ArcSwap<State>>,
    applied: watch::Receiver<u64>,
}

/// Write side, held by the state machine alone.
pub(crate) struct Publisher {
    current: Arc<ArcSwap<State>>,
    applied: watch::Sender<u64>,
}

impl Store {
    /// A store that holds `state`, and the handle that replaces it.
    pub(crate) fn new(state: State) -> (Publisher, Self) {
        let (tell, applied) = watch::channel(state.index);
        let current = Arc::new(ArcSwap::from_pointee(state));
        (Publisher { current: Arc::clone(&current), applied: tell }, Self { current, applied })
    }

    /// The newest state that was applied here.
    pub fn current(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Wakes whenever a newer state is there; the value is the applied log index.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// The first state that includes log index `index`. Never returns when the controller stops first.
    pub async fn at_least(&self, index: u64) -> Arc<State> {
        let mut applied = self.applied.clone();
        if applied.wait_for(|applied| *applied >= index).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.current()
    }
}

impl Publisher {
    /// The state that was published last.
    pub(crate) fn current(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Replaces the state; `index` is the last entry it includes, Raft's own entries counted.
    pub(crate) fn publish(&self, state: Arc<State>, index: u64) {
        self.current.store(state);
        self.applied.send_replace(index);
    }
}
