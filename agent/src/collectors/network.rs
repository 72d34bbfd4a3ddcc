//! Network interfaces, from `/proc/net/dev`.
//!
//! The loopback and the host's ends of containers' and pods' virtual cables are left out: they come and go
//! with every container, whose own numbers are read inside its network namespace. Bridges, bonds, tunnels
//! and VLANs stay.

use super::Roots;
use super::rates::{Before, per_second};
use super::read::{Reader, SourceError};
use omni_common::domain::NetworkSample;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// At most this many interfaces are reported, in the kernel's order.
const MAX_INTERFACES: usize = 128;

/// An interface's counters since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
    errors: u64,
    drops: u64,
}

pub(super) type Readings = BTreeMap<String, Counters>;

/// The collector.
#[derive(Debug)]
pub(super) struct Network {
    path: PathBuf,
    before: Before<Readings>,
}

impl Network {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc.join("net/dev"), before: Before::default() }
    }

    pub(super) fn read(&self, reader: &mut Reader) -> Result<Readings, SourceError> {
        let text = reader.text(&self.path)?;
        Ok(parse(&text)
            .filter(|(name, _)| !is_internal(name))
            .take(MAX_INTERFACES)
            .map(|(name, counters)| (name.to_owned(), counters))
            .collect())
    }

    /// Rates since the sample before; empty in the first.
    pub(super) fn sample(&mut self, reader: &mut Reader, at: Instant) -> Vec<NetworkSample> {
        let Ok(now) = self.read(reader) else {
            return Vec::new();
        };
        self.before.step(at, now, delta).unwrap_or_default()
    }
}

/// The loopback, and ends of containers' virtual cables as Docker, Calico and Cilium name them.
pub(super) fn is_internal(interface: &str) -> bool {
    let numbered = |prefix: &str| {
        interface
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    interface == "lo" || interface.starts_with("veth") || numbered("cali") || numbered("lxc")
}

/// Each interface of a `net/dev` file. Lines that are not understood, the two headers among them, are skipped.
pub(super) fn parse(text: &str) -> impl Iterator<Item = (&str, Counters)> {
    text.lines().filter_map(|line| {
        let (name, values) = line.rsplit_once(':')?;
        let mut fields = values.split_ascii_whitespace().map(str::parse::<u64>);
        let mut field = |skip: usize| fields.nth(skip)?.ok();
        // Receive: bytes packets errs drop fifo frame compressed multicast; transmit begins the same way.
        let (rx_bytes, rx_errors, rx_drops) = (field(0)?, field(1)?, field(0)?);
        let (tx_bytes, tx_errors, tx_drops) = (field(4)?, field(1)?, field(0)?);
        let counters = Counters {
            rx_bytes,
            tx_bytes,
            errors: rx_errors.saturating_add(tx_errors),
            drops: rx_drops.saturating_add(tx_drops),
        };
        Some((name.trim(), counters))
    })
}

/// Interfaces that are in both readings and did not start over in between.
fn delta(before: &Readings, now: &Readings, elapsed: Duration) -> Vec<NetworkSample> {
    now.iter().filter_map(|(name, now)| rates(name, before.get(name)?, now, elapsed)).collect()
}

fn rates(name: &str, before: &Counters, now: &Counters, elapsed: Duration) -> Option<NetworkSample> {
    Some(NetworkSample {
        name: name.to_owned(),
        rx_bytes: per_second(before.rx_bytes, now.rx_bytes, elapsed)?,
        tx_bytes: per_second(before.tx_bytes, now.tx_bytes, elapsed)?,
        errors: per_second(before.errors, now.errors, elapsed)?,
        drops: per_second(before.drops, now.drops, elapsed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0
wg0:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
vethab12cd3: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
docker0: 8 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
 broken: 1 2 3
";

    fn read(text: &str) -> Readings {
        parse(text)
            .filter(|(name, _)| !is_internal(name))
            .map(|(name, counters)| (name.to_owned(), counters))
            .collect()
    }

    #[test]
    fn interfaces_of_the_host_remain() {
        let readings = read(TEXT);
        assert_eq!(readings.keys().collect::<Vec<_>>(), ["docker0", "eth0", "wg0"]);
        let expected = Counters { rx_bytes: 1000, tx_bytes: 2000, errors: 4, drops: 6 };
        assert_eq!(readings["eth0"], expected);
    }

    #[test]
    fn container_ends_are_told_from_bridges() {
        for end in ["lo", "veth0a1b2c3", "cali0123456789a", "lxcf00d"] {
            assert!(is_internal(end), "{end}");
        }
        for kept in ["eth0", "docker0", "br-0a1b", "lxcbr0", "tailscale0", "bond0.100"] {
            assert!(!is_internal(kept), "{kept}");
        }
    }

    #[test]
    fn rates_are_per_second_and_resets_are_left_out() {
        let mut now = read(TEXT);
        now.get_mut("eth0").expect("fixture").rx_bytes += 500;
        now.get_mut("wg0").expect("fixture").tx_bytes = 0;
        let rates = delta(&read(TEXT), &now, Duration::from_secs(5));
        assert_eq!(rates.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["docker0", "eth0"]);
        assert_eq!((rates[1].rx_bytes, rates[1].tx_bytes), (100.0, 0.0));
    }

    proptest! {
        #[test]
        fn rates_are_plain_numbers_whatever_the_counters_do(a: [u64; 4], b: [u64; 4], nanos: u64) {
            let counters = |[rx_bytes, tx_bytes, errors, drops]: [u64; 4]| Counters { rx_bytes, tx_bytes, errors, drops };
            if let Some(s) = rates("eth0", &counters(a), &counters(b), Duration::from_nanos(nanos)) {
                for rate in [s.rx_bytes, s.tx_bytes, s.errors, s.drops] {
                    prop_assert!(rate.is_finite() && rate >= 0.0);
                }
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[ :0-9a-z\\n]{0,300}") {
            let _ = read(&text);
        }
    }
}
