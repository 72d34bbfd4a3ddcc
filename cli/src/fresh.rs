//! Old readings must not look fresh: they stand in parentheses, dimmed, with their age beside them.

use crate::table::Cell;
use crate::tone::Tone;
use crate::units::{ABSENT, span};
use std::time::Duration;

/// Agents sample this often while nobody watches.
const SAMPLE_PERIOD: Duration = Duration::from_secs(10);
/// One missed sample may be a hiccup; two are not.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(2 * SAMPLE_PERIOD.as_secs());

/// How old something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub Duration);

impl Age {
    /// From the API's milliseconds.
    pub(crate) fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Too old to stand for the present.
    pub(crate) fn is_stale(self) -> bool {
        self.0 > STALE_AFTER
    }

    /// `, 5m old` when stale, nothing otherwise.
    pub(crate) fn remark(self) -> String {
        if self.is_stale() { format!(", {} old", span(self.0)) } else { String::new() }
    }

    /// A cell with the age itself: how long ago something was last heard of.
    pub(crate) fn cell(self) -> Cell {
        let tone = if self.is_stale() { Tone::Warn } else { Tone::Plain };
        let text =
            if self.0 < Duration::from_secs(1) { "now".to_owned() } else { format!("{} ago", span(self.0)) };
        Cell::toned(text, tone)
    }

    /// A cell with a reading of this age; absent readings are a dash.
    pub(crate) fn reading(self, text: Option<String>, tone: Tone) -> Cell {
        match text {
            None => ABSENT.into(),
            Some(text) if self.is_stale() => Cell::toned(format!("({text})"), Tone::Dim),
            Some(text) => Cell::toned(text, tone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_missed_samples_make_a_reading_old() {
        assert!(!Age::from_millis(20_000).is_stale());
        assert!(Age::from_millis(20_001).is_stale());
        assert_eq!(Age::from_millis(300_000).remark(), ", 5m old");
        assert_eq!(Age::from_millis(1000).remark(), "");
    }
}
