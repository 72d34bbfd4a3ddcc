//! Failed authentication, counted by address.
//!
//! Tokens are 256 random bits, so this does not keep anyone from guessing; it bounds what strangers make the
//! controller do. A valid token is let in even from a throttled address: otherwise one broken script could
//! lock out everyone behind the same router.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Failures that an address may make at once.
const BURST: f64 = 20.0;
/// One more each this often.
const REFILL: Duration = Duration::from_secs(3);
/// Addresses remembered. When there are more, those that have been quiet longest are forgotten.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() / REFILL.as_secs_f64();
        Self { left: (self.left + gained).min(BURST), at: now }
    }
}

/// Counts failures. Shared by all requests.
#[derive(Default)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Throttle {
    /// Notes a failure; answers after how many seconds the address may fail again, when it has failed too
    /// often.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Option<u64> {
        let mut buckets = self.buckets.lock().expect("no panic while locked");
        let key = network(address);
        if buckets.len() >= MAX_ADDRESSES && !buckets.contains_key(&key) {
            forget(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: BURST, at: now });
        *bucket = bucket.refilled(now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return None;
        }
        Some((REFILL.mul_f64(1.0 - bucket.left).as_secs_f64().ceil() as u64).max(1))
    }
}

/// A single IPv6 customer has a /64; their addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 => v4,
    }
}

/// Makes room: whoever has all attempts back, or else the half that was quiet longest.
fn forget(buckets: &mut HashMap<IpAddr, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| bucket.refilled(now).left < BURST);
    if buckets.len() < MAX_ADDRESSES {
        return;
    }
    let mut times: Vec<Instant> = buckets.values().map(|bucket| bucket.at).collect();
    let (_, median, _) = times.select_nth_unstable(MAX_ADDRESSES / 2);
    let median = *median;
    buckets.retain(|_, bucket| bucket.at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn after_a_burst_one_failure_each_few_seconds() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..20 {
            assert_eq!(throttle.failed(ip("10.0.0.1"), now), None);
        }
        assert_eq!(throttle.failed(ip("10.0.0.1"), now), Some(3));
        assert_eq!(throttle.failed(ip("10.0.0.2"), now), None, "others are not touched");
        assert_eq!(throttle.failed(ip("10.0.0.1"), now + REFILL), None);
        assert_eq!(throttle.failed(ip("10.0.0.1"), now + REFILL), Some(3));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_caller() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1")));
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
        assert_eq!(network(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..(MAX_ADDRESSES as u32 * 2) {
            throttle.failed(IpAddr::from(n.to_be_bytes()), now);
            assert!(throttle.buckets.lock().expect("no panic").len() <= MAX_ADDRESSES);
        }
    }
}
