//! One agent's session, from its hello to its end.

use super::accept::Gateway;
use super::reports::Arriving;
use super::sessions::Session;
use super::{contents, desired, runs};
use crate::peer::wire::{Beat, Observed};
use crate::state::{Actor, Command, HostStatus, LivenessConfig, State, command::Subject};
use omni_certs::Role;
use omni_common::domain::HostFacts;
use omni_common::ids::{HostId, SessionId};
use omni_common::wire::{
    AgentFrame, AllocationReport, CAPABILITY_FILES, CAPABILITY_IMAGES, CAPABILITY_LOGINS, CAPABILITY_RUN,
    CAPABILITY_RUNS, CAPABILITY_STANDING, CloseCode, GatewayFrame, Hello, PROTOCOL_MAX, PROTOCOL_MIN,
    TelemetryFrame, Welcome, settle_protocol,
};
use omni_transport::{Connection, FrameError, FrameReader, FrameWriter};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// An agent that has not said hello by then is cut off.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// A control frame must be taken by then.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Control frames from an agent in one second; it needs about one.
const CONTROL_PER_SECOND: u32 = 50;
/// Telemetry frames read of one agent in one second; more wait in its own memory.
const TELEMETRY_PER_SECOND: u32 = 500;
/// Control frames waiting for one agent.
const CONTROL_QUEUE: usize = 32;
/// Usual time between two samples.
const SAMPLE_MS: u32 = 10_000;
/// At most one change of facts of a host goes into the log in this time.
const FACTS_PERIOD: Duration = Duration::from_secs(5);

type Frames = FrameReader<AgentFrame>;
type Replies = FrameWriter<GatewayFrame>;

/// Why a session ends from this side.
struct End(CloseCode, String);

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self(error.close_code(), error.to_string())
    }
}

/// Serves an agent until its connection ends.
pub(super) async fn serve(gateway: &Arc<Gateway>, connection: Connection, host: HostId) {
    if !gateway.store.current().hosts.contains_key(&host) {
        connection.close(CloseCode::UnknownPeer, "this host is not known here, or was removed");
        return;
    }
    let Err(End(code, reason)) = run(gateway, &connection, host).await;
    connection.close(code, &reason);
    if !matches!(code, CloseCode::Done | CloseCode::ShuttingDown) {
        metrics::counter!(crate::metrics::REFUSED, "code" => code.name()).increment(1);
        tracing::info!(node = %host, code = code.name(), reason, "agent session ended");
    }
}

async fn run(
    gateway: &Arc<Gateway>,
    connection: &Connection,
    host: HostId,
) -> Result<std::convert::Infallible, End> {
    let greeting = tokio::time::timeout(HELLO_WITHIN, greet(connection));
    let (hello, mut frames, mut replies) =
        greeting.await.map_err(|_| End(CloseCode::HelloTimeout, "no hello came in time".to_owned()))??;
    let protocol = settle_protocol((PROTOCOL_MIN, PROTOCOL_MAX), (hello.protocol_min, hello.protocol_max))
        .ok_or_else(|| End(CloseCode::UnsupportedProtocol, unsupported(&hello)))?;
    let (control, waiting) = mpsc::channel(CONTROL_QUEUE);
    let session = Arc::new(Session {
        id: SessionId::mint(),
        host,
        boot: hello.boot,
        connection: connection.clone(),
        control,
        lease: watch::channel(None).0,
        runs: hello.capabilities.iter().any(|own| own == CAPABILITY_RUN),
        backups: hello.capabilities.iter().any(|own| own == CAPABILITY_RUNS),
        files: hello.capabilities.iter().any(|own| own == CAPABILITY_FILES),
    });
    let welcome = welcome(gateway, &session, protocol);
    let (controllers, heartbeat_ms) = (welcome.controllers.version, welcome.heartbeat_ms);
    write(&mut replies, &GatewayFrame::Welcome(welcome)).await?;
    let _open = Opened::new(gateway, Arc::clone(&session));
    let telemetry =
        AbortOnDropHandle::new(tokio::spawn(telemetry(Arc::clone(gateway), Arc::clone(&session))));
    let contents =
        AbortOnDropHandle::new(tokio::spawn(contents::serve(Arc::clone(gateway), Arc::clone(&session))));
    let mut control = Control {
        gateway,
        session: &session,
        controllers,
        heartbeat_ms,
        counted: false,
        pace: Pace::new(CONTROL_PER_SECOND),
        told: 0,
        account: Arriving::of(session.id),
    };
    if session.runs {
        let first = GatewayFrame::Desired(desired::desired(&gateway.store.current(), host));
        control.write(&mut replies, &first).await?;
    }
    if session.backups {
        let first = GatewayFrame::Runs(runs::desired(&gateway.store.current(), host));
        control.write(&mut replies, &first).await?;
    }
    let _announced =
        AbortOnDropHandle::new(tokio::spawn(runs::announce(Arc::clone(gateway), host, session.backups)));
    let _contents = contents;
    control.run(&mut frames, &mut replies, waiting, telemetry).await
}

async fn greet(connection: &Connection) -> Result<(Hello, Frames, Replies), End> {
    let (send, receive) =
        connection.accept_bi().await.map_err(|error| End(CloseCode::Done, error.to_string()))?;
    let mut frames = FrameReader::new(receive);
    match frames.next().await? {
        Some(AgentFrame::Hello(hello)) => Ok((hello, frames, FrameWriter::new(send))),
        Some(_) => Err(End(CloseCode::OutOfOrder, "the first frame must be a hello".to_owned())),
        None => Err(End(CloseCode::Done, "the stream ended before the hello".to_owned())),
    }
}

fn unsupported(hello: &Hello) -> String {
    format!(
        "the agent speaks protocol {} to {} (version {}), this controller {PROTOCOL_MIN} to {PROTOCOL_MAX}",
        hello.protocol_min,
        hello.protocol_max,
        hello.version.chars().take(32).collect::<String>()
    )
}

fn welcome(gateway: &Gateway, session: &Session, protocol: u16) -> Welcome {
    let state = gateway.store.current();
    let liveness = liveness(&state, session.host);
    Welcome {
        protocol,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: [
            CAPABILITY_RUN,
            CAPABILITY_IMAGES,
            CAPABILITY_RUNS,
            CAPABILITY_LOGINS,
            CAPABILITY_STANDING,
        ]
        .map(str::to_owned)
        .into(),
        controller: gateway.me,
        host: session.host,
        session: session.id,
        heartbeat_ms: liveness.heartbeat_ms,
        sample_ms: SAMPLE_MS,
        now: gateway.clock.now(),
        controllers: state.controller_list(),
    }
}

fn liveness(state: &State, host: HostId) -> LivenessConfig {
    let own = state.hosts.get(&host).and_then(|host| host.liveness);
    own.or(state.cluster.as_ref().map(|cluster| cluster.liveness)).unwrap_or_default()
}

async fn write(replies: &mut Replies, frame: &GatewayFrame) -> Result<(), End> {
    match tokio::time::timeout(WRITE_WITHIN, replies.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End(CloseCode::Done, error.to_string())),
        Err(_) => Err(End(CloseCode::Stalled, "the agent does not read its control stream".to_owned())),
    }
}

/// Registers a session for as long as it lives.
struct Opened<'a> {
    gateway: &'a Gateway,
    session: Arc<Session>,
}

impl<'a> Opened<'a> {
    fn new(gateway: &'a Gateway, session: Arc<Session>) -> Self {
        let now = gateway.clock.now();
        gateway.observed.session_opened(session.host, gateway.me, session.id, now);
        gateway.sessions.open(Arc::clone(&session));
        gateway.replicas.publish(Observed::Session { host: session.host, session: session.id });
        tracing::info!(node = %session.host, peer = session.connection.remote(), "agent session opened");
        Self { gateway, session }
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.gateway.sessions.close(&self.session);
        self.gateway.reports.forget(self.session.host, self.session.id);
        self.gateway.observed.session_closed(self.session.host, self.session.id);
        self.gateway.replicas.publish(Observed::Gone { host: self.session.host, session: self.session.id });
    }
}

/// The control stream.
struct Control<'a> {
    gateway: &'a Arc<Gateway>,
    session: &'a Arc<Session>,
    /// Version of the controller list that the agent was told.
    controllers: u64,
    /// How often the agent was told to send a heartbeat.
    heartbeat_ms: u32,
    /// The host has counted as alive since the session began.
    counted: bool,
    pace: Pace,
    /// Generation of the newest list that the agent was told.
    told: u64,
    /// Its account of its allocations, as far as it has come.
    account: Arriving,
}

impl Control<'_> {
    async fn run(
        &mut self,
        frames: &mut Frames,
        replies: &mut Replies,
        mut waiting: mpsc::Receiver<GatewayFrame>,
        mut telemetry: AbortOnDropHandle<End>,
    ) -> Result<std::convert::Infallible, End> {
        loop {
            tokio::select! {
                frame = frames.next() => {
                    let frame = frame?.ok_or_else(|| End(CloseCode::Done, "the agent ended its session".to_owned()))?;
                    if let Some(reply) = self.take(frame)? {
                        self.write(replies, &reply).await?;
                    }
                    if let Some(reason) = self.outlived() {
                        let reason = reason.to_owned();
                        write(replies, &GatewayFrame::Goodbye { reason: reason.clone() }).await?;
                        return Err(End(CloseCode::Done, reason));
                    }
                }
                Some(frame) = waiting.recv() => self.write(replies, &frame).await?,
                ended = &mut telemetry => {
                    return Err(ended.unwrap_or_else(|_| End(CloseCode::Internal, "telemetry failed".to_owned())));
                }
                () = self.gateway.stop.cancelled() => {
                    let reason = "this controller is stopping".to_owned();
                    write(replies, &GatewayFrame::Goodbye { reason: reason.clone() }).await?;
                    return Err(End(CloseCode::ShuttingDown, reason));
                }
            }
        }
    }

    async fn write(&mut self, replies: &mut Replies, frame: &GatewayFrame) -> Result<(), End> {
        write(replies, frame).await?;
        if let GatewayFrame::Desired(list) = frame {
            self.told = self.told.max(list.generation);
        }
        Ok(())
    }

    fn take(&mut self, frame: AgentFrame) -> Result<Option<GatewayFrame>, End> {
        if !self.pace.admit(Instant::now()) {
            return Err(End(
                CloseCode::Flood,
                format!("more than {CONTROL_PER_SECOND} control frames a second"),
            ));
        }
        match frame {
            AgentFrame::Hello(_) => Err(End(CloseCode::OutOfOrder, "a second hello".to_owned())),
            AgentFrame::Heartbeat { seq, sent_ms, generation: _ } => Ok(Some(self.heartbeat(seq, sent_ms))),
            AgentFrame::Renew { csr } => {
                tokio::spawn(renew(Arc::clone(self.gateway), Arc::clone(self.session), csr));
                Ok(None)
            }
            AgentFrame::Allocations { all, reports, more } => self.account(all, reports, more).map(|()| None),
            AgentFrame::Run(report) => {
                self.gateway.run_reports.note(self.session.host, *report);
                Ok(None)
            }
            AgentFrame::Leaving => Err(End(CloseCode::Done, "the agent stops".to_owned())),
        }
    }

    /// Why the agent should begin anew: what it was told at the beginning, or what it has told, no longer holds.
    fn outlived(&mut self) -> Option<&'static str> {
        let state = self.gateway.store.current();
        let status = state.hosts.get(&self.session.host).map(|host| host.status)?;
        if liveness(&state, self.session.host).heartbeat_ms != self.heartbeat_ms {
            return Some("heartbeats are to come at another pace");
        }
        if status == HostStatus::Down && self.counted {
            // Its allocations were given up, and only a full account brings them back.
            return Some("the host counted as down meanwhile");
        }
        self.counted |= matches!(status, HostStatus::Up | HostStatus::Suspect);
        None
    }

    fn account(&mut self, all: bool, reports: Vec<AllocationReport>, more: bool) -> Result<(), End> {
        let complete = self.account.take(all, reports, more);
        let complete =
            complete.map_err(|()| End(CloseCode::Flood, "an endless account of allocations".to_owned()))?;
        if complete {
            self.gateway.reports.note(self.session.host, &mut self.account);
        }
        Ok(())
    }

    fn heartbeat(&mut self, seq: u64, sent_ms: u64) -> GatewayFrame {
        let host = self.session.host;
        self.gateway.observed.heard(host, self.gateway.clock.now());
        self.gateway.relay.beat(Beat { host, boot: self.session.boot, sent_ms });
        let state = self.gateway.store.current();
        let news = (state.controllers_version != self.controllers).then(|| state.controller_list());
        self.controllers = state.controllers_version;
        // A lease for a newer list than the agent has would let it start what was decided away.
        let granted = *self.session.lease.borrow();
        let lease = granted.filter(|(_, generation)| !self.session.runs || *generation <= self.told);
        GatewayFrame::HeartbeatAck { seq, lease: lease.map(|(lease, _)| lease), controllers: news }
    }
}

/// Answers a request for a fresh certificate.
async fn renew(gateway: Arc<Gateway>, session: Arc<Session>, csr: Vec<u8>) {
    let host = session.host;
    let state = gateway.store.current();
    let issued = gateway.issuer.issue(&state, &csr, Role::Host(host), &[], gateway.clock.now());
    let frame = match issued {
        Ok(issued) => {
            let subject = Subject::Host(host);
            let record =
                Command::RecordCertificate { subject, serial: issued.serial, not_after: issued.not_after };
            match gateway
                .propose(Actor::machine(format!("host:{host}"), session.connection.remote()), record)
                .await
            {
                Ok(Ok(_)) => GatewayFrame::Renewed { chain: issued.chain },
                Ok(Err(refusal)) => refused(refusal.code.as_str(), refusal.message),
                Err(error) => refused("unavailable", error.to_string()),
            }
        }
        Err(error) => refused("invalid", error.to_string()),
    };
    if session.control.send(frame).await.is_err() {
        tracing::debug!(node = %host, "the session ended before its certificate was renewed");
    }
}

fn refused(code: &str, message: String) -> GatewayFrame {
    GatewayFrame::RenewRefused { code: code.to_owned(), message }
}

/// The telemetry stream; returns why it ended.
async fn telemetry(gateway: Arc<Gateway>, session: Arc<Session>) -> End {
    let receive = match session.connection.accept_uni().await {
        Ok(receive) => receive,
        Err(error) => return End(CloseCode::Done, error.to_string()),
    };
    let (facts, told) = watch::channel(None);
    let _facts = AbortOnDropHandle::new(tokio::spawn(record_facts(Arc::clone(&gateway), session.host, told)));
    let mut frames = FrameReader::<TelemetryFrame>::new(receive);
    let mut pace = Pace::new(TELEMETRY_PER_SECOND);
    loop {
        pace.wait().await;
        match frames.next().await {
            Ok(Some(frame)) => take(&gateway, &session, frame, &facts),
            Ok(None) => return End(CloseCode::Done, "the agent ended its telemetry".to_owned()),
            Err(error) => return error.into(),
        }
    }
}

fn take(
    gateway: &Gateway,
    session: &Session,
    frame: TelemetryFrame,
    facts: &watch::Sender<Option<HostFacts>>,
) {
    let kind = match &frame {
        TelemetryFrame::Facts(new) => {
            facts.send_replace(Some(new.clone()));
            "facts"
        }
        TelemetryFrame::Containers { .. } => "containers",
        TelemetryFrame::Sample(_) => "sample",
        TelemetryFrame::Images { .. } => "images",
        TelemetryFrame::Runs(_) => "runs",
    };
    metrics::counter!(crate::metrics::TELEMETRY, "kind" => kind).increment(1);
    let now = gateway.clock.now();
    let changes = gateway.observed.take(session.host, &frame, now);
    if !changes.is_empty() {
        let state = gateway.store.current();
        let name = state.hosts.get(&session.host).map_or("a removed host", |host| host.name.as_str());
        gateway.events.note(session.host, name, changes, now);
    }
    if kind != "facts" {
        gateway.replicas.publish(Observed::Frame { host: session.host, frame: Box::new(frame) });
    }
}

/// Commits a host's facts when they differ from what the state holds.
async fn record_facts(gateway: Arc<Gateway>, host: HostId, mut told: watch::Receiver<Option<HostFacts>>) {
    while told.changed().await.is_ok() {
        let Some(facts) = told.borrow_and_update().clone() else {
            continue;
        };
        let known = gateway.store.current().hosts.get(&host).and_then(|host| host.facts.clone());
        if known.as_ref() == Some(&facts) {
            continue;
        }
        let record = Command::RecordFacts { host, facts: Box::new(facts) };
        if let Err(error) = gateway.propose(Actor::system(), record).await {
            tracing::debug!(node = %host, error = %error, "facts wait for the log");
            told.mark_changed();
        }
        tokio::time::sleep(FACTS_PERIOD).await;
    }
}

/// Frames admitted per second of an agent.
struct Pace {
    per_second: u32,
    window: Instant,
    count: u32,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { per_second, window: Instant::now(), count: 0 }
    }

    fn admit(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window) >= Duration::from_secs(1) {
            self.window = now;
            self.count = 0;
        }
        self.count += 1;
        self.count <= self.per_second
    }

    /// Waits for the next second when this one is used up: the agent's own bounded queue takes the rest.
    async fn wait(&mut self) {
        if !self.admit(Instant::now()) {
            tokio::time::sleep_until(self.window + Duration::from_secs(1)).await;
            self.admit(Instant::now());
        }
    }
}
