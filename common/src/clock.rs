//! Time.
//!
//! Two clocks, never mixed: [`Time`] is wall time, written into commands and shown to people; monotonic
//! time (`tokio::time::Instant`) decides leases and deadlines and never leaves the process that read it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// A moment of wall time in milliseconds since 1970-01-01 UTC. JSON shows RFC 3339, frames carry the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-11-23T04:50:00.000Z"))]
pub struct Time(i64);

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since the epoch; clamped to what a calendar can show (years -9999 to 9999).
    pub const fn from_millis(millis: i64) -> Self {
        const MAX: i64 = 253_402_207_200_999;
        const MIN: i64 = -377_705_023_201_000;
        Self(if millis > MAX {
            MAX
        } else if millis < MIN {
            MIN
        } else {
            millis
        })
    }

    /// From whole seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How much later `self` is than `earlier`; zero when it is not.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `self` moved forward.
    #[must_use]
    pub fn plus(self, by: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// `self` moved back.
    #[must_use]
    pub fn minus(self, by: std::time::Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The same moment as the calendar library sees it.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(self.0)
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self::from_millis(at.as_millisecond())
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_millis)
        }
    }
}

/// A source of wall time. Only edges hold one; pure code takes `now` as an argument.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Time {
        Timestamp::now().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_shows_a_date_and_frames_a_number() {
        let at = Time::from_millis(1_795_405_800_123);
        assert_eq!(serde_json::to_string(&at).expect("plain value"), "\"2026-11-23T03:50:00.123Z\"");
        assert_eq!(serde_json::from_str::<Time>("\"2026-11-23T04:50:00.123+01:00\"").expect("rfc 3339"), at);
        let bytes = crate::codec::encode(&at).expect("small");
        assert_eq!(crate::codec::decode::<Time>(&bytes).expect("same type"), at);
    }

    #[test]
    fn no_moment_is_out_of_the_calendar() {
        for millis in [i64::MIN, i64::MAX] {
            assert!(!Time::from_millis(millis).to_string().is_empty());
        }
    }
}
