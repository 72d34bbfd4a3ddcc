//! Lengths of time as people write them in files: `90m`, `1h30m`, `7d`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// Longer than a century is a slip.
const MAX_SECS: u64 = 100 * 366 * 86_400;

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, examples("1h30m"))]
pub struct Span(u64);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no length of time; write e.g. `30m`, `1h30m` or `7d`")]
pub struct InvalidSpan(String);

impl Span {
    /// So many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(secs)
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let bad = || InvalidSpan(text.chars().take(32).collect());
        let (mut total, mut number) = (0u64, None::<u64>);
        for c in text.trim().chars() {
            if let Some(digit) = c.to_digit(10) {
                let so_far = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit.into()));
                number = Some(so_far.ok_or_else(bad)?);
                continue;
            }
            let unit = UNITS.iter().find(|(unit, _)| *unit == c).ok_or_else(bad)?.1;
            let part = number.take().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)?;
            total = total.checked_add(part).ok_or_else(bad)?;
        }
        match number {
            None if total > 0 && total <= MAX_SECS => Ok(Self(total)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, secs) in UNITS.into_iter().skip(1) {
            if rest >= secs {
                write!(f, "{}{unit}", rest / secs)?;
                rest %= secs;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_lengths_with_units() {
        for (text, secs, shown) in
            [("90m", 5400, "1h30m"), ("1h30m", 5400, "1h30m"), ("2w", 1_209_600, "14d"), ("45s", 45, "45s")]
        {
            let span: Span = text.parse().expect(text);
            assert_eq!((span, span.to_string().as_str()), (Span::secs(secs), shown));
        }
        for text in ["", "10", "h", "1x", "-1h", "0s", "99999999999999999999h", "9999w9999w"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
