//! From counters to rates. Pure.

use std::time::{Duration, Instant};

/// How fast a counter grew. `None` when it went backwards (its owner restarted) or no time has passed.
pub(super) fn per_second(before: u64, now: u64, elapsed: Duration) -> Option<f32> {
    let grown = now.checked_sub(before)?;
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| (grown as f64 / seconds) as f32)
}

/// `part` of `whole` in percent, never outside 0 to 100; zero of nothing.
pub(super) fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 100.0).min(100.0) as f32
}

/// The reading before, kept until the next one is compared with it.
#[derive(Debug)]
pub(super) struct Before<T>(Option<(Instant, T)>);

impl<T> Default for Before<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Before<T> {
    /// Compares `now` with the reading before and keeps it for the next time; `None` when it is the first.
    pub(super) fn step<R>(
        &mut self,
        at: Instant,
        now: T,
        compare: impl FnOnce(&T, &T, Duration) -> R,
    ) -> Option<R> {
        let result =
            self.0.as_ref().map(|(then, before)| compare(before, &now, at.saturating_duration_since(*then)));
        self.0 = Some((at, now));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_rate_is_a_plain_number(before: u64, now: u64, nanos: u64) {
            match per_second(before, now, Duration::from_nanos(nanos)) {
                Some(rate) => prop_assert!(rate.is_finite() && rate >= 0.0),
                None => prop_assert!(now < before || nanos == 0),
            }
        }

        #[test]
        fn a_share_stays_within_a_hundred(part: u64, whole: u64) {
            prop_assert!((0.0..=100.0).contains(&percent(part, whole)));
        }
    }

    #[test]
    fn the_first_reading_has_nothing_to_be_compared_with() {
        let start = Instant::now();
        let mut before = Before::default();
        assert_eq!(before.step(start, 10u64, |a, b, t| per_second(*a, *b, t)), None);
        let later = start + Duration::from_secs(2);
        assert_eq!(before.step(later, 30, |a, b, t| per_second(*a, *b, t)), Some(Some(10.0)));
    }
}
