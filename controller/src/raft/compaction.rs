//! When the log is shortened: a snapshot holds all that the entries before it did.
//!
//! A snapshot costs in proportion to the state, and the state of a busy cluster is tens of thousands of entries large. So
//! entries alone must not say when: at full load a controller would write its whole state more than once a second, and
//! did, for a fifth of its time.

use super::types::{Raft, Types};
use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Entries between two snapshots, while there is time between them. At about 300 bytes an entry the log stays near a
/// megabyte.
const ENTRIES: u64 = 5_000;
/// Time between two snapshots, unless the log grows beyond [`MOST_ENTRIES`] in it.
const PAUSE: Duration = Duration::from_secs(30);
/// Entries between two snapshots whatever the time: the log is kept in memory as well, and this is about 30 MB of it.
const MOST_ENTRIES: u64 = 50_000;
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a snapshot is due, so many entries and so long after the last one.
fn is_due(entries: u64, since: Option<Duration>) -> bool {
    entries >= MOST_ENTRIES || (entries >= ENTRIES && since.is_none_or(|since| since >= PAUSE))
}

/// Takes snapshots when they are due, until Raft ends here.
pub(super) async fn run(raft: Raft) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Instant> = None;
    loop {
        looks.tick().await;
        let entries = entries_since_snapshot(&raft.metrics().borrow_watched());
        if !is_due(entries, last.map(|last| last.elapsed())) {
            continue;
        }
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
        last = Some(Instant::now());
    }
}

fn entries_since_snapshot(metrics: &RaftMetrics<Types>) -> u64 {
    let applied = metrics.last_applied.map_or(0, |id| id.index);
    applied.saturating_sub(metrics.snapshot.map_or(0, |id| id.index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_waits_for_entries_and_for_time_but_not_for_ever() {
        assert!(!is_due(ENTRIES - 1, None));
        assert!(is_due(ENTRIES, None), "the first one has nothing to wait for");
        assert!(!is_due(MOST_ENTRIES - 1, Some(PAUSE - Duration::from_millis(1))));
        assert!(is_due(ENTRIES, Some(PAUSE)));
        assert!(is_due(MOST_ENTRIES, Some(Duration::ZERO)));
    }
}
