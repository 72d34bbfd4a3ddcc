//! Whether this host was really removed from the cluster. Pure.
//!
//! A controller that lags behind, because it has just started or was cut off, does not know a host that joined a
//! moment ago and turns it away in the same words as one that was removed. Stopping for good on the word of one
//! would strand healthy hosts, so it takes most of the controllers, saying nothing else for a while. A gateway
//! that ends a session so is another matter: it knew the host, so it has seen it go.

use omni_common::ids::ControllerId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// For this long nobody may have said otherwise: longer than a controller takes to catch up.
const CERTAIN: Duration = Duration::from_secs(20);

/// Who said that this host was removed.
#[derive(Debug, Default)]
pub(super) struct Removal {
    since: Option<Instant>,
    by: BTreeSet<ControllerId>,
    /// Said by a gateway in the middle of a session.
    seen_to_go: bool,
}

impl Removal {
    /// A controller turned us away as removed.
    pub(super) fn heard(&mut self, controller: ControllerId, now: Instant) {
        if self.since.is_none() {
            tracing::warn!(%controller, "controller says this host was removed, asking the others");
        }
        self.since.get_or_insert(now);
        self.by.insert(controller);
    }

    /// A gateway ended the session with it.
    pub(super) fn seen_to_go(&mut self) {
        self.seen_to_go = true;
    }

    /// A controller took us in, so it is not true.
    pub(super) fn welcomed(&mut self) {
        *self = Self::default();
    }

    /// Whether to believe it, where this many controllers are known.
    pub(super) fn is_certain(&self, known: usize, now: Instant) -> bool {
        let long = self.since.is_some_and(|since| now.duration_since(since) >= CERTAIN);
        self.seen_to_go || long && self.by.len() > known / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_controllers_have_to_say_so_for_a_while() {
        let start = Instant::now();
        let mut removal = Removal::default();
        removal.heard(ControllerId(1), start);
        assert!(!removal.is_certain(3, start + CERTAIN * 10), "one of three may lag");
        removal.heard(ControllerId(2), start);
        assert!(!removal.is_certain(3, start), "both may have just started");
        assert!(removal.is_certain(3, start + CERTAIN));
        removal.welcomed();
        assert!(!removal.is_certain(3, start + CERTAIN * 10));
    }

    #[test]
    fn a_lone_controller_decides_alone() {
        let start = Instant::now();
        let mut removal = Removal::default();
        removal.heard(ControllerId(1), start);
        assert!(removal.is_certain(1, start + CERTAIN));
    }
}
