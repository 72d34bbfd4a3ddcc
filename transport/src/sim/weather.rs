//! How long things take on the simulated wire, from a seed.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A seeded source of latencies.
pub(super) struct Weather(Mutex<State>);

struct State {
    random: SplitMix,
    latency: Range<Duration>,
}

impl Weather {
    pub(super) fn new(seed: u64) -> Self {
        let latency = Duration::from_micros(200)..Duration::from_millis(2);
        Self(Mutex::new(State { random: SplitMix(seed), latency }))
    }

    pub(super) fn set_latency(&self, latency: Range<Duration>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).latency = latency;
    }

    /// The next one-way latency. An empty range is its start.
    pub(super) fn latency(&self) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Range { start, end } = state.latency.clone();
        let span = u64::try_from(end.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        let extra = state.random.next().checked_rem(span).unwrap_or(0);
        start + Duration::from_nanos(extra)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine and in every version, which
/// no library generator promises for its default.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_weather_within_its_range() {
        let range = Duration::from_millis(1)..Duration::from_millis(5);
        let draw = |seed| {
            let weather = Weather::new(seed);
            weather.set_latency(range.clone());
            (0..100).map(|_| weather.latency()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|latency| range.contains(latency)));
    }

    #[test]
    fn an_empty_range_is_a_fixed_latency() {
        let weather = Weather::new(1);
        weather.set_latency(Duration::ZERO..Duration::ZERO);
        assert_eq!(weather.latency(), Duration::ZERO);
    }
}
