//! The lease as the rest of the agent sees it: valid or not, from this moment on.

use super::lease::{LeaseClock, LeaseState};
use super::monotonic::Monotonic;
use omni_common::wire::Lease;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Holds the lease and tells when it runs out. It outlives sessions.
pub struct LeaseKeeper {
    monotonic: Monotonic,
    clock: Mutex<LeaseClock>,
    state: watch::Sender<LeaseState>,
}

impl LeaseKeeper {
    /// No lease yet.
    pub fn new(monotonic: Monotonic) -> Self {
        Self { monotonic, clock: Mutex::default(), state: watch::Sender::new(LeaseState::Never) }
    }

    /// The lease, now and later. It says `Expired` within a timer's accuracy of the moment it is.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.state.subscribe()
    }

    /// A heartbeat leaves now; returns the moment, which goes with it.
    pub fn heartbeat(&self) -> u64 {
        let now = self.monotonic.now_ms();
        self.lock().sent(now);
        now
    }

    /// The gateway relayed a lease. Returns whether it says anything new.
    pub fn granted(&self, lease: Lease) -> bool {
        let news = self.lock().granted(lease);
        if news {
            self.refresh();
        }
        news
    }

    /// When the newest heartbeat was sent that a leader has acknowledged, in monotonic milliseconds.
    pub fn acknowledged(&self) -> Option<u64> {
        self.lock().acknowledged()
    }

    /// Watches the lease run out, for ever.
    pub async fn run(&self) {
        let mut changed = self.state.subscribe();
        loop {
            match self.refresh() {
                LeaseState::Valid { until_ms } => {
                    let left = Duration::from_millis(until_ms.saturating_sub(self.monotonic.now_ms()));
                    // Whichever comes first; the refresh above sorts out which.
                    tokio::time::timeout(left, changed.changed()).await.ok();
                }
                // The sender is ours, so the channel cannot close.
                LeaseState::Never | LeaseState::Expired => drop(changed.changed().await),
            }
        }
    }

    fn refresh(&self) -> LeaseState {
        let state = self.lock().state(self.monotonic.now_ms());
        let changed = self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
        if changed && state == LeaseState::Expired {
            tracing::warn!("lease expired");
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, LeaseClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn watchers_learn_that_it_ran_out() {
        let keeper = Arc::new(LeaseKeeper::new(Monotonic::simulated()));
        let mut state = keeper.state();
        let running = tokio::spawn({
            let keeper = keeper.clone();
            async move { keeper.run().await }
        });
        let sent_ms = keeper.heartbeat();
        keeper.granted(Lease { sent_ms, ttl_ms: 6_000 });
        let valid = state.wait_for(|state| matches!(state, LeaseState::Valid { .. }));
        valid.await.expect("the keeper lives");
        let before = tokio::time::Instant::now();
        state.wait_for(|state| *state == LeaseState::Expired).await.expect("the keeper lives");
        assert_eq!(before.elapsed().as_secs(), 6);
        let sent_ms = keeper.heartbeat();
        keeper.granted(Lease { sent_ms, ttl_ms: 6_000 });
        assert!(matches!(*state.borrow(), LeaseState::Valid { .. }), "at once");
        running.abort();
    }
}
