//! Numbers as people read them: sizes, rates, shares, ages.
//!
//! All are short, because they stand in table columns. An absent reading is a dash, never a zero.

use omni_common::clock::Time;
use std::time::Duration;

/// What stands where there is nothing to show.
pub(crate) const ABSENT: &str = "-";

/// A size in powers of 1024, as `df -h` and `free -h` write it: `512`, `1.5G`, `128G`.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let mut amount = value as f64;
    let mut unit = 0;
    // 999.5 would print as 1000: move on before three digits overflow.
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit > 0 && amount < 9.95 {
        format!("{amount:.1}{}", UNITS[unit])
    } else {
        format!("{amount:.0}{}", UNITS[unit])
    }
}

/// Bytes per second.
pub(crate) fn rate(per_second: f32) -> String {
    format!("{}/s", bytes(per_second.max(0.0).round() as u64))
}

/// A percentage without decimals; what is busy but rounds to nothing shows as `<1%`.
pub(crate) fn percent(value: f32) -> String {
    match value {
        v if v > 0.0 && v < 0.5 => "<1%".to_owned(),
        v => format!("{:.0}%", v.max(0.0)),
    }
}

/// `part` of `whole` in percent; absent when there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> Option<f32> {
    (whole > 0).then(|| (part as f64 * 100.0 / whole as f64) as f32)
}

/// A span with at most two units: `45s`, `3m`, `1h20m`, `4d6h`, `40d`.
pub(crate) fn span(length: Duration) -> String {
    let secs = length.as_secs();
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    let two = |big: u64, sign: &str, small: u64, small_sign: &str| {
        if big >= 10 || small == 0 {
            format!("{big}{sign}")
        } else {
            format!("{big}{sign}{small}{small_sign}")
        }
    };
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => two(hours, "h", minutes % 60, "m"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// How long ago something was: `now`, `45s ago`, `3m ago`.
pub(crate) fn ago(at: Time, now: Time) -> String {
    let age = now.since(at);
    if age < Duration::from_secs(1) { "now".to_owned() } else { format!("{} ago", span(age)) }
}

/// How far ahead something lies, or how long ago it was: `in 3h`, `2d ago`.
pub(crate) fn until(at: Time, now: Time) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { ago(at, now) }
}

/// `1 host`, `3 hosts`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_three_digits() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (1536, "1.5K"),
            (10 * 1024, "10K"),
            (1023 * 1024, "1.0M"),
            (1_610_612_736, "1.5G"),
            (u64::MAX, "16E"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value), text, "{value}");
        }
        assert_eq!(rate(1_300_000.0), "1.2M/s");
        assert_eq!(rate(-1.0), "0/s");
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(0.2), "<1%");
        assert_eq!(percent(99.6), "100%");
        assert_eq!(share(1, 4), Some(25.0));
        assert_eq!(share(1, 0), None);
    }

    #[test]
    fn spans_have_at_most_two_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (4800, "1h20m"),
            (7200, "2h"),
            (40_000, "11h"),
            (90_000, "1d1h"),
            (86_400 * 40, "40d"),
        ];
        for (secs, text) in cases {
            assert_eq!(span(Duration::from_secs(secs)), text, "{secs}");
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = Time::from_secs(10_000);
        assert_eq!(ago(now, now), "now");
        assert_eq!(ago(Time::from_secs(9_820), now), "3m ago");
        assert_eq!(ago(Time::from_secs(10_500), now), "now", "a clock ahead of ours is not in the past");
        assert_eq!(until(Time::from_secs(10_045), now), "in 45s");
        assert_eq!(until(Time::from_secs(9_955), now), "45s ago");
    }
}
