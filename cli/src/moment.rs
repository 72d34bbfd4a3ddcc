//! Points in time as people type them: `10m`, `2026-11-23T04:50:00Z`, `2026-11-23 04:50`, `04:50`.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time as ClockTime};
use omni_common::clock::Time;
use std::time::Duration;

/// A moment that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a time: write how long ago (`10m`, `2h30m`, `3d`), a local time (`04:50`, `2026-11-23 04:50`) or RFC 3339 (`2026-11-23T04:50:00Z`)"
)]
pub(crate) struct InvalidMoment(String);

/// Reads a moment. Lengths count back from `now`; times without a zone are in `now`'s zone.
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<Time, InvalidMoment> {
    let text = text.trim();
    ago(text, now)
        .or_else(|| text.parse::<Time>().ok())
        .or_else(|| local(text, now))
        .ok_or_else(|| InvalidMoment(text.chars().take(64).collect()))
}

/// Reads a length of time such as `90s` or `1h30m`. A bare number is refused: of what?
pub(crate) fn length(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a length of time: write `30s`, `10m`, `2h30m` or `7d`"))
}

fn ago(text: &str, now: &Zoned) -> Option<Time> {
    let back = humantime::parse_duration(text).ok()?;
    Some(Time::from(now.timestamp()).minus(back))
}

/// The calendar library reads `10` as an hour and the time out of a date: what has neither a colon nor a dash
/// is too short to be sure of.
fn local(text: &str, now: &Zoned) -> Option<Time> {
    let civil = match (text.contains('-'), text.contains(':')) {
        (true, true) => text.parse::<DateTime>().ok()?,
        (true, false) => text.parse::<Date>().ok()?.to_datetime(ClockTime::midnight()),
        (false, true) => now.date().to_datetime(text.parse::<ClockTime>().ok()?),
        (false, false) => return None,
    };
    let zoned = civil.to_zoned(now.time_zone().clone()).ok()?;
    Some(zoned.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Zoned {
        "2026-11-23T12:00:00+01:00[Europe/Berlin]".parse().expect("a zoned time")
    }

    #[test]
    fn people_may_say_it_in_several_ways() {
        let cases = [
            ("10m", "2026-11-23T10:50:00.000Z"),
            ("2h30m", "2026-11-23T08:30:00.000Z"),
            ("3d", "2026-11-20T11:00:00.000Z"),
            ("2026-11-23T04:50:00Z", "2026-11-23T04:50:00.000Z"),
            ("2026-11-23T04:50:00+02:00", "2026-11-23T02:50:00.000Z"),
            ("2026-11-22 18:30", "2026-11-22T17:30:00.000Z"),
            ("2026-11-22", "2026-11-21T23:00:00.000Z"),
            ("04:50", "2026-11-23T03:50:00.000Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, &noon()).map(|t| t.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn nonsense_is_answered_with_examples() {
        for text in ["", "yesterday", "10", "25:00", "2026-13-01"] {
            let error = parse(text, &noon()).expect_err(text);
            assert!(error.to_string().contains("`10m`"), "{error}");
        }
        assert!(length("10").is_err());
        assert_eq!(length("1h30m"), Ok(Duration::from_secs(5400)));
    }
}
