//! Runs reconcilers while this controller leads.

use crate::metrics::RECONCILES;
use crate::raft::{RaftNode, RaftRole};
use async_trait::async_trait;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One piece of background work.
#[async_trait]
pub(crate) trait Reconciler: Send + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;
    /// It runs at least this often.
    fn period(&self) -> Duration;
    /// Reads, compares, acts. An error is a sentence for an operator; the next run tries again.
    async fn run(&mut self) -> Result<(), String>;
}

/// Runs a reconciler each period and on each change of the state, one run at a time, only while leading a quorum.
pub(crate) async fn drive(mut reconciler: impl Reconciler, node: RaftNode, stop: CancellationToken) {
    let mut applied = node.store().watch();
    let mut failing = false;
    loop {
        let wait = tokio::time::sleep(reconciler.period());
        tokio::select! {
            () = wait => {}
            // What failed is tried again each period: a failure may itself be a change.
            changed = applied.changed(), if !failing => {
                if changed.is_err() {
                    return;
                }
                // Many changes come together; one run serves them all.
                tokio::time::sleep(Duration::from_millis(20).min(reconciler.period())).await;
            }
            () = stop.cancelled() => return,
        }
        applied.mark_unchanged();
        // A leader that has lost its quorum is none: what it found now would be written when the quorum is back,
        // and would no longer be true.
        let status = node.status();
        if status.role != RaftRole::Leader || status.leader != Some(status.id) {
            failing = false;
            continue;
        }
        let result = reconciler.run().await;
        let outcome = if result.is_ok() { "done" } else { "failed" };
        metrics::counter!(RECONCILES, "name" => reconciler.name(), "outcome" => outcome).increment(1);
        if let Err(error) = &result
            && !failing
        {
            tracing::warn!(reconciler = reconciler.name(), error, "a reconciler failed and will try again");
        }
        failing = result.is_err();
    }
}
