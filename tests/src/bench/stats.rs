//! Numbers out of measurements: percentiles, medians, ratios.

use serde::Serialize;
use std::time::Duration;

/// What one round of load gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Load {
    /// Calls answered per second.
    pub(super) per_second: f64,
    /// Latencies in milliseconds.
    pub(super) latency_ms: Percentiles,
    /// Calls answered in the measured time.
    pub(super) answered: usize,
    /// Calls that failed in it.
    pub(super) failed: usize,
}

/// A distribution in a few numbers. All zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Percentiles {
    /// Median.
    pub(super) p50: f64,
    /// Ninth decile.
    pub(super) p90: f64,
    /// 95th percentile.
    pub(super) p95: f64,
    /// 99th percentile.
    pub(super) p99: f64,
    /// The worst.
    pub(super) max: f64,
}

impl Percentiles {
    /// Of values in any order.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| nearest_rank(&values, percent);
        Self { p50: at(50), p90: at(90), p95: at(95), p99: at(99), max: at(100) }
    }

    /// Of durations, in milliseconds.
    pub(super) fn of_durations(durations: &[Duration]) -> Self {
        Self::of(durations.iter().map(|duration| duration.as_secs_f64() * 1_000.0).collect())
    }
}

/// The smallest value that `percent` of all values do not exceed; zero of none.
fn nearest_rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The middle value, or the mean of the two middle ones; zero of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The mean; zero of none.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (count, sum) = values.into_iter().fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// One quantity, ours over the peer's, round by round: both were measured within seconds of each other, so what
/// else the machine did weighs on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// Median over the rounds.
    pub(super) median: f64,
    /// Smallest of a round.
    pub(super) min: f64,
    /// Largest of a round.
    pub(super) max: f64,
}

impl Ratio {
    /// Of pairs (ours, the peer's). Pairs whose peer measured nothing are left out.
    pub(super) fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let ratios: Vec<f64> =
            pairs.into_iter().filter(|(_, peer)| *peer > 0.0).map(|(ours, peer)| ours / peer).collect();
        let fold = |pick: fn(f64, f64) -> f64| ratios.iter().copied().reduce(pick).unwrap_or_default();
        Self { median: median(ratios.iter().copied()), min: fold(f64::min), max: fold(f64::max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let many = Percentiles::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(many, Percentiles { p50: 100.0, p90: 180.0, p95: 190.0, p99: 198.0, max: 200.0 });
        let one = Percentiles::of(vec![7.0]);
        assert_eq!(one, Percentiles { p50: 7.0, p90: 7.0, p95: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
        assert_eq!((mean([1.0, 2.0, 6.0]), mean([])), (3.0, 0.0));
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let ratio = Ratio::of([(4.0, 2.0), (9.0, 3.0), (1.0, 0.0), (8.0, 2.0)]);
        assert_eq!(ratio, Ratio { median: 3.0, min: 2.0, max: 4.0 });
    }
}
