//! How often to sample: at the gateway's usual pace, faster while somebody watches.

use std::time::Duration;
use tokio::time::Instant;

/// The pace before a gateway has named one.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// Faster than this a sample says more about the collector than about the host.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// Slower than this a host looks forgotten.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// Longest that one request to watch holds; a watcher repeats it.
const MAX_WATCH: Duration = Duration::from_secs(600);

/// The sampling pace of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    usual: Duration,
    watch: Option<(Duration, Instant)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { usual: DEFAULT_INTERVAL, watch: None }
    }
}

impl Pace {
    /// The gateway's usual pace, in milliseconds.
    pub fn set_usual(&mut self, interval_ms: u32) {
        self.usual = clamp(interval_ms);
    }

    /// Somebody watches: sample each `interval_ms` for `for_ms` from `now`.
    pub fn watch(&mut self, interval_ms: u32, for_ms: u32, now: Instant) {
        let length = Duration::from_millis(for_ms.into()).min(MAX_WATCH);
        self.watch = Some((clamp(interval_ms), now + length));
    }

    /// Time between two samples at `now`. Watching never makes it slower.
    pub fn interval(&self, now: Instant) -> Duration {
        match self.watch {
            Some((interval, until)) if now < until => interval.min(self.usual),
            _ => self.usual,
        }
    }
}

fn clamp(interval_ms: u32) -> Duration {
    Duration::from_millis(interval_ms.into()).clamp(MIN_INTERVAL, MAX_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watching_ends_by_itself() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.set_usual(10_000);
        pace.watch(1_000, 5_000, now);
        assert_eq!(pace.interval(now), Duration::from_secs(1));
        assert_eq!(pace.interval(now + Duration::from_secs(5)), Duration::from_secs(10));
    }

    #[test]
    fn hostile_paces_are_clamped() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.set_usual(0);
        assert_eq!(pace.interval(now), MIN_INTERVAL);
        pace.set_usual(u32::MAX);
        assert_eq!(pace.interval(now), MAX_INTERVAL);
        pace.watch(u32::MAX, u32::MAX, now);
        assert_eq!(pace.interval(now), MAX_INTERVAL);
    }
}
