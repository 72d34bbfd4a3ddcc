//! The host's containers, as the session needs them: a full listing when a session begins, then changes.
//!
//! The Docker watcher writes, the session of the moment reads. Between the two stands one entry per container:
//! however often a container changes while the gateway is slow or away, it is sent once, in its newest form.
//! So no change is ever dropped and memory is bounded by the number of containers.

use crate::collectors::ContainerRef;
use async_trait::async_trait;
use omni_common::domain::{Container, ContainerState};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// A stretch of the container list on its way to the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Forget everything sent before: a full listing begins.
    pub reset: bool,
    /// New and changed containers.
    pub upsert: Vec<Container>,
    /// Ids of those that are gone.
    pub removed: Vec<String>,
    /// More of the same listing follows.
    pub more: bool,
}

/// The containers of a host, real or simulated, as one session after the other reads them.
#[async_trait]
pub trait Inventory: Send + Sync + 'static {
    /// A session begins: the next delta is the start of a full listing.
    fn rewind(&self);

    /// The next stretch, of about `max_bytes` and at most `max_count` containers. Absent while there is
    /// nothing new, or nothing is known yet.
    fn take(&self, max_count: usize, max_bytes: usize) -> Option<Delta>;

    /// Resolves when `take` may have something.
    async fn changed(&self);
}

/// The containers of a real host.
#[derive(Debug, Default)]
pub struct Containers {
    inner: Mutex<Inner>,
    changed: Notify,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<String, Container>,
    /// Labels that containers would have if an engine could give them: of those that were taken over, by id.
    adopted: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether `known` is complete: it is not while the first listing after a start is being read.
    listed: bool,
    /// Whether `known` is what the engine says now: it is not while the engine is away.
    current: bool,
    /// Ids whose newest form the gateway does not have, oldest change first, and the same as a set.
    queue: VecDeque<String>,
    queued: HashSet<String>,
    reset: bool,
    /// How many entries of the queue belong to the listing that is being sent.
    listing: usize,
}

impl Containers {
    /// No containers, and none known to be absent.
    pub fn new() -> Self {
        Self::default()
    }

    /// A container is new or has changed.
    pub fn upsert(&self, mut container: Container) {
        let mut inner = self.lock();
        if let Some(labels) = inner.adopted.get(&container.id) {
            container.labels.extend(labels.clone());
        }
        if inner.known.get(&container.id) == Some(&container) {
            return;
        }
        inner.enqueue(&container.id);
        inner.known.insert(container.id.clone(), container);
        self.wake(&inner);
        self.revise();
    }

    /// From now on a container is shown with these labels as well, whatever the engine says of it.
    pub fn adopt(&self, id: &str, labels: BTreeMap<String, String>) {
        let known = {
            let mut inner = self.lock();
            inner.adopted.insert(id.to_owned(), labels);
            inner.known.get(id).cloned()
        };
        if let Some(container) = known {
            self.upsert(container);
        }
    }

    /// A container is gone.
    pub fn remove(&self, id: &str) {
        let mut inner = self.lock();
        if inner.known.remove(id).is_some() {
            inner.enqueue(id);
        }
        self.wake(&inner);
        self.revise();
    }

    /// The listing is complete: whatever is not in it is gone.
    pub fn settle(&self, listed: &BTreeSet<String>) {
        self.settled(listed, true);
    }

    fn settled(&self, listed: &BTreeSet<String>, current: bool) {
        let mut inner = self.lock();
        let gone: Vec<String> = inner.known.keys().filter(|id| !listed.contains(*id)).cloned().collect();
        for id in gone {
            inner.known.remove(&id);
            inner.enqueue(&id);
        }
        inner.listed = true;
        inner.current = current;
        self.wake(&inner);
        self.revise();
    }

    /// Nothing is known any more, and that is all there is to say: the engine has been away for too long.
    pub fn forget(&self) {
        self.settled(&BTreeSet::new(), false);
    }

    /// The engine is away: what is known may be out of date.
    pub fn doubt(&self) {
        self.lock().current = false;
        self.revise();
    }

    /// All containers, when they are known to be what the engine has now.
    pub fn current(&self) -> Option<Vec<Container>> {
        let inner = self.lock();
        inner.current.then(|| inner.known.values().cloned().collect())
    }

    /// Counts up with each change.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn revise(&self) {
        self.revision.send_modify(|count| *count += 1);
    }

    /// Whether a full listing has been read.
    pub fn listed(&self) -> bool {
        self.lock().listed
    }

    /// One container by its full id.
    pub fn get(&self, id: &str) -> Option<Container> {
        self.lock().known.get(id).cloned()
    }

    /// The ids of all.
    pub fn ids(&self) -> BTreeSet<String> {
        self.lock().known.keys().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The containers that have a main process now.
    pub fn running(&self) -> Vec<ContainerRef> {
        let inner = self.lock();
        let alive = inner
            .known
            .values()
            .filter(|container| matches!(container.state, ContainerState::Running | ContainerState::Paused));
        alive
            .filter_map(|container| Some(ContainerRef { id: container.id.clone(), pid: container.pid? }))
            .collect()
    }

    fn wake(&self, inner: &Inner) {
        if inner.has_news() {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock leaves no half-made change behind: each method writes its last field
        // last, and a stale queue entry only costs one superfluous frame.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Inventory for Containers {
    fn rewind(&self) {
        let mut inner = self.lock();
        inner.queue = inner.known.keys().cloned().collect();
        inner.queued = inner.known.keys().cloned().collect();
        inner.reset = true;
        inner.listing = inner.queue.len();
        self.wake(&inner);
    }

    fn take(&self, max_count: usize, max_bytes: usize) -> Option<Delta> {
        let mut inner = self.lock();
        if !inner.has_news() {
            return None;
        }
        if std::mem::take(&mut inner.reset) {
            // What arrived since the session began belongs to the listing as well.
            inner.listing = inner.queue.len();
            return Some(inner.fill(true, max_count, max_bytes));
        }
        Some(inner.fill(false, max_count, max_bytes))
    }

    async fn changed(&self) {
        if self.lock().has_news() {
            return;
        }
        self.changed.notified().await;
    }
}

impl Inner {
    fn has_news(&self) -> bool {
        self.listed && (self.reset || !self.queue.is_empty())
    }

    fn enqueue(&mut self, id: &str) {
        if self.queued.insert(id.to_owned()) {
            self.queue.push_back(id.to_owned());
        }
    }

    fn fill(&mut self, reset: bool, max_count: usize, max_bytes: usize) -> Delta {
        let mut delta = Delta { reset, ..Delta::default() };
        let mut bytes = 0;
        while delta.upsert.len() + delta.removed.len() < max_count && bytes < max_bytes {
            let Some(id) = self.queue.pop_front() else { break };
            self.queued.remove(&id);
            self.listing = self.listing.saturating_sub(1);
            match self.known.get(&id) {
                Some(container) => {
                    bytes += estimate(container);
                    delta.upsert.push(container.clone());
                }
                // In a full listing, absence says it.
                None if reset => {}
                None => {
                    bytes += id.len();
                    delta.removed.push(id);
                }
            }
        }
        delta.more = self.listing > 0;
        delta
    }
}

/// About how many bytes a container takes in a frame.
pub fn estimate(container: &Container) -> usize {
    let labels: usize = container.labels.iter().map(|(k, v)| k.len() + v.len() + 4).sum();
    let ports: usize =
        container.ports.iter().map(|port| 16 + port.host_ip.as_ref().map_or(0, String::len)).sum();
    let networks: usize = container.networks.iter().map(|network| network.network.len() + 48).sum();
    let output = container.health_output.as_ref().map_or(0, String::len);
    256 + container.name.len() + container.image.len() + labels + ports + networks + output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::container;

    fn ids(containers: &[Container]) -> Vec<&str> {
        containers.iter().map(|c| c.id.as_str()).collect()
    }

    fn filled(names: &[&str]) -> Containers {
        let store = Containers::new();
        for name in names {
            store.upsert(container(name));
        }
        store.settle(&names.iter().map(|name| (*name).to_owned()).collect());
        store
    }

    #[test]
    fn nothing_is_said_before_the_first_listing_is_complete() {
        let store = Containers::new();
        store.rewind();
        store.upsert(container("a"));
        assert_eq!(store.take(64, 1 << 20), None);
        store.settle(&BTreeSet::from(["a".to_owned()]));
        let delta = store.take(64, 1 << 20).expect("listed");
        assert!(delta.reset && !delta.more);
        assert_eq!(ids(&delta.upsert), ["a"]);
    }

    #[test]
    fn what_was_taken_over_is_shown_with_the_labels_it_cannot_have() {
        let labels = BTreeMap::from([("omni.app".to_owned(), "shop".to_owned())]);
        let shown =
            |store: &Containers, id: &str| store.get(id).expect("there").labels.get("omni.app").cloned();
        let store = filled(&["a", "b"]);
        store.adopt("a", labels.clone());
        assert_eq!((shown(&store, "a").as_deref(), shown(&store, "b")), (Some("shop"), None));
        store.upsert(container("a"));
        assert_eq!(shown(&store, "a").as_deref(), Some("shop"), "whatever the engine says");
        // After a restart of the agent it is known before the engine has answered.
        let store = Containers::new();
        store.adopt("a", labels);
        store.upsert(container("a"));
        assert_eq!(shown(&store, "a").as_deref(), Some("shop"));
    }

    #[test]
    fn an_empty_host_says_so_once() {
        let store = filled(&[]);
        store.rewind();
        let delta = store.take(64, 1 << 20).expect("an empty listing");
        assert_eq!(delta, Delta { reset: true, ..Delta::default() });
        assert_eq!(store.take(64, 1 << 20), None);
    }

    #[test]
    fn a_listing_is_cut_into_frames() {
        let store = filled(&["a", "b", "c"]);
        store.rewind();
        let first = store.take(2, 1 << 20).expect("listing");
        assert!(first.reset && first.more);
        let second = store.take(2, 1 << 20).expect("rest");
        assert!(!second.reset && !second.more);
        assert_eq!(ids(&second.upsert), ["c"]);
        store.rewind();
        assert_eq!(store.take(64, 1).expect("at least one").upsert.len(), 1);
    }

    #[test]
    fn changes_coalesce_and_the_newest_form_is_sent() {
        let store = filled(&["a"]);
        store.rewind();
        store.take(64, 1 << 20);
        for restarts in 1..1000 {
            let mut changed = container("a");
            changed.restarts = restarts;
            store.upsert(changed);
        }
        let delta = store.take(64, 1 << 20).expect("a change");
        assert_eq!((delta.upsert.len(), delta.upsert[0].restarts), (1, 999));
        assert_eq!(store.take(64, 1 << 20), None);
    }

    #[test]
    fn an_unchanged_container_is_not_sent_again() {
        let store = filled(&["a"]);
        store.rewind();
        store.take(64, 1 << 20);
        store.upsert(container("a"));
        assert_eq!(store.take(64, 1 << 20), None);
    }

    #[test]
    fn what_a_new_listing_lacks_is_removed() {
        let store = filled(&["a", "b"]);
        store.rewind();
        store.take(64, 1 << 20);
        store.settle(&BTreeSet::from(["b".to_owned()]));
        assert_eq!(store.take(64, 1 << 20).expect("a removal").removed, ["a"]);
    }

    #[tokio::test]
    async fn a_waiting_session_is_woken() {
        let store = std::sync::Arc::new(filled(&[]));
        store.rewind();
        store.take(64, 1 << 20);
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.changed().await }
        });
        store.upsert(container("a"));
        waiting.await.expect("no panic");
    }
}
