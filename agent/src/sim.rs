//! A simulated agent: the real session state machine, with a made-up host behind it and nothing on disk. Cheap
//! enough for thousands in one process.

mod engine;
mod runs;
#[cfg(test)]
mod tests;

pub use engine::{FENCE, SimAllocation, SimEngine, SimPace};
pub use runs::SimDoer;

use crate::docker::Images;
use crate::executors::{Ended, Failure, RequestStream};
use crate::inventory::{Delta, Inventory};
use crate::machine::Machine;
use crate::session::{Agent, Book, LeaseState, Monotonic, Parts, Removed, Status};
use async_trait::async_trait;
use omni_common::clock::{Clock, Time};
use omni_common::domain::backup::{FileEntry, FileKind, FilesOrder, Hidden};
use omni_common::domain::{
    Container, ContainerSample, ContainerState, CpuSample, DockerFacts, Health, HostFacts, HostImage,
    HostSample, LABEL_COMPONENT, MemorySample, NetworkAddress, Process,
};
use omni_common::ids::BootId;
use omni_common::wire::{AgentRequest, ControllerList, LogLine, OutputStream, ReplyFrame};
use omni_transport::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What a simulated agent is.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Its machine's name.
    pub hostname: String,
    /// Containers on it.
    pub containers: u32,
    /// Its region.
    pub region: Option<String>,
    /// Where its random choices begin.
    pub seed: u64,
    /// Watch for closed ports as a real agent does. Of no use on a simulated network.
    pub probe_ports: bool,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self { hostname: "simulated".to_owned(), containers: 3, region: None, seed: 0, probe_ports: false }
    }
}

/// A simulated agent.
pub struct SimAgent {
    agent: Agent,
    host: Arc<SimHost>,
    engine: Arc<SimEngine>,
}

impl SimAgent {
    /// One that reaches controllers over `network`, whose identity is its own.
    pub fn new(
        options: SimOptions,
        network: Arc<dyn Network>,
        controllers: ControllerList,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::with_monotonic(options, network, controllers, clock, Monotonic::simulated())
    }

    /// The same with a clock for leases that may run fast or slow.
    pub fn with_monotonic(
        options: SimOptions,
        network: Arc<dyn Network>,
        controllers: ControllerList,
        clock: Arc<dyn Clock>,
        monotonic: Monotonic,
    ) -> Self {
        Self::on(Arc::default(), options, network, controllers, clock, monotonic)
    }

    /// The same on a host that runs something already, or will when its agent is started again.
    pub fn on(
        engine: Arc<SimEngine>,
        options: SimOptions,
        network: Arc<dyn Network>,
        controllers: ControllerList,
        clock: Arc<dyn Clock>,
        monotonic: Monotonic,
    ) -> Self {
        let host = Arc::new(SimHost::new(&options, clock.clone()));
        let agent = Agent::new(Parts {
            network,
            machine: host.clone(),
            workloads: engine.clone(),
            runs: Arc::new(runs::runs_of(&engine, clock.clone())),
            book: Arc::new(Book::new(controllers, None)),
            credentials: None,
            clock,
            monotonic,
            region: options.region,
            boot: BootId::from_u128(u128::from(options.seed)),
            // Thousands of hosts that nobody listens to must not fill the process with samples.
            max_samples: 2,
            probe_ports: options.probe_ports,
            seed: options.seed,
        });
        Self { agent, host, engine }
    }

    /// Runs until `stop`, or until the cluster sends it away.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Removed> {
        self.agent.run(stop).await
    }

    /// Its made-up host.
    pub fn host(&self) -> &Arc<SimHost> {
        &self.host
    }

    /// What its host runs.
    pub fn engine(&self) -> &Arc<SimEngine> {
        &self.engine
    }

    /// Where it stands.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.agent.status()
    }

    /// Its lease.
    pub fn lease(&self) -> watch::Receiver<LeaseState> {
        self.agent.lease()
    }

    /// Samples dropped since the start because no gateway took them.
    pub fn dropped_samples(&self) -> u64 {
        self.agent.dropped_samples()
    }
}

/// A made-up host. Containers are made when they are listed, so that thousands of hosts do not hold them.
pub struct SimHost {
    hostname: String,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    changed: Notify,
    images: watch::Sender<Images>,
}

struct Inner {
    containers: u32,
    /// Those that were changed, and how.
    states: BTreeMap<u32, (ContainerState, Health)>,
    dirty: BTreeSet<u32>,
    /// Where the listing under way goes on.
    listing: Option<u32>,
    reset: bool,
    samples: u64,
}

impl SimHost {
    pub(crate) fn new(options: &SimOptions, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            containers: options.containers,
            states: BTreeMap::new(),
            dirty: BTreeSet::new(),
            listing: None,
            reset: false,
            samples: 0,
        };
        Self {
            hostname: options.hostname.clone(),
            clock,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            images: watch::Sender::default(),
        }
    }

    /// Puts one of the containers into another state.
    pub fn change(&self, number: u32, state: ContainerState, health: Health) {
        let mut inner = self.lock();
        if number < inner.containers {
            inner.states.insert(number, (state, health));
            inner.dirty.insert(number);
            self.changed.notify_one();
        }
    }

    /// Says which images it has from now on; until then it says nothing about that.
    pub fn set_images(&self, images: Vec<HostImage>) {
        self.images.send_replace(Some(Arc::new(images)));
    }

    /// Samples taken since the start.
    pub fn samples(&self) -> u64 {
        self.lock().samples
    }

    /// The id of one of the containers.
    pub fn container_id(&self, number: u32) -> String {
        format!("{:0>64}", format!("{:x}{number:08x}", fnv(&self.hostname)))
    }

    fn container(&self, number: u32, inner: &Inner) -> Container {
        let (state, health) =
            inner.states.get(&number).copied().unwrap_or((ContainerState::Running, Health::Healthy));
        Container { id: self.container_id(number), state, health, ..container(&format!("service-{number}")) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Inventory for SimHost {
    fn rewind(&self) {
        let mut inner = self.lock();
        inner.listing = Some(0);
        inner.reset = true;
        inner.dirty.clear();
        self.changed.notify_one();
    }

    fn take(&self, max_count: usize, _max_bytes: usize) -> Option<Delta> {
        let mut inner = self.lock();
        let reset = std::mem::take(&mut inner.reset);
        let numbers: Vec<u32> = match inner.listing {
            Some(from) => (from..inner.containers).take(max_count).collect(),
            None => inner.dirty.iter().copied().take(max_count).collect(),
        };
        if let Some(from) = inner.listing {
            let next = from + u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            inner.listing = (next < inner.containers).then_some(next);
        } else if numbers.is_empty() {
            return None;
        }
        for number in &numbers {
            inner.dirty.remove(number);
        }
        Some(Delta {
            reset,
            upsert: numbers.iter().map(|&number| self.container(number, &inner)).collect(),
            removed: Vec::new(),
            more: inner.listing.is_some(),
        })
    }

    async fn changed(&self) {
        let news = {
            let inner = self.lock();
            inner.listing.is_some() || !inner.dirty.is_empty()
        };
        if !news {
            self.changed.notified().await;
        }
    }
}

#[async_trait]
impl Machine for SimHost {
    fn inventory(&self) -> &dyn Inventory {
        self
    }

    fn images(&self) -> watch::Receiver<Images> {
        self.images.subscribe()
    }

    async fn facts(&self) -> HostFacts {
        HostFacts {
            hostname: self.hostname.clone(),
            os: "Simulated".to_owned(),
            kernel: "0".to_owned(),
            arch: "none".to_owned(),
            cpus: 8,
            memory_total: 32 << 30,
            docker: Some(DockerFacts {
                version: "simulated".to_owned(),
                api_version: "1.41".to_owned(),
                storage_driver: "none".to_owned(),
                cgroup_version: "2".to_owned(),
                root_dir: "/var/lib/docker".to_owned(),
                runtimes: vec!["runc".to_owned()],
            }),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..HostFacts::default()
        }
    }

    async fn facts_changed(&self) {
        std::future::pending().await
    }

    async fn sample(&self) -> Option<HostSample> {
        let mut inner = self.lock();
        inner.samples += 1;
        let load = (inner.samples % 100) as f32;
        let reading = |number| ContainerSample {
            id: self.container_id(number),
            cpu_percent: Some(load),
            memory_used: Some(64 << 20),
            memory_limit: None,
            rx_bytes: Some(load * 1000.0),
            tx_bytes: Some(load * 500.0),
            read_bytes: Some(0.0),
            write_bytes: Some(load * 100.0),
            pids: Some(10),
        };
        Some(HostSample {
            at: self.clock.now(),
            interval_ms: 10_000,
            cpu: Some(CpuSample {
                total: load,
                user: load,
                system: 0.0,
                iowait: 0.0,
                steal: 0.0,
                cores: vec![load; 8],
            }),
            load: Some([load; 3]),
            memory: Some(MemorySample {
                total: 32 << 30,
                available: 16 << 30,
                cached: 8 << 30,
                swap_total: 0,
                swap_used: 0,
            }),
            containers: (0..inner.containers).map(reading).collect(),
            ..HostSample::default()
        })
    }

    /// Answers what tests of the whole path need: one line of log, one process, an empty history, a few files.
    async fn serve(&self, request: AgentRequest, mut stream: RequestStream) {
        let answer = match request {
            AgentRequest::Logs(request) => Ok(ReplyFrame::Log(vec![LogLine {
                at_nanos: self.clock.now().as_millis().saturating_mul(1_000_000),
                stream: OutputStream::Stdout,
                line: format!("log of {}", request.container).into_bytes(),
            }])),
            AgentRequest::Processes => Ok(ReplyFrame::Processes(vec![Process {
                pid: 1,
                name: "init".to_owned(),
                cpu_percent: 0.0,
                memory: 1 << 20,
                container: None,
            }])),
            AgentRequest::History { .. } => Ok(ReplyFrame::Samples(Vec::new())),
            AgentRequest::Image(_) | AgentRequest::LoadImage | AgentRequest::Build(_) => {
                Err(Failure::unsupported("a simulated host has no images"))
            }
            AgentRequest::Files(order) => made_up_files(&order, self.clock.now()),
            AgentRequest::Project { name, .. } => {
                Err(Failure::not_found(format!("a simulated host has no compose project `{name}`")))
            }
            AgentRequest::Locks(_) => Err(Failure::unsupported("a simulated host has no restic")),
            AgentRequest::Exec(_) => Err(Failure::unsupported("a simulated host runs no programs")),
        };
        let ended = match answer {
            Ok(frame) => send_all(&mut stream, &[ReplyFrame::Started, frame]).await,
            Err(failure) => Err(Ended::Failed(failure)),
        };
        stream.reply.conclude(ended).await;
    }
}

/// A folder `data` with one file in it.
fn made_up_files(order: &Hidden, now: Time) -> Result<ReplyFrame, Failure> {
    let order: FilesOrder =
        serde_json::from_str(order.reveal()).map_err(|error| Failure::invalid(error.to_string()))?;
    let (name, kind, mode) = match order.path.trim_matches('/') {
        "" => ("data", FileKind::Folder, 0o755),
        "data" => ("one.txt", FileKind::File, 0o644),
        _ => {
            let message = format!("there is no `{}` in the snapshot", order.path);
            return Err(Failure { code: "path_missing", message });
        }
    };
    let size = if kind == FileKind::File { 4 } else { 0 };
    let modified = Some(now);
    let (name, target) = (name.to_owned(), None);
    let one = FileEntry { name, kind, size, mode, uid: 0, gid: 0, modified, target, whole: false };
    Ok(ReplyFrame::Files(if order.skip == 0 { vec![one] } else { Vec::new() }))
}

async fn send_all(stream: &mut RequestStream, frames: &[ReplyFrame]) -> Result<(), Ended> {
    for frame in frames {
        stream.reply.send(frame).await?;
    }
    Ok(())
}

/// A made-up running container whose id is its name.
pub fn container(name: &str) -> Container {
    Container {
        id: name.to_owned(),
        name: name.to_owned(),
        image: "omni/simulated:1".to_owned(),
        image_id: "sha256:0".to_owned(),
        state: ContainerState::Running,
        health: Health::Healthy,
        health_output: None,
        exit_code: None,
        oom_killed: false,
        created: Time::from_secs(1_700_000_000),
        started: Some(Time::from_secs(1_700_000_001)),
        finished: None,
        restarts: 0,
        labels: BTreeMap::from([(LABEL_COMPONENT.to_owned(), name.to_owned())]),
        ports: Vec::new(),
        networks: vec![NetworkAddress { network: "bridge".to_owned(), address: None }],
        tty: false,
        log_driver: Some("json-file".to_owned()),
        pid: None,
    }
}

/// A small stable hash, so that container ids differ between hosts.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
