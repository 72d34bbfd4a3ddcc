//! An [`App`] in memory: the real `apply`, and small stand-ins for everything that would touch a network.

use super::ports::*;
use super::{App, Refusals};
use crate::state::{
    self, Actor, Allocation, ApiRole, ApiToken, AppKey, Command, Controller, Host, HostStatus, Proposal,
    State,
};
use crate::store::{Publisher, Store};
use async_trait::async_trait;
use omni_certs::{CaFingerprint, Secret, TokenKind, TokenText};
use omni_common::clock::{Clock, Time};
use omni_common::domain::{AllocationState, Container, ContainerState, Health, HostSample};
use omni_common::ids::{AllocationId, ClusterId, ControllerId, HostId, RequestId, TokenId};
use omni_common::wire::{AgentRequest, ReplyFrame, RequestInput};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The moment it always is in tests.
pub(crate) const NOW: Time = Time::from_secs(1_800_000_000);

/// Writes with the real `apply`, at once.
pub(crate) struct FakeRaft {
    publisher: Mutex<Publisher>,
    store: Store,
    /// Whether somebody leads.
    pub(crate) leads: AtomicBool,
}

#[async_trait]
impl Propose for FakeRaft {
    async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        if !self.leads.load(Ordering::SeqCst) {
            return Err(ProposeError::NoLeader);
        }
        let publisher = self.publisher.lock().expect("no panic while locked");
        let before = publisher.current();
        let index = before.index + 1;
        let (after, outcome) = state::apply(&before, index, &proposal);
        publisher.publish(Arc::new(after), index);
        Ok(Applied { index, outcome })
    }
}

#[async_trait]
impl LinearRead for FakeRaft {
    async fn linearizable(&self) -> Result<Arc<State>, ProposeError> {
        match self.leads.load(Ordering::SeqCst) {
            true => Ok(self.store.current()),
            false => Err(ProposeError::NoLeader),
        }
    }
}

/// What hosts report, set by the test.
pub(crate) struct FakeObserved {
    hosts: Mutex<BTreeMap<HostId, Arc<HostObserved>>>,
    samples: watch::Sender<u64>,
}

impl FakeObserved {
    pub(crate) fn set(&self, host: HostId, observed: HostObserved) {
        self.hosts.lock().expect("no panic while locked").insert(host, Arc::new(observed));
        self.samples.send_modify(|version| *version += 1);
    }
}

impl Observe for FakeObserved {
    fn host(&self, host: HostId) -> Option<Arc<HostObserved>> {
        self.hosts.lock().expect("no panic while locked").get(&host).cloned()
    }

    fn hosts(&self) -> Vec<(HostId, Arc<HostObserved>)> {
        let hosts = self.hosts.lock().expect("no panic while locked");
        hosts.iter().map(|(id, observed)| (*id, Arc::clone(observed))).collect()
    }

    fn rollups(&self, _: HostId, from: Time, _: Time) -> Vec<HostSample> {
        vec![HostSample { at: from, ..HostSample::default() }]
    }

    fn samples(&self) -> watch::Receiver<u64> {
        self.samples.subscribe()
    }
}

/// A host's agent as a test plays it.
pub(crate) struct FakeAgent {
    /// What it was asked.
    pub(crate) request: AgentRequest,
    /// What it is sent.
    pub(crate) inputs: mpsc::Receiver<RequestInput>,
    /// What it answers.
    pub(crate) replies: mpsc::Sender<ReplyFrame>,
}

/// Hands every request to the test.
pub(crate) struct FakeMesh {
    requests: mpsc::UnboundedSender<(HostId, FakeAgent)>,
    /// Whether hosts are connected.
    pub(crate) connected: AtomicBool,
    /// Hosts that somebody watched.
    pub(crate) watched: Mutex<Vec<HostId>>,
    /// Hosts whose agents do not know what they are asked.
    pub(crate) outdated: Mutex<Vec<HostId>>,
}

struct Input(mpsc::Sender<RequestInput>);
struct Replies(mpsc::Receiver<ReplyFrame>);

#[async_trait]
impl AgentInput for Input {
    async fn send(&mut self, input: RequestInput) -> Result<(), MeshError> {
        self.0.send(input).await.map_err(|_| MeshError::Lost("the agent left".to_owned()))
    }
}

#[async_trait]
impl AgentReplies for Replies {
    async fn next(&mut self) -> Result<Option<ReplyFrame>, MeshError> {
        Ok(self.0.recv().await)
    }
}

#[async_trait]
impl Mesh for FakeMesh {
    async fn open(&self, host: HostId, request: AgentRequest) -> Result<AgentStream, MeshError> {
        if !self.connected.load(Ordering::SeqCst) {
            return Err(MeshError::NotConnected);
        }
        if self.outdated.lock().expect("no panic while locked").contains(&host) {
            return Err(MeshError::Outdated);
        }
        let (input, inputs) = mpsc::channel(4);
        let (replies, answers) = mpsc::channel(4);
        let agent = FakeAgent { request, inputs, replies };
        self.requests.send((host, agent)).map_err(|_| MeshError::NotConnected)?;
        Ok(AgentStream { input: Box::new(Input(input)), replies: Box::new(Replies(answers)) })
    }

    fn watch(&self, hosts: &[HostId]) {
        self.watched.lock().expect("no panic while locked").extend(hosts);
    }

    fn leader(&self) -> Option<ControllerId> {
        Some(ControllerId(1))
    }

    async fn group(&self) -> Group {
        let own = ControllerStatus {
            disk_error: None,
            id: ControllerId(1),
            last_log: 9,
            applied: 9,
            snapshot: None,
            sessions: 0,
            version: "0.1.0".to_owned(),
        };
        Group { leader: Some(ControllerId(1)), voters: vec![ControllerId(1)], reached: vec![own] }
    }

    async fn transfer(&self, to: Option<ControllerId>) -> Result<ControllerId, MembershipError> {
        Ok(to.unwrap_or(ControllerId(1)))
    }

    async fn leave(&self, _: ControllerId) -> Result<(), MembershipError> {
        Ok(())
    }
}

/// Stands still unless the test moves it.
#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Moves it forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a test is short"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_millis(NOW.as_millis() + self.0.load(Ordering::SeqCst))
    }
}

/// An app and the strings it hangs on.
pub(crate) struct Bench {
    pub(crate) app: Arc<App>,
    pub(crate) raft: Arc<FakeRaft>,
    pub(crate) observed: Arc<FakeObserved>,
    pub(crate) mesh: Arc<FakeMesh>,
    /// What time it is.
    pub(crate) clock: Arc<TestClock>,
    /// Requests that reached agents.
    pub(crate) agents: mpsc::UnboundedReceiver<(HostId, FakeAgent)>,
}

impl Bench {
    /// A cluster with one controller, no hosts, and one token of each role (see [`Self::token`]).
    pub(crate) fn new() -> Self {
        let (publisher, store) = Store::new(first_state());
        let raft = Arc::new(FakeRaft {
            publisher: Mutex::new(publisher),
            store: store.clone(),
            leads: AtomicBool::new(true),
        });
        let observed = Arc::new(FakeObserved { hosts: Mutex::default(), samples: watch::channel(0).0 });
        let (requests, agents) = mpsc::unbounded_channel();
        let mesh = Arc::new(FakeMesh {
            requests,
            connected: AtomicBool::new(true),
            watched: Mutex::default(),
            outdated: Mutex::default(),
        });
        let key = Arc::new(omni_certs::ClusterKey::from_bytes(&[7; 32]).expect("32 bytes"));
        let catalogue = Arc::new(omni_catalogue::Catalogue::builtin());
        let clock = Arc::new(TestClock::default());
        let app = Arc::new(App {
            controller: ControllerId(1),
            ca: ca(),
            store,
            proposer: raft.clone(),
            reads: raft.clone(),
            observed: observed.clone(),
            mesh: mesh.clone(),
            clock: clock.clone(),
            metrics: Arc::new(|| "own_metric 1".to_owned()),
            releases: Arc::new(crate::ingest::Releases::new(
                Arc::clone(&key),
                Arc::clone(&catalogue),
                omni_catalogue::policies::Policies::builtin(),
            )),
            cluster_key: key,
            catalogue,
            refusals: Refusals::default(),
            people: super::People::default(),
        });
        Self { app, raft, observed, mesh, clock, agents }
    }

    /// The text of the token with that role.
    pub(crate) fn token(role: ApiRole) -> String {
        let (_, text) = api_token(role);
        text.to_string()
    }

    /// Puts a host in place, without enrolment.
    pub(crate) fn add_host(&self, host: Host) {
        self.change(|state| {
            state.host_names.insert(host.name.clone(), host.id);
            state.hosts.insert(host.id, Arc::new(host));
        });
    }

    /// Changes the state behind the log's back.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        let publisher = self.raft.publisher.lock().expect("no panic while locked");
        let mut state = State::clone(&publisher.current());
        state.index += 1;
        change(&mut state);
        let index = state.index;
        publisher.publish(Arc::new(state), index);
    }

    /// A host with these containers, just reported.
    pub(crate) fn add_reporting(&self, number: u128, name: &str, containers: Vec<Container>) -> HostId {
        let host = host(number, name);
        let id = host.id;
        self.add_host(host);
        let containers = containers.into_iter().map(|one| (one.id.clone(), one)).collect();
        self.observed.set(
            id,
            HostObserved {
                gateway: Some(ControllerId(1)),
                last_seen: Some(NOW),
                sample: Some((Arc::new(HostSample { at: NOW, ..HostSample::default() }), Instant::now())),
                containers: Some(Arc::new(containers)),
                containers_at: Some(Instant::now()),
                images: None,
                runs: None,
            },
        );
        id
    }
}

fn ca() -> CaFingerprint {
    CaFingerprint::from_bytes([7; 32])
}

/// The same token for the same role within one test process.
fn api_token(role: ApiRole) -> (ApiToken, TokenText) {
    static SECRETS: std::sync::OnceLock<[Secret; 3]> = std::sync::OnceLock::new();
    let secrets =
        SECRETS.get_or_init(|| [(); 3].map(|()| Secret::generate().expect("the system has randomness")));
    let secret = &secrets[role as usize];
    let id = TokenId::from_u128(100 + role as u128);
    let token = ApiToken {
        id,
        name: format!("{}s", role.as_str()),
        role,
        environments: Vec::new(),
        hash: secret.hash(),
        created: NOW,
        expires: None,
        created_by: "test".to_owned(),
    };
    (token, TokenText::new(TokenKind::Api, id, secret, ca()))
}

fn first_state() -> State {
    let controller = Controller {
        id: ControllerId(1),
        name: "c1".to_owned(),
        quic: "10.0.0.1:7600".to_owned(),
        api: "10.0.0.1:7601".to_owned(),
        region: None,
        zone: None,
        version: "0.1.0".to_owned(),
        joined: NOW,
        certificate: None,
    };
    let roles = [ApiRole::Viewer, ApiRole::Operator, ApiRole::Admin];
    let proposal = Proposal {
        request: RequestId::from_u128(1),
        fingerprint: None,
        at: NOW,
        actor: Actor::system(),
        command: Command::Bootstrap {
            cluster: ClusterId::from_u128(1),
            ca_cert: vec![1],
            ca_key_sealed: vec![2],
            controller,
            api_tokens: roles.map(|role| api_token(role).0).to_vec(),
            join_tokens: Vec::new(),
        },
    };
    let (state, outcome) = state::apply(&State::default(), 1, &proposal);
    outcome.expect("the first entry bootstraps");
    state
}

/// A host that is up.
pub(crate) fn host(number: u128, name: &str) -> Host {
    Host {
        id: HostId::from_u128(number),
        name: name.to_owned(),
        labels: BTreeMap::new(),
        region: None,
        zone: None,
        joined: NOW,
        status: HostStatus::Up,
        status_since: NOW,
        cordoned: false,
        liveness: None,
        certificate: None,
        facts: None,
        boot: None,
        revision: 1,
    }
}

/// A running container.
pub(crate) fn container(id: &str, name: &str) -> Container {
    Container {
        id: id.to_owned(),
        name: name.to_owned(),
        image: "omni/web:1".to_owned(),
        image_id: "sha256:0".to_owned(),
        state: ContainerState::Running,
        health: Health::None,
        health_output: None,
        exit_code: None,
        oom_killed: false,
        created: NOW,
        started: Some(NOW),
        finished: None,
        restarts: 0,
        labels: BTreeMap::new(),
        ports: Vec::new(),
        networks: Vec::new(),
        tty: false,
        log_driver: None,
        pid: Some(1),
    }
}

/// A healthy instance of the app's only group.
pub(crate) fn allocation(id: AllocationId, app: AppKey, host: HostId) -> Allocation {
    Allocation {
        id,
        app,
        group: "web".to_owned(),
        slot: 0,
        host,
        release: 1,
        round: 0,
        epoch: 1,
        exclusive: false,
        run: true,
        state: AllocationState::Healthy,
        since: NOW,
        placed: NOW,
        reason: None,
        log: None,
        why: String::new(),
        gpus: Vec::new(),
        lost: false,
    }
}
