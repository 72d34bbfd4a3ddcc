//! Which containers to look at next: each at most once at a time, few at a time, none forgotten.

use std::collections::{HashSet, VecDeque};

/// Inspect calls under way at once: enough to list thousands of containers in seconds, few enough that a
/// busy engine is not made busier.
pub(super) const MAX_PARALLEL: usize = 8;

/// Ids waiting to be inspected, and those being inspected.
#[derive(Debug, Default)]
pub(super) struct InspectQueue {
    waiting: VecDeque<String>,
    members: HashSet<String>,
    running: HashSet<String>,
    /// Changed while being inspected: what comes back may be stale.
    again: HashSet<String>,
}

impl InspectQueue {
    /// A container has changed.
    pub(super) fn add(&mut self, id: &str) {
        if self.running.contains(id) {
            self.again.insert(id.to_owned());
        } else if self.members.insert(id.to_owned()) {
            self.waiting.push_back(id.to_owned());
        }
    }

    /// A container is gone: there is nothing left to look at.
    pub(super) fn forget(&mut self, id: &str) {
        self.again.remove(id);
        if self.members.remove(id) {
            self.waiting.retain(|waiting| waiting != id);
        }
    }

    /// The next one to inspect, while fewer than [`MAX_PARALLEL`] are under way.
    pub(super) fn start(&mut self) -> Option<String> {
        if self.running.len() >= MAX_PARALLEL {
            return None;
        }
        let id = self.waiting.pop_front()?;
        self.members.remove(&id);
        self.running.insert(id.clone());
        Some(id)
    }

    /// An inspect call has come back.
    pub(super) fn done(&mut self, id: &str) {
        self.running.remove(id);
        if self.again.remove(id) {
            self.add(id);
        }
    }

    /// Whether everything that changed has been looked at.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_during_an_inspection_causes_another() {
        let mut queue = InspectQueue::default();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.start().as_deref(), Some("a"));
        assert_eq!(queue.start(), None);
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.start(), None, "not twice at a time");
        queue.done("a");
        assert_eq!(queue.start().as_deref(), Some("a"));
        queue.done("a");
        assert!(queue.is_idle());
    }

    #[test]
    fn few_are_under_way_at_once() {
        let mut queue = InspectQueue::default();
        for id in 0..100 {
            queue.add(&id.to_string());
        }
        assert_eq!(std::iter::from_fn(|| queue.start()).count(), MAX_PARALLEL);
    }

    #[test]
    fn what_is_gone_is_not_looked_at() {
        let mut queue = InspectQueue::default();
        queue.add("a");
        queue.forget("a");
        assert_eq!(queue.start(), None);
        queue.add("b");
        queue.start();
        queue.add("b");
        queue.forget("b");
        queue.done("b");
        assert!(queue.is_idle());
    }
}
