//! A network in memory, for whole clusters in one test process.
//!
//! It has the shape of the real one ([`Network`](crate::Network), [`Connection`](crate::Connection), frames, close codes, roles,
//! stream limits, idle times) without packets or certificates: identities are given. Latencies come from a
//! seed, time is Tokio's, so under paused time on a current-thread runtime a run repeats as far as the
//! tasks above it do. Partitions stall what is on its way; links that stay cut are lost after the idle time
//! of their protocol, on both sides.

mod link;
mod network;
mod state;
pub(crate) mod stream;
mod topology;
mod weather;

pub use network::SimNetwork;

use crate::quic::QuicOptions;
use crate::sim::topology::Topology;
use crate::sim::weather::Weather;
use omni_certs::{CaFingerprint, Identity};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A simulated network: makes endpoints and breaks what lies between them. Clones are the same network.
#[derive(Clone)]
pub struct SimNet(Arc<Shared>);

struct Shared {
    weather: Arc<Weather>,
    options: QuicOptions,
    topology: Mutex<Topology>,
    /// Counts changes of the topology, for those who wait for a way to open up.
    changes: watch::Sender<u64>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    dialled: AtomicU64,
    connected: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
    serials: AtomicU64,
}

impl SimNet {
    /// A network whose latencies follow from `seed`: 0.2 to 2 ms until [`SimNet::set_latency`].
    pub fn new(seed: u64) -> Self {
        Self::with_options(seed, QuicOptions::default())
    }

    /// The same with other idle times and limits than production's.
    pub fn with_options(seed: u64, options: QuicOptions) -> Self {
        Self(Arc::new(Shared {
            weather: Arc::new(Weather::new(seed)),
            options,
            topology: Mutex::new(Topology::default()),
            changes: watch::Sender::new(0),
            counters: Counters::default(),
        }))
    }

    /// An endpoint that is reached at `name`. One of the same name that is still up is crashed first: its
    /// process has been replaced.
    pub fn endpoint(&self, name: &str, identity: Option<Identity>) -> Arc<SimNetwork> {
        self.crash(name);
        let endpoint = SimNetwork::new(self.clone(), name.to_owned(), identity);
        self.change(|topology| topology.insert(&endpoint));
        endpoint
    }

    /// An endpoint of a cluster with this root, which enrolment under another pin refuses.
    pub fn endpoint_with_root(
        &self,
        name: &str,
        identity: Option<Identity>,
        root: CaFingerprint,
    ) -> Arc<SimNetwork> {
        let endpoint = self.endpoint(name, identity);
        endpoint.set_root(root);
        endpoint
    }

    /// Cuts two endpoints off from each other, both ways.
    pub fn partition(&self, a: &str, b: &str) {
        self.change(|topology| topology.cut(a, b));
    }

    /// Undoes [`SimNet::partition`].
    pub fn heal(&self, a: &str, b: &str) {
        self.change(|topology| topology.mend(a, b));
    }

    /// Cuts an endpoint off from all others.
    pub fn isolate(&self, name: &str) {
        self.change(|topology| topology.isolate(name));
    }

    /// Undoes [`SimNet::isolate`].
    pub fn rejoin(&self, name: &str) {
        self.change(|topology| topology.rejoin(name));
    }

    /// Makes everything to and from an endpoint take this much longer one way; zero undoes it.
    pub fn slow(&self, name: &str, extra: Duration) {
        self.change(|topology| topology.slow(name, extra));
    }

    /// Undoes every partition, isolation and slowness.
    pub fn heal_all(&self) {
        self.change(Topology::mend_all);
    }

    /// Kills an endpoint: it and its connections are gone at once on its own side, and go silent for the
    /// others. [`SimNet::endpoint`] starts it anew.
    pub fn crash(&self, name: &str) {
        self.change(|topology| topology.crash(name));
    }

    /// Sets the one-way latency of everything sent from now on.
    pub fn set_latency(&self, latency: Range<Duration>) {
        self.0.weather.set_latency(latency);
    }

    /// What has happened so far: dials, and how they ended.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        BTreeMap::from([
            ("dialled", read(&counters.dialled)),
            ("connected", read(&counters.connected)),
            ("unanswered", read(&counters.unanswered)),
            ("refused", read(&counters.refused)),
        ])
    }

    fn topology(&self) -> MutexGuard<'_, Topology> {
        self.0.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Topology)) {
        change(&mut self.topology());
        self.0.changes.send_modify(|count| *count += 1);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
