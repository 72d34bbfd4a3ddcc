//! The one source of chance: everything that a seed decides is drawn from here.

use std::ops::Range;
use std::time::Duration;

/// A seeded stream of numbers: SplitMix64 (Steele, Lea and Flood, 2014), the same on every machine and in every
/// version, which no library generator promises for its default.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream, so that a part's draws do not depend on how often its neighbours draw.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.number())
    }

    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number under `bound`; zero when that is zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let number = self.number().checked_rem(bound).unwrap_or(0);
        usize::try_from(number).expect("it is under a usize")
    }

    /// True this often in a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`; absent when there are none.
    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).cloned()
    }

    /// A length of time in whole milliseconds.
    pub(super) fn between(&mut self, range: Range<Duration>) -> Duration {
        let millis = |time: Duration| usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
        let extra = self.below(millis(range.end.saturating_sub(range.start)));
        range.start + Duration::from_millis(u64::try_from(extra).unwrap_or(u64::MAX))
    }
}
