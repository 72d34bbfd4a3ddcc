//! The session state machine against scripted gateways, on a simulated network and in simulated time.

mod failover;
mod gateway;
mod life;
mod requests;
mod run;
mod runs;
mod telemetry;

use super::{Agent, Book, Credentials, Monotonic, Parts, Removed, Status};
use crate::runs::Runs;
use crate::sim::{SimDoer, SimEngine, SimHost, SimOptions};
use gateway::{Gateway, Told};
use omni_certs::Identity;
use omni_common::clock::{Clock, Time};
use omni_common::ids::{BootId, ClusterId, ControllerId, HostId};
use omni_common::wire::{ControllerAddress, ControllerList};
use omni_transport::sim::SimNet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const CLUSTER: ClusterId = ClusterId::from_u128(1);
const HOST: HostId = HostId::from_u128(2);
/// Simulated time passes for free; a test that waits this long of it hangs.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Wall time that follows simulated time.
struct SimClock(Instant);

impl Clock for SimClock {
    fn now(&self) -> Time {
        Time::from_secs(1_800_000_000).plus(self.0.elapsed())
    }
}

/// A network with gateways.
struct World {
    net: SimNet,
    clock: Arc<SimClock>,
}

/// A running agent.
struct Running {
    host: Arc<SimHost>,
    engine: Arc<SimEngine>,
    agent: Arc<Agent>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), Removed>>,
}

impl World {
    fn new() -> Self {
        Self { net: SimNet::new(7), clock: Arc::new(SimClock(Instant::now())) }
    }

    fn gateway(&self, id: u64) -> Gateway {
        let identity = Identity::controller(CLUSTER, ControllerId(id));
        Gateway::start(self.net.endpoint(&name(id), Some(identity)), ControllerId(id))
    }

    fn agent(&self, controllers: &[u64]) -> Running {
        self.agent_with(controllers, 3, None)
    }

    fn agent_with(
        &self,
        controllers: &[u64],
        containers: u32,
        credentials: Option<Arc<dyn Credentials>>,
    ) -> Running {
        let options = SimOptions { hostname: "h".to_owned(), containers, seed: 11, ..SimOptions::default() };
        let host = Arc::new(SimHost::new(&options, self.clock.clone()));
        let engine = Arc::new(SimEngine::default());
        let agent = Arc::new(Agent::new(Parts {
            network: self.net.endpoint("host", Some(Identity::host(CLUSTER, HOST))),
            machine: host.clone(),
            workloads: engine.clone(),
            runs: Arc::new(
                Runs::new(
                    Some(Arc::new(SimDoer::new(self.clock.clone()))),
                    engine.keeper(),
                    self.clock.clone(),
                )
                .expect("memory can be read"),
            ),
            book: Arc::new(Book::new(list(1, controllers), None)),
            credentials,
            clock: self.clock.clone(),
            monotonic: Monotonic::simulated(),
            region: None,
            boot: BootId::from_u128(5),
            max_samples: 4,
            probe_ports: true,
            seed: 13,
        }));
        let stop = CancellationToken::new();
        let ended = tokio::spawn({
            let (agent, stop) = (agent.clone(), stop.clone());
            async move { agent.run(stop).await }
        });
        Running { host, engine, status: agent.status(), agent, stop, ended }
    }
}

impl Running {
    /// Waits for a session with this controller.
    async fn with(&mut self, controller: ControllerId) {
        let there = |status: &Status| status.session.is_some_and(|(gateway, _)| gateway == controller);
        let waited = tokio::time::timeout(PATIENCE, self.status.wait_for(there)).await;
        waited.expect("a session in time").expect("the agent lives");
    }

    /// Waits for a session with anybody and says with whom.
    async fn somewhere(&mut self) -> ControllerId {
        let waited =
            tokio::time::timeout(PATIENCE, self.status.wait_for(|status| status.session.is_some())).await;
        let status = waited.expect("a session in time").expect("the agent lives");
        status.session.expect("waited for").0
    }

    /// Waits until there is no session.
    async fn nowhere(&mut self) {
        let waited =
            tokio::time::timeout(PATIENCE, self.status.wait_for(|status| status.session.is_none())).await;
        waited.expect("in time").expect("the agent lives");
    }
}

fn name(id: u64) -> String {
    format!("c{id}")
}

fn list(version: u64, ids: &[u64]) -> ControllerList {
    let address = |&id| ControllerAddress { id: ControllerId(id), quic: name(id), region: None };
    ControllerList { version, controllers: ids.iter().map(address).collect() }
}
