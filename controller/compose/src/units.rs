//! Numbers with units, as Compose writes them.

/// Longest duration, milliseconds: ten years. Longer ones are slips, and would overflow the engine's numbers.
const MAX_DURATION_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// Most CPUs of one container.
const MAX_CPUS: u64 = 100_000;

/// A whole number.
pub(crate) fn whole(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// Splits the number that a text begins with into whole part and fraction, and gives the rest.
fn number(text: &str) -> Option<(u64, &str, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let (fraction, rest) = match text[whole..].strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", &text[whole..]),
    };
    if whole == 0 && fraction.is_empty() {
        return None;
    }
    let value = if whole == 0 { 0 } else { text[..whole].parse().ok()? };
    Some((value, fraction, rest))
}

/// `value.fraction` times `unit`, rounded down.
fn scaled(value: u64, fraction: &str, unit: u64) -> Option<u64> {
    let fraction = &fraction[..fraction.len().min(18)];
    let part = match fraction.parse::<u128>() {
        Ok(parsed) => parsed * u128::from(unit) / 10_u128.pow(u32::try_from(fraction.len()).ok()?),
        Err(_) => 0,
    };
    value.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// A size: `512m`, `1.5gb`, `64KiB`, `1024`. Units are powers of 1024, as everywhere in Docker.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (value, fraction, rest) = number(text.trim())?;
    let unit = rest.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    scaled(value, fraction, 1024_u64.checked_pow(power)?).filter(|size| i64::try_from(*size).is_ok())
}

/// A duration: `1m30s`, `500ms`, `1.5h`, `2d`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut total_ns: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (value, fraction, after) = number(rest)?;
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit: u64 = match &after[..length] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        total_ns = total_ns.checked_add(scaled(value, fraction, unit)?)?;
        rest = &after[length..];
    }
    // What is not quite zero must not become zero, which often means "the default".
    let ms = total_ns.div_ceil(1_000_000);
    (ms <= MAX_DURATION_MS).then_some(ms)
}

/// A decimal number in billionths.
pub(crate) fn billionths(text: &str) -> Option<u64> {
    decimal(text, 1_000_000_000).filter(|n| *n <= MAX_CPUS * 1_000_000_000)
}

/// A decimal number times `unit`.
pub(crate) fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (value, fraction, rest) = number(text.trim())?;
    if rest.is_empty() { scaled(value, fraction, unit) } else { None }
}

/// A duration as Compose writes it.
pub(crate) fn show_duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let parts = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = ms;
    let mut text = String::new();
    for (unit, name) in parts {
        if rest / unit > 0 {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    text
}

/// Billionths as a decimal number.
pub(crate) fn show_decimal(value: u64, unit: u64) -> String {
    let digits = unit.to_string().len() - 1;
    let fraction = format!("{:0digits$}", value % unit);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (value / unit).to_string() } else { format!("{}.{fraction}", value / unit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("64k", Some(65_536)),
            ("64KB", Some(65_536)),
            ("1.5g", Some(1_610_612_736)),
            ("2 GiB", Some(2_147_483_648)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("99999999999999999999", None),
            ("9999999p", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("500ms", Some(500)),
            ("10us", Some(1)),
            ("2d", Some(172_800_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("1 s", None),
            ("600w", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
        assert_eq!(show_duration(90_500), "1m30s500ms");
    }

    #[test]
    fn decimals() {
        assert_eq!(billionths("0.5"), Some(500_000_000));
        assert_eq!(billionths("2"), Some(2_000_000_000));
        assert_eq!(billionths(".25"), Some(250_000_000));
        assert_eq!(billionths("1e3"), None);
        assert_eq!(show_decimal(1_250_000_000, 1_000_000_000), "1.25");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0..MAX_DURATION_MS, nanos in 0..MAX_CPUS * 1_000_000_000) {
            prop_assert_eq!(duration_ms(&show_duration(ms)), Some(ms));
            prop_assert_eq!(billionths(&show_decimal(nanos, 1_000_000_000)), Some(nanos));
        }

        #[test]
        fn nothing_panics(text in ".{0,30}") {
            let _ = (bytes(&text), duration_ms(&text), billionths(&text), whole(&text));
        }
    }
}
