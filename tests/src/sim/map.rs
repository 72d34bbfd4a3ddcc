//! Who could reach whom, and since when: what the invariants need to know about the faults.
//!
//! It mirrors what was done to the simulated network, which itself keeps no history.

use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// Endpoints by name: controllers are `c1`, `c2` …, hosts `h1`, `h2` ….
#[derive(Debug)]
pub(super) struct Map {
    up: BTreeSet<String>,
    cuts: BTreeSet<[String; 2]>,
    isolated: BTreeSet<String>,
    /// Pairs that can talk, and since when.
    open: BTreeMap<[String; 2], Instant>,
    /// Hosts that can talk to no controller, and since when.
    stranded: BTreeMap<String, Instant>,
    /// When anything last changed between controllers.
    unrest: Instant,
}

impl Map {
    /// Nobody is up.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            up: BTreeSet::new(),
            cuts: BTreeSet::new(),
            isolated: BTreeSet::new(),
            open: BTreeMap::new(),
            stranded: BTreeMap::new(),
            unrest: now,
        }
    }

    /// A process starts. Whoever could talk to its predecessor begins anew.
    pub(super) fn start(&mut self, name: &str, now: Instant) {
        self.stop(name, now);
        self.up.insert(name.to_owned());
        self.refresh(now);
    }

    /// A process is gone.
    pub(super) fn stop(&mut self, name: &str, now: Instant) {
        self.up.remove(name);
        self.refresh(now);
    }

    /// Two endpoints are cut off from each other, or no longer.
    pub(super) fn set_cut(&mut self, a: &str, b: &str, cut: bool, now: Instant) {
        if cut {
            self.cuts.insert(pair(a, b));
        } else {
            self.cuts.remove(&pair(a, b));
        }
        self.refresh(now);
    }

    /// An endpoint is cut off from all others, or no longer.
    pub(super) fn set_isolated(&mut self, name: &str, isolated: bool, now: Instant) {
        if isolated {
            self.isolated.insert(name.to_owned());
        } else {
            self.isolated.remove(name);
        }
        self.refresh(now);
    }

    /// Every cut is mended.
    pub(super) fn mend_all(&mut self, now: Instant) {
        self.cuts.clear();
        self.isolated.clear();
        self.refresh(now);
    }

    /// Something else happened to controllers that may slow them down.
    pub(super) fn disturb(&mut self, now: Instant) {
        self.unrest = now;
    }

    /// Since when both are up and can talk; a process always reaches itself.
    pub(super) fn open_since(&self, a: &str, b: &str) -> Option<Instant> {
        self.open.get(&pair(a, b)).copied()
    }

    /// Since when a host has been able to talk to no controller.
    pub(super) fn stranded_since(&self, host: &str) -> Option<Instant> {
        self.stranded.get(host).copied()
    }

    /// Since when nothing has changed between controllers.
    pub(super) fn quiet_since(&self) -> Instant {
        self.unrest
    }

    /// Controllers that are up.
    pub(super) fn controllers(&self) -> Vec<String> {
        self.up.iter().filter(|name| is_controller(name)).cloned().collect()
    }

    fn can_talk(&self, a: &str, b: &str) -> bool {
        let cut = self.isolated.contains(a) || self.isolated.contains(b) || self.cuts.contains(&pair(a, b));
        self.up.contains(a) && self.up.contains(b) && (a == b || !cut)
    }

    fn refresh(&mut self, now: Instant) {
        let before = std::mem::take(&mut self.open);
        let names: Vec<_> = self.up.iter().collect();
        let pairs =
            names.iter().enumerate().flat_map(|(number, a)| names[number..].iter().map(move |b| (a, b)));
        let open = pairs.filter(|(a, b)| self.can_talk(a, b)).map(|(a, b)| {
            let pair = pair(a, b);
            let since = before.get(&pair).copied().unwrap_or(now);
            (pair, since)
        });
        self.open = open.collect();
        let ours = |open: &BTreeMap<[String; 2], Instant>| {
            open.iter()
                .filter(|(pair, _)| pair.iter().all(|name| is_controller(name)))
                .map(|(pair, since)| (pair.clone(), *since))
                .collect::<Vec<_>>()
        };
        if ours(&before) != ours(&self.open) {
            self.unrest = now;
        }
        self.find_stranded(&before, now);
    }

    fn find_stranded(&mut self, before: &BTreeMap<[String; 2], Instant>, now: Instant) {
        let known: BTreeSet<_> = before.keys().chain(self.open.keys()).flatten().cloned().collect();
        let hosts = known.into_iter().chain(self.stranded.keys().cloned().collect::<Vec<_>>());
        for host in hosts.filter(|name| !is_controller(name)) {
            let served = self
                .open
                .keys()
                .any(|pair| pair.contains(&host) && pair.iter().any(|name| is_controller(name)));
            if served {
                self.stranded.remove(&host);
            } else {
                self.stranded.entry(host).or_insert(now);
            }
        }
    }
}

fn is_controller(name: &str) -> bool {
    name.starts_with('c')
}

fn pair(a: &str, b: &str) -> [String; 2] {
    let mut pair = [a.to_owned(), b.to_owned()];
    pair.sort();
    pair
}
