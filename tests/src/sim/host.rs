//! Hosts: simulated agents as processes, with clocks that run at rates of their own.

use super::world::{CLUSTER, World};
use omni_agent::session::{LeaseState, Monotonic};
use omni_agent::sim::{SimAgent, SimEngine, SimOptions};
use omni_certs::Identity;
use omni_common::ids::HostId;
use omni_transport::sim::SimNetwork;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Containers on each host: enough for a listing, too few to cost time.
const CONTAINERS: u32 = 2;

/// A machine with an agent.
pub(super) struct Host {
    /// `h1`, `h2` …
    pub(super) name: String,
    /// How fast its clock runs against the controllers'.
    rate: f64,
    boots: u64,
    seed: u64,
    pub(super) agent: Option<Agent>,
    /// What runs on it. An agent that ends takes the whole machine along, or nobody would watch its lease.
    pub(super) engine: Arc<SimEngine>,
    /// When the newest lease ends or ended that this boot of the agent was granted.
    pub(super) newest_lease: Option<Instant>,
}

/// A running agent.
#[derive(Clone)]
pub(super) struct Agent {
    pub(super) sim: Arc<SimAgent>,
    monotonic: Monotonic,
    began: Instant,
    rate: f64,
    stop: CancellationToken,
    _network: Arc<SimNetwork>,
    _tasks: Arc<[AbortOnDropHandle<()>; 2]>,
}

impl Host {
    pub(super) fn new(name: String, rate: f64, seed: u64) -> Self {
        Self { name, rate, boots: 0, seed, agent: None, engine: Arc::default(), newest_lease: None }
    }

    /// Whether its clock runs like the controllers'.
    pub(super) fn has_usual_clock(&self) -> bool {
        self.rate == 1.0
    }
}

impl Agent {
    /// When its lease ends, by the simulation's clock, while it believes that it holds one.
    pub(super) fn lease_until(&self) -> Option<Instant> {
        match *self.sim.lease().borrow() {
            LeaseState::Valid { until_ms } if self.monotonic.now_ms() < until_ms => {
                Some(self.moment(until_ms))
            }
            _ => None,
        }
    }

    fn moment(&self, millis: u64) -> Instant {
        self.began + Duration::from_millis(millis).div_f64(self.rate)
    }

    /// Whether it has a session with a gateway.
    pub(super) fn has_session(&self) -> bool {
        self.sim.status().borrow().session.is_some()
    }
}

impl World {
    /// Starts a host's agent. It knows the controllers that the cluster has now, as its disk would tell it.
    pub fn start_agent(self: &Arc<Self>, id: HostId) {
        let controllers = self.newest().controller_list();
        let mut hosts = self.hosts();
        let host = hosts.get_mut(&id).expect("the host was added");
        host.boots += 1;
        host.newest_lease = None;
        let network = self.net.endpoint(&host.name, Some(Identity::host(CLUSTER, id)));
        let monotonic = Monotonic::simulated_at(host.rate);
        let options = SimOptions {
            hostname: host.name.clone(),
            containers: CONTAINERS,
            region: None,
            seed: host.seed.wrapping_add(host.boots),
            probe_ports: false,
        };
        let clock = Arc::new(self.clock);
        let sim = Arc::new(SimAgent::on(
            Arc::clone(&host.engine),
            options,
            Arc::clone(&network) as _,
            controllers,
            clock,
            monotonic,
        ));
        let stop = CancellationToken::new();
        let tasks = [
            tokio::spawn(Arc::clone(self).keep_agent(host.name.clone(), Arc::clone(&sim), stop.clone())),
            tokio::spawn(Arc::clone(self).watch_lease(id, Arc::clone(&sim))),
        ];
        host.agent = Some(Agent {
            sim,
            monotonic,
            began: Instant::now(),
            rate: host.rate,
            stop,
            _network: network,
            _tasks: Arc::new(tasks.map(AbortOnDropHandle::new)),
        });
        self.map().start(&host.name, Instant::now());
        self.verdict.note(format!("{} is up", host.name));
    }

    /// Runs an agent. None of the faults takes a host out of the cluster, so it must never believe that.
    async fn keep_agent(self: Arc<Self>, name: String, sim: Arc<SimAgent>, stop: CancellationToken) {
        if let Err(removed) = sim.run(stop).await {
            self.verdict.check(Err(anyhow::anyhow!("{name} gave up: {removed}")));
        }
    }

    /// Shows every lease that an agent is granted to the invariants.
    async fn watch_lease(self: Arc<Self>, id: HostId, sim: Arc<SimAgent>) {
        let mut lease = sim.lease();
        while lease.changed().await.is_ok() {
            if let Some(host) = self.hosts().get_mut(&id)
                && let Some(until) = host.agent.as_ref().and_then(Agent::lease_until)
            {
                host.newest_lease = Some(until);
            }
            let seen = self.invariants().lease_changed(&self, id);
            self.verdict.check(seen);
        }
    }

    /// Kills an agent.
    pub fn crash_agent(&self, id: HostId) {
        self.end_agent(id, "crashes");
    }

    /// Stops an agent, which takes its leave of its gateway.
    pub fn stop_agent(&self, id: HostId) {
        let mut hosts = self.hosts();
        let Some(host) = hosts.get_mut(&id) else { return };
        let Some(agent) = host.agent.take() else { return };
        self.map().stop(&host.name, Instant::now());
        agent.stop.cancel();
        self.verdict.note(format!("{} is told to stop", host.name));
        let engine = Arc::clone(&host.engine);
        // Long enough to say goodbye, then it is gone as after a crash.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            drop(agent);
            engine.power_cut();
        });
    }

    fn end_agent(&self, id: HostId, how: &str) {
        let mut hosts = self.hosts();
        let Some(host) = hosts.get_mut(&id) else { return };
        let Some(agent) = host.agent.take() else { return };
        self.net.crash(&host.name);
        drop(agent);
        host.engine.power_cut();
        self.map().stop(&host.name, Instant::now());
        self.verdict.note(format!("{} {how}", host.name));
    }
}
