//! A whole cluster in one process: controllers, hosts, the network between them, and what is watched.

use super::clock::SimClock;
use super::host::Host;
use super::invariants::Invariants;
use super::map::Map;
use super::member::{Member, Process};
use super::verdict::Verdict;
use omni_certs::ClusterKey;
use omni_common::ids::{ClusterId, ControllerId, HostId};
use omni_controller::state::State;
use omni_transport::sim::SimNet;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// The trust domain of every simulated cluster.
pub(super) const CLUSTER: ClusterId = ClusterId::from_u128(0x51);

/// Everything there is.
pub struct World {
    /// Wall time.
    pub clock: SimClock,
    /// What happened, and whether it may.
    pub verdict: Verdict,
    pub(super) net: SimNet,
    pub(super) cluster_key: Arc<ClusterKey>,
    members: Mutex<BTreeMap<ControllerId, Member>>,
    hosts: Mutex<BTreeMap<HostId, Host>>,
    map: Mutex<Map>,
    invariants: Mutex<Invariants>,
}

impl World {
    /// Nothing but a network whose weather follows from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        let clock = SimClock::start();
        Arc::new(Self {
            clock,
            verdict: Verdict::new(clock),
            net: SimNet::new(seed),
            cluster_key: Arc::new(ClusterKey::from_bytes(&[7; 32]).expect("a key has 32 bytes")),
            members: Mutex::default(),
            hosts: Mutex::default(),
            map: Mutex::new(Map::new(clock.began())),
            invariants: Mutex::default(),
        })
    }

    pub(super) fn members(&self) -> MutexGuard<'_, BTreeMap<ControllerId, Member>> {
        self.members.lock().expect("no holder of this lock panics")
    }

    pub(super) fn hosts(&self) -> MutexGuard<'_, BTreeMap<HostId, Host>> {
        self.hosts.lock().expect("no holder of this lock panics")
    }

    pub(super) fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().expect("no holder of this lock panics")
    }

    pub(super) fn invariants(&self) -> MutexGuard<'_, Invariants> {
        self.invariants.lock().expect("no holder of this lock panics")
    }

    /// Controllers whose processes run, cut off or not.
    pub fn running(&self) -> Vec<Process> {
        self.members().values().filter_map(|member| member.process.clone()).collect()
    }

    /// The newest state that any controller has published.
    pub fn newest(&self) -> Arc<State> {
        self.invariants().newest()
    }

    /// Cuts an endpoint off from all others, or lets it back.
    pub fn set_isolated(&self, name: &str, isolated: bool) {
        if isolated {
            self.net.isolate(name);
        } else {
            self.net.rejoin(name);
        }
        self.map().set_isolated(name, isolated, Instant::now());
    }

    /// Cuts two endpoints off from each other, or lets them talk again.
    pub fn set_cut(&self, a: &str, b: &str, cut: bool) {
        if cut {
            self.net.partition(a, b);
        } else {
            self.net.heal(a, b);
        }
        self.map().set_cut(a, b, cut, Instant::now());
    }

    /// Everything to and from an endpoint takes this much longer.
    pub fn set_slow(&self, name: &str, extra: Duration) {
        self.net.slow(name, extra);
        self.map().disturb(Instant::now());
    }

    /// One-way latency between everybody.
    pub fn set_latency(&self, latency: Range<Duration>) {
        self.net.set_latency(latency);
        self.map().disturb(Instant::now());
    }

    /// Mends every link.
    pub fn mend_all(&self) {
        self.net.heal_all();
        self.net.set_latency(super::faults::FAIR);
        self.map().mend_all(Instant::now());
        self.map().disturb(Instant::now());
    }

    /// Looks until `look` finds a value, for at most `within` of simulated time.
    ///
    /// # Errors
    /// When the time is over; the message names `what` was waited for.
    pub async fn eventually<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        /// Short against everything that is waited for; costs nothing while time is paused.
        const POLL: Duration = Duration::from_millis(20);
        let end = Instant::now() + within;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            anyhow::ensure!(Instant::now() < end, "not within {within:?}: {what}");
            tokio::time::sleep(POLL).await;
        }
    }
}
