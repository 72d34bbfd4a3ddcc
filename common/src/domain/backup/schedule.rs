//! When something is due: five cron fields on the wall clock of a time zone.

use crate::clock::Time;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use std::fmt;

/// Longest expression looked at, bytes.
const MAX_TEXT: usize = 128;

/// A cron expression in a time zone.
///
/// A time that the change of clocks skips comes at the first moment after the gap; one that comes twice counts the first
/// time only.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The expression makes no sense.
    #[error("`{text}` is no schedule: {why}; write five cron fields, e.g. `30 2 * * *`")]
    Cron {
        /// What was given.
        text: String,
        /// Why not.
        why: String,
    },
    /// There is no such time zone.
    #[error("there is no time zone `{0}`; write a name as `UTC` or `Europe/Berlin`")]
    Zone(String),
}

impl Schedule {
    /// Reads an expression of minute, hour, day of month, month and day of week.
    pub fn new(text: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let shown: String = text.chars().take(MAX_TEXT).collect();
        let bad = |why: String| InvalidSchedule::Cron { text: shown.clone(), why };
        if text.len() > MAX_TEXT || text.split_whitespace().count() != 5 {
            return Err(bad("it has not five fields".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| bad(error.to_string()))?;
        let short: String = zone.chars().take(64).collect();
        let zone = TimeZone::get(zone).map_err(|_| InvalidSchedule::Zone(short))?;
        let schedule = Self { text: text.to_owned(), cron, zone };
        match schedule.next(Time::EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(bad("no day has that date".to_owned())),
        }
    }

    /// The first time after a moment.
    pub fn next(&self, after: Time) -> Option<Time> {
        let from = after.timestamp().to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&from, false).ok().map(|at| at.timestamp().into())
    }

    /// The last time that is not after a moment.
    pub fn last(&self, at: Time) -> Option<Time> {
        let from = at.timestamp().to_zoned(self.zone.clone());
        let found = self.cron.find_previous_occurrence(&from, true).ok()?;
        let found = Time::from(found.timestamp());
        (found <= at).then_some(found)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Time {
        text.parse().expect("RFC 3339")
    }

    fn berlin(text: &str) -> Schedule {
        Schedule::new(text, "Europe/Berlin").expect(text)
    }

    #[test]
    fn a_skipped_time_comes_after_the_gap() {
        let daily = berlin("30 2 * * *");
        // Clocks went from 02:00 to 03:00 at 01:00 UTC.
        assert_eq!(daily.next(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        assert_eq!(daily.next(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T00:30:00Z")));
        assert_eq!(daily.last(at("2026-03-29T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn a_doubled_time_comes_once() {
        let daily = berlin("30 2 * * *");
        // 02:30 is at 00:30 and at 01:30 UTC.
        assert_eq!(daily.next(at("2026-10-24T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(daily.next(at("2026-10-25T00:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@daily", "x x x x x"] {
            assert!(matches!(Schedule::new(text, "UTC"), Err(InvalidSchedule::Cron { .. })), "{text}");
        }
        assert!(matches!(Schedule::new("0 0 * * *", "Mars/Base"), Err(InvalidSchedule::Zone(_))));
        // Day of month or weekday suffices; names are allowed.
        let either = Schedule::new("0 6 1 jan mon", "UTC").expect("names");
        assert_eq!(either.next(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T06:00:00Z")));
        assert_eq!(either.next(at("2026-01-01T07:00:00Z")), Some(at("2026-01-05T06:00:00Z")));
    }

    proptest! {
        /// Whatever the clocks do, times come in order, and looking back finds the one before.
        #[test]
        fn times_are_in_order_over_changes_of_clocks(
            start in 1_767_225_600i64..1_830_000_000,
            which in 0usize..5,
        ) {
            let text = ["30 2 * * *", "15 * * * *", "0 */4 * * *", "*/20 1-3 * * 0", "0 3 29 3,10 *"][which];
            let schedule = berlin(text);
            let mut now = Time::from_secs(start);
            for _ in 0..8 {
                let next = schedule.next(now).expect("it goes on");
                prop_assert!(next > now);
                prop_assert_eq!(schedule.last(next), Some(next), "{}", next);
                now = next;
            }
        }
    }
}
