//! Who is there, and who can reach whom.

use crate::sim::SimNetwork;
use crate::sim::link::Link;
use crate::sim::state::Side;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Endpoints, the links between them, and what is broken.
#[derive(Default)]
pub(super) struct Topology {
    endpoints: BTreeMap<String, Weak<SimNetwork>>,
    links: Vec<Between>,
    cuts: BTreeSet<[String; 2]>,
    isolated: BTreeSet<String>,
    slow: BTreeMap<String, Duration>,
}

/// A link and the names of its ends, the dialling one first.
struct Between {
    names: [String; 2],
    link: Weak<Link>,
}

impl Topology {
    pub(super) fn insert(&mut self, endpoint: &Arc<SimNetwork>) {
        self.endpoints.insert(endpoint.name().to_owned(), Arc::downgrade(endpoint));
    }

    /// The endpoint at `to`, when it is up and `from` can reach it.
    pub(super) fn reach(&self, from: &str, to: &str) -> Option<Arc<SimNetwork>> {
        self.endpoints.get(to).filter(|_| !self.is_cut(from, to))?.upgrade()
    }

    /// Registers a link, so that later changes of the topology reach it.
    pub(super) fn add_link(&mut self, from: &str, to: &str, link: &Arc<Link>) {
        self.links.retain(|known| known.link.upgrade().is_some_and(|link| !link.is_over()));
        link.set_blocked(self.is_cut(from, to));
        link.set_extra(self.extra(from, to));
        self.links.push(Between { names: [from.to_owned(), to.to_owned()], link: Arc::downgrade(link) });
    }

    pub(super) fn cut(&mut self, a: &str, b: &str) {
        self.cuts.insert(pair(a, b));
        self.refresh();
    }

    pub(super) fn mend(&mut self, a: &str, b: &str) {
        self.cuts.remove(&pair(a, b));
        self.refresh();
    }

    pub(super) fn isolate(&mut self, name: &str) {
        self.isolated.insert(name.to_owned());
        self.refresh();
    }

    pub(super) fn rejoin(&mut self, name: &str) {
        self.isolated.remove(name);
        self.refresh();
    }

    pub(super) fn slow(&mut self, name: &str, extra: Duration) {
        self.slow.insert(name.to_owned(), extra);
        self.refresh();
    }

    pub(super) fn mend_all(&mut self) {
        self.cuts.clear();
        self.isolated.clear();
        self.slow.clear();
        self.refresh();
    }

    pub(super) fn crash(&mut self, name: &str) {
        if let Some(endpoint) = self.endpoints.remove(name).and_then(|endpoint| endpoint.upgrade()) {
            endpoint.go_down();
        }
        for (link, side) in self.links_of(name) {
            link.crash(side);
        }
        self.forget_links(name);
    }

    /// Forgets an endpoint that has shut down by itself. Its links deliver their last words undisturbed.
    pub(super) fn remove(&mut self, name: &str) {
        self.endpoints.remove(name);
        self.forget_links(name);
    }

    fn forget_links(&mut self, name: &str) {
        self.links.retain(|known| !known.names.iter().any(|known| known == name));
    }

    /// The links of an endpoint, and which side of each it is.
    pub(super) fn links_of(&self, name: &str) -> Vec<(Arc<Link>, Side)> {
        let mut found = Vec::new();
        for known in &self.links {
            let sides = (0..2).filter(|side| known.names[*side] == name);
            found.extend(sides.filter_map(|side| Some((known.link.upgrade()?, side))));
        }
        found
    }

    fn refresh(&mut self) {
        for known in &self.links {
            if let Some(link) = known.link.upgrade() {
                link.set_blocked(self.is_cut(&known.names[0], &known.names[1]));
                link.set_extra(self.extra(&known.names[0], &known.names[1]));
            }
        }
    }

    /// How much longer than usual one way between two endpoints takes.
    pub(super) fn extra(&self, a: &str, b: &str) -> Duration {
        let extra = |name| self.slow.get(name).copied().unwrap_or_default();
        if a == b { Duration::ZERO } else { extra(a) + extra(b) }
    }

    /// An endpoint always reaches itself.
    fn is_cut(&self, a: &str, b: &str) -> bool {
        a != b && (self.isolated.contains(a) || self.isolated.contains(b) || self.cuts.contains(&pair(a, b)))
    }
}

fn pair(a: &str, b: &str) -> [String; 2] {
    let mut pair = [a.to_owned(), b.to_owned()];
    pair.sort();
    pair
}
