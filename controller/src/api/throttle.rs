//! Failed authentication, counted by address; and attempts at passwords, counted by address and by name.
//!
//! Tokens are 256 random bits, so counting does not keep anyone from guessing them; it bounds what strangers make the
//! controller do. A valid token is let in even from a throttled address: otherwise one broken script could lock out
//! everyone behind the same router.
//!
//! Passwords can be guessed, so there an attempt is taken before it is made, whether it would succeed or not, and given
//! back when it did. Each controller counts for itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Keys remembered. When there are more, those that have been quiet longest are forgotten.
const MAX_KEYS: usize = 10_000;

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Counts attempts. Shared by all requests.
pub(crate) struct Throttle<K> {
    /// Attempts at once.
    burst: f64,
    /// One more each this often.
    refill: Duration,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl Default for Throttle<IpAddr> {
    /// For tokens: enough for a misconfigured dashboard, too few to be a load.
    fn default() -> Self {
        Self::new(20, Duration::from_secs(3))
    }
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// `burst` attempts at once, then one more each `refill`.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self { burst: burst.into(), refill, buckets: Mutex::default() }
    }

    /// Takes an attempt; answers after how many seconds there is one more, when all are used up.
    pub(crate) fn take(&self, key: &K, now: Instant) -> Option<u64> {
        let mut buckets = self.buckets.lock().expect("no panic while locked");
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(key) {
            self.forget(&mut buckets, now);
        }
        let bucket = buckets.entry(key.clone()).or_insert(Bucket { left: self.burst, at: now });
        *bucket = self.refilled(*bucket, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return None;
        }
        Some((self.refill.mul_f64(1.0 - bucket.left).as_secs_f64().ceil() as u64).max(1))
    }

    /// Gives an attempt back: it was none.
    pub(crate) fn give_back(&self, key: &K) {
        let mut buckets = self.buckets.lock().expect("no panic while locked");
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.left = (bucket.left + 1.0).min(self.burst);
        }
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() / self.refill.as_secs_f64();
        Bucket { left: (bucket.left + gained).min(self.burst), at: now }
    }

    /// Makes room: whoever has all attempts back, or else the half that was quiet longest.
    fn forget(&self, buckets: &mut HashMap<K, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.refilled(*bucket, now).left < self.burst);
        if buckets.len() < MAX_KEYS {
            return;
        }
        let mut times: Vec<Instant> = buckets.values().map(|bucket| bucket.at).collect();
        let (_, median, _) = times.select_nth_unstable(MAX_KEYS / 2);
        let median = *median;
        buckets.retain(|_, bucket| bucket.at > median);
    }
}

impl Throttle<IpAddr> {
    /// Notes a failure; answers after how many seconds the address may fail again, when it has failed too often.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) -> Option<u64> {
        self.take(&network(address), now)
    }
}

/// Attempts at passwords.
pub(crate) struct SignIns {
    /// From one address: a whole office may sit behind it.
    addresses: Throttle<IpAddr>,
    /// For one name from one address: a person who mistypes, or somebody who guesses.
    pairs: Throttle<(String, IpAddr)>,
    /// Asking how a sign-in at the provider stands, from one address.
    polls: Throttle<IpAddr>,
    /// For one name from anywhere. Generous, because whoever uses it up keeps the person out.
    names: Throttle<String>,
}

impl Default for SignIns {
    fn default() -> Self {
        Self {
            addresses: Throttle::new(30, Duration::from_secs(10)),
            polls: Throttle::new(60, Duration::from_secs(2)),
            pairs: Throttle::new(8, Duration::from_secs(60)),
            names: Throttle::new(100, Duration::from_secs(30)),
        }
    }
}

impl SignIns {
    /// Somebody is to be sent to the provider.
    pub(crate) fn visit(&self, address: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        self.addresses.take(&key(address), now).map_or(Ok(()), Err)
    }

    /// Somebody asks how their sign-in at the provider stands.
    pub(crate) fn poll(&self, address: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        self.polls.take(&key(address), now).map_or(Ok(()), Err)
    }

    /// Takes an attempt to sign in as `name`; answers after how many seconds one may try again, when there were too
    /// many.
    pub(crate) fn attempt(
        &self,
        name: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt<'_>, u64> {
        let address = key(address);
        let name: String = name.to_lowercase().chars().take(64).collect();
        let pair = (name.clone(), address);
        // In this order, and no further than the first that says no: who has used up what one address has must not use up
        // what keeps the person out everywhere.
        let wait = self
            .addresses
            .take(&address, now)
            .or_else(|| self.pairs.take(&pair, now))
            .or_else(|| self.names.take(&name, now));
        wait.map_or(Ok(Attempt { all: self, pair }), Err)
    }
}

/// An attempt that was taken.
pub(crate) struct Attempt<'a> {
    all: &'a SignIns,
    pair: (String, IpAddr),
}

impl Attempt<'_> {
    /// It succeeded, or failed for another reason than the password.
    pub(crate) fn forgive(self) {
        self.all.addresses.give_back(&self.pair.1);
        self.all.names.give_back(&self.pair.0);
        self.all.pairs.give_back(&self.pair);
    }
}

/// An address is always known, but for tests over pipes.
fn key(address: Option<IpAddr>) -> IpAddr {
    network(address.unwrap_or(IpAddr::from([0, 0, 0, 0])))
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
        assert_eq!(throttle.failed(ip("10.0.0.1"), now + Duration::from_secs(3)), None);
        assert_eq!(throttle.failed(ip("10.0.0.1"), now + Duration::from_secs(3)), Some(3));
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
        for n in 0..(MAX_KEYS as u32 * 2) {
            throttle.failed(IpAddr::from(n.to_be_bytes()), now);
            assert!(throttle.buckets.lock().expect("no panic").len() <= MAX_KEYS);
        }
    }

    #[test]
    fn a_guesser_is_stopped_before_the_person_is_kept_out() {
        let sign_ins = SignIns::default();
        let now = Instant::now();
        let tries = |name: &str, from: &str| {
            (0..200).take_while(|_| sign_ins.attempt(name, Some(ip(from)), now).is_ok()).count()
        };
        assert_eq!(tries("ann", "10.0.0.1"), 8, "one name from one place");
        assert_eq!(tries("ANN", "10.0.0.1"), 0, "however it is spelled");
        assert!(sign_ins.attempt("ann", Some(ip("10.0.0.2")), now).is_ok(), "she sits elsewhere");
        for other in 0..50 {
            tries(&format!("user{other}"), "10.0.0.3");
        }
        assert!(sign_ins.attempt("bob", Some(ip("10.0.0.3")), now).is_err(), "many names from one place");
        for _ in 0..1_000 {
            sign_ins.attempt("cat", Some(ip("10.0.0.4")), now).ok();
        }
        assert!(
            sign_ins.attempt("cat", Some(ip("10.0.0.5")), now).is_ok(),
            "one place keeps nobody out elsewhere"
        );
    }

    #[test]
    fn what_succeeds_is_not_counted() {
        let sign_ins = SignIns::default();
        let now = Instant::now();
        for _ in 0..500 {
            sign_ins.attempt("ann", Some(ip("10.0.0.1")), now).expect("there is one left").forgive();
        }
    }
}
