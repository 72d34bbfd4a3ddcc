//! A gateway that does what a test tells it, and tells the test what it hears.

use super::{HOST, PATIENCE, list};
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::ids::{ControllerId, RunId, SessionId};
use omni_common::wire::{
    AgentFrame, AgentRequest, CAPABILITY_IMAGES, CAPABILITY_RUN, CAPABILITY_RUNS, CloseCode, GatewayFrame,
    Hello, HostReply, HostRequest, Lease, ReplyFrame, RequestInput, TelemetryFrame, Welcome,
};
use omni_transport::sim::SimNetwork;
use omni_transport::{Connection, FrameReader, FrameWriter, Network};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a gateway hears.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a test holds a few of them")]
pub(super) enum Told {
    Hello(Hello),
    Frame(AgentFrame),
    Telemetry(TelemetryFrame),
}

/// How a gateway behaves; shared with its sessions.
#[derive(Default)]
pub(super) struct Manners {
    /// Says nothing, not even to heartbeats.
    pub(super) mute: AtomicBool,
    /// Reaches no leader, and so has no leases to relay.
    pub(super) leaderless: AtomicBool,
    /// Contents it has, by digest.
    pub(super) contents: std::sync::Mutex<std::collections::BTreeMap<ContentDigest, Vec<u8>>>,
    /// Orders of runs it has.
    pub(super) orders: std::sync::Mutex<std::collections::BTreeMap<RunId, Vec<u8>>>,
    /// Knows nothing of runs.
    pub(super) runless: AtomicBool,
    /// Leaves telemetry unread.
    pub(super) deaf_to_telemetry: AtomicBool,
    /// Knows nothing of images.
    pub(super) imageless: AtomicBool,
    /// Turns everybody away as removed.
    pub(super) revokes: AtomicBool,
}

/// A scripted gateway.
pub(super) struct Gateway {
    pub(super) id: ControllerId,
    pub(super) network: Arc<SimNetwork>,
    pub(super) manners: Arc<Manners>,
    told: mpsc::UnboundedReceiver<Told>,
    sessions: mpsc::UnboundedReceiver<(Connection, mpsc::UnboundedSender<GatewayFrame>)>,
    /// The newest session.
    session: Option<(Connection, mpsc::UnboundedSender<GatewayFrame>)>,
    _stop: tokio_util::sync::DropGuard,
}

impl Gateway {
    pub(super) fn start(network: Arc<SimNetwork>, id: ControllerId) -> Self {
        let (told_in, told) = mpsc::unbounded_channel();
        let (session_in, sessions) = mpsc::unbounded_channel();
        let manners = Arc::new(Manners::default());
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned({
            let (network, manners) = (network.clone(), manners.clone());
            async move {
                while let Some(connection) = network.accept().await {
                    let (told, sessions, manners) = (told_in.clone(), session_in.clone(), manners.clone());
                    tokio::spawn(serve(connection, id, manners, told, sessions));
                }
            }
        }));
        Self { id, network, manners, told, sessions, session: None, _stop: stop.drop_guard() }
    }

    pub(super) fn set(&self, manner: impl Fn(&Manners) -> &AtomicBool, to: bool) {
        manner(&self.manners).store(to, Ordering::Relaxed);
    }

    /// The next thing heard.
    pub(super) async fn hears(&mut self) -> Told {
        let heard = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        heard.expect("something is heard in time").expect("the gateway lives")
    }

    /// The next thing heard that `pick` makes something of; what comes before is forgotten.
    pub(super) async fn hears_of<T>(&mut self, mut pick: impl FnMut(Told) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.hears().await) {
                return found;
            }
        }
    }

    /// Forgets what was heard so far.
    pub(super) fn forget(&mut self) {
        while self.told.try_recv().is_ok() {}
    }

    /// The newest session's connection.
    pub(super) async fn connection(&mut self) -> Connection {
        while let Ok(newer) = self.sessions.try_recv() {
            self.session = Some(newer);
        }
        if self.session.is_none() {
            self.session = self.sessions.recv().await;
        }
        self.session.as_ref().expect("the gateway lives").0.clone()
    }

    /// Sends a frame in the newest session.
    pub(super) async fn says(&mut self, frame: GatewayFrame) {
        self.connection().await;
        let (_, frames) = self.session.as_ref().expect("there is one");
        frames.send(frame).expect("the session lives");
    }

    /// Closes the newest session.
    pub(super) async fn closes(&mut self, code: CloseCode) {
        self.connection().await.close(code, "scripted");
    }

    /// Asks the agent something in the newest session.
    pub(super) async fn asks(&mut self, request: &AgentRequest) -> Asked {
        let (send, recv) = self.connection().await.open_bi().await.expect("the session lives");
        let mut input = FrameWriter::new(send);
        input.send(request).await.expect("the session lives");
        Asked { _input: FrameWriter::new(input.into_inner()), replies: FrameReader::new(recv) }
    }
}

/// A request under way.
pub(super) struct Asked {
    _input: FrameWriter<RequestInput>,
    pub(super) replies: FrameReader<ReplyFrame>,
}

impl Asked {
    /// All replies to the end.
    pub(super) async fn answer(mut self) -> Vec<ReplyFrame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.replies.next().await.expect("whole frames") {
            frames.push(frame);
        }
        frames
    }
}

async fn serve(
    connection: Connection,
    id: ControllerId,
    manners: Arc<Manners>,
    told: mpsc::UnboundedSender<Told>,
    sessions: mpsc::UnboundedSender<(Connection, mpsc::UnboundedSender<GatewayFrame>)>,
) -> Option<()> {
    if manners.revokes.load(Ordering::Relaxed) {
        connection.close(CloseCode::Revoked, "this member was removed");
        return None;
    }
    let (send, recv) = connection.accept_bi().await.ok()?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::<AgentFrame>::new(recv));
    let AgentFrame::Hello(hello) = reader.next().await.ok()?? else {
        panic!("the first frame is a hello");
    };
    told.send(Told::Hello(hello)).ok()?;
    writer.send(&GatewayFrame::Welcome(welcome(id, &manners))).await.ok()?;
    tokio::spawn(listen(connection.clone(), manners.clone(), told.clone()));
    tokio::spawn(provide(connection.clone(), manners.clone()));
    let (frames_in, mut frames) = mpsc::unbounded_channel();
    sessions.send((connection, frames_in)).ok()?;
    loop {
        tokio::select! {
            frame = reader.next() => {
                let frame = frame.ok()??;
                if let Some(answer) = answer(&frame, &manners) {
                    writer.send(&answer).await.ok()?;
                }
                told.send(Told::Frame(frame)).ok()?;
            }
            Some(frame) = frames.recv() => writer.send(&frame).await.ok()?,
        }
    }
}

fn answer(frame: &AgentFrame, manners: &Manners) -> Option<GatewayFrame> {
    match frame {
        AgentFrame::Heartbeat { seq, sent_ms, .. } if !manners.mute.load(Ordering::Relaxed) => {
            let lease = Lease { sent_ms: *sent_ms, ttl_ms: 6_000 };
            Some(GatewayFrame::HeartbeatAck {
                seq: *seq,
                lease: (!manners.leaderless.load(Ordering::Relaxed)).then_some(lease),
                controllers: None,
            })
        }
        _ => None,
    }
}

fn abilities(manners: &Manners) -> Vec<String> {
    let images = (!manners.imageless.load(Ordering::Relaxed)).then_some(CAPABILITY_IMAGES);
    let runs = (!manners.runless.load(Ordering::Relaxed)).then_some(CAPABILITY_RUNS);
    [CAPABILITY_RUN].into_iter().chain(images).chain(runs).map(str::to_owned).collect()
}

/// Answers requests for contents, in chunks of three bytes.
async fn provide(connection: Connection, manners: Arc<Manners>) -> Option<()> {
    loop {
        let (send, recv) = connection.accept_bi().await.ok()?;
        let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::<HostRequest>::new(recv));
        let found = match reader.next().await.ok()?? {
            HostRequest::Content(digest) => {
                manners.contents.lock().expect("no test panics while holding it").get(&digest).cloned()
            }
            HostRequest::Run(run) => {
                manners.orders.lock().expect("no test panics while holding it").get(&run).cloned()
            }
            HostRequest::Image(_)
            | HostRequest::State(_)
            | HostRequest::Login(_)
            | HostRequest::Standing(_)
            | HostRequest::Offline(_) => return None,
        };
        let Some(bytes) = found else {
            let message = "nothing of this host needs it".to_owned();
            writer.send(&HostReply::Failed { code: "not_found".to_owned(), message }).await.ok()?;
            writer.finish();
            continue;
        };
        for chunk in bytes.chunks(3) {
            writer.send(&HostReply::Chunk(chunk.to_vec())).await.ok()?;
        }
        writer.send(&HostReply::End).await.ok()?;
        writer.finish();
    }
}

async fn listen(
    connection: Connection,
    manners: Arc<Manners>,
    told: mpsc::UnboundedSender<Told>,
) -> Option<()> {
    let mut reader = FrameReader::<TelemetryFrame>::new(connection.accept_uni().await.ok()?);
    loop {
        if manners.deaf_to_telemetry.load(Ordering::Relaxed) {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            continue;
        }
        told.send(Told::Telemetry(reader.next().await.ok()??)).ok()?;
    }
}

fn welcome(id: ControllerId, manners: &Manners) -> Welcome {
    Welcome {
        protocol: 1,
        version: "test".to_owned(),
        capabilities: abilities(manners),
        controller: id,
        host: HOST,
        session: SessionId::mint(),
        heartbeat_ms: 1_000,
        sample_ms: 10_000,
        now: Time::EPOCH,
        controllers: list(0, &[]),
    }
}
