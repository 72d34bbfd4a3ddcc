//! Standing orders, and what the host did by itself: fetched and handed in, each on a stream of its own.

use super::contents::{Unanswered, ask};
use crate::runs::Runs;
use omni_common::wire::{HostRequest, MAX_STANDING};
use omni_transport::Connection;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Orders that changed are held this long after at most.
const FRESHENED: Duration = Duration::from_secs(60);
/// What could not be recorded is handed in again after this time.
const AGAIN: Duration = Duration::from_secs(2);

/// Hands in and fetches until the session is over.
pub(super) async fn run(runs: &Runs, connection: &Connection) -> Infallible {
    let Some(alone) = runs.alone() else { return std::future::pending().await };
    let mut fresh = tokio::time::interval(FRESHENED);
    fresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // What was done comes first: new orders say what is served.
        while let Some(told) = alone.to_tell() {
            match ask(connection, &HostRequest::Offline(Box::new(told.clone())), 0).await {
                Ok(_) => runs.recorded(&told, None).await,
                Err(Unanswered::Nothing(reason)) => runs.recorded(&told, Some(reason)).await,
                Err(error) => {
                    tracing::debug!(run = %told.id, %error, "a backup of this host's own is not recorded yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        tokio::select! {
            () = alone.news() => {}
            _ = fresh.tick() => {
                match ask(connection, &HostRequest::Standing(alone.digest()), MAX_STANDING).await {
                    // The same as before.
                    Ok(bytes) if bytes.is_empty() => {}
                    Ok(bytes) => if let Err(error) = alone.ordered(&bytes).await {
                        tracing::error!(error, "standing orders for backups are of no use");
                    },
                    Err(error) => tracing::debug!(%error, "standing orders for backups not fetched"),
                }
            }
        }
    }
}
