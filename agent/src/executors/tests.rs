//! Requests against a scripted engine, over a simulated connection in real time.

use super::*;
use crate::collectors::Roots;
use crate::docker::fake::FakeEngine;
use crate::docker::{DockerStatus, Watcher};
use crate::images::Images;
use omni_certs::Identity;
use omni_common::clock::{Clock, SystemClock, Time};
use omni_common::domain::backup::Hidden;
use omni_common::ids::{ClusterId, ControllerId, HostId};
use omni_common::wire::{ALPN_AGENT, ExecRequest, LogsRequest, OutputStream, ReplyFrame, RequestInput};
use omni_transport::sim::{SimNet, SimNetwork};
use omni_transport::{Connect, FrameReader, FrameWriter, Network};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An agent's executors with a connection to them.
struct Bench {
    engine: Option<FakeEngine>,
    executors: Arc<Executors>,
    near: omni_transport::Connection,
    far: omni_transport::Connection,
    over: CancellationToken,
    _networks: [Arc<SimNetwork>; 2],
    _watching: DropGuard,
}

impl Bench {
    async fn new(engine: Option<FakeEngine>) -> Self {
        let nowhere = || "/nonexistent/docker.sock".parse().expect("a path");
        let socket = engine.as_ref().map_or_else(nowhere, FakeEngine::socket);
        let (docker, mut watcher) = Watcher::new(socket, Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let watching = stop.clone().drop_guard();
        tokio::spawn(async move { watcher.run(stop).await });
        let known = |status: &DockerStatus| *status != DockerStatus::Unknown;
        docker.status().wait_for(known).await.expect("the watcher lives");
        let host = Host::start(Roots::default(), None, Arc::new(SystemClock)).expect("a thread");
        let (networks, near, far) = connected().await;
        let images = Arc::new(Images::new(docker.clone(), "/nonexistent/images"));
        Self {
            engine,
            executors: Arc::new(Executors::new(
                docker.clone(),
                host,
                images,
                Browser::new(None, "/nonexistent"),
            )),
            near,
            far,
            over: CancellationToken::new(),
            _networks: networks,
            _watching: watching,
        }
    }

    async fn with(containers: &[&str]) -> Self {
        Self::new(Some(FakeEngine::start(containers))).await
    }

    fn engine(&self) -> &FakeEngine {
        self.engine.as_ref().expect("this bench has one")
    }

    /// Asks, as a gateway does.
    async fn ask(&self, request: AgentRequest) -> Asked {
        let (send, recv) = self.near.open_bi().await.expect("connected");
        let mut asking = FrameWriter::<AgentRequest>::new(send);
        asking.send(&request).await.expect("connected");
        let (send, far_recv) = self.far.accept_bi().await.expect("connected");
        let mut reader = FrameReader::<AgentRequest>::new(far_recv);
        let request = reader.next().await.expect("a frame").expect("a frame");
        let stream = RequestStream {
            input: reader.followed_by(),
            reply: Reply::new(FrameWriter::new(send)),
            over: self.over.clone(),
        };
        let executors = self.executors.clone();
        tokio::spawn(async move { executors.serve(request, stream).await });
        Asked { input: FrameWriter::new(asking.into_inner()), replies: FrameReader::new(recv) }
    }
}

async fn connected() -> ([Arc<SimNetwork>; 2], omni_transport::Connection, omni_transport::Connection) {
    let (net, cluster) = (SimNet::new(3), ClusterId::from_u128(1));
    let gateway = net.endpoint("c1", Some(Identity::controller(cluster, ControllerId(1))));
    let host = net.endpoint("h", Some(Identity::host(cluster, HostId::from_u128(2))));
    let how = Connect::Mesh(omni_certs::ExpectServer::AnyController);
    let far = host.connect("c1", ALPN_AGENT, how).await.expect("both are up");
    let near = gateway.accept().await.expect("both are up");
    ([gateway, host], near, far)
}

struct Asked {
    input: FrameWriter<RequestInput>,
    replies: FrameReader<ReplyFrame>,
}

impl Asked {
    async fn next(&mut self) -> ReplyFrame {
        let next = tokio::time::timeout(PATIENCE, self.replies.next()).await;
        next.expect("an answer in time").expect("whole frames").expect("not the end")
    }

    async fn rest(mut self) -> Vec<ReplyFrame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.replies.next().await.expect("whole frames") {
            frames.push(frame);
        }
        frames
    }

    async fn failure(self) -> (String, String) {
        match self.rest().await.pop() {
            Some(ReplyFrame::Failed { code, message }) => (code, message),
            other => panic!("no failure but {other:?}"),
        }
    }

    async fn tells(&mut self, input: RequestInput) {
        self.input.send(&input).await.expect("connected");
    }
}

fn logs(container: &str) -> LogsRequest {
    LogsRequest {
        container: container.into(),
        follow: false,
        since: None,
        until: None,
        tail: None,
        grep: None,
    }
}

fn exec(container: &str, tty: bool) -> ExecRequest {
    ExecRequest {
        container: container.into(),
        command: vec!["cat".into()],
        tty,
        stdin: true,
        env: Vec::new(),
        user: None,
        workdir: None,
        size: tty.then_some((80, 25)),
    }
}

fn lines(frames: &[ReplyFrame]) -> Vec<(OutputStream, String)> {
    let mut lines = Vec::new();
    for frame in frames {
        if let ReplyFrame::Log(batch) = frame {
            lines.extend(
                batch.iter().map(|line| (line.stream, String::from_utf8_lossy(&line.line).into_owned())),
            );
        }
    }
    lines
}

/// Waits until `count` is this.
async fn open(count: &mut tokio::sync::watch::Receiver<usize>, wanted: usize) {
    let waited = tokio::time::timeout(PATIENCE, count.wait_for(|&open| open == wanted)).await;
    waited.expect("in time").expect("the engine lives");
}

#[tokio::test]
async fn a_log_is_read_to_its_end_and_grepped() {
    let bench = Bench::with(&["web"]).await;
    let frames = bench.ask(AgentRequest::Logs(logs("web"))).await.rest().await;
    let expected =
        [(OutputStream::Stdout, "one"), (OutputStream::Stderr, "two"), (OutputStream::Stdout, "three")];
    assert_eq!(lines(&frames), expected.map(|(stream, text)| (stream, text.to_owned())));
    assert_eq!((frames.first(), frames.last()), (Some(&ReplyFrame::Started), Some(&ReplyFrame::End)));
    let request = LogsRequest { grep: Some("^t.*e$".into()), ..logs("web") };
    let frames = bench.ask(AgentRequest::Logs(request)).await.rest().await;
    assert_eq!(lines(&frames), [(OutputStream::Stdout, "three".to_owned())]);
}

#[tokio::test]
async fn a_quiet_log_is_given_up_when_its_reader_goes() {
    let bench = Bench::with(&["web"]).await;
    let mut streams = bench.engine().logs_open();
    let request = LogsRequest { follow: true, ..logs("web") };
    let mut asked = bench.ask(AgentRequest::Logs(request.clone())).await;
    assert_eq!(asked.next().await, ReplyFrame::Started);
    // Lines do not wait for more of them.
    let mut seen = 0;
    while seen < 3 {
        seen += lines(&[asked.next().await]).len();
    }
    open(&mut streams, 1).await;
    drop(asked);
    open(&mut streams, 0).await;

    let asked = bench.ask(AgentRequest::Logs(request)).await;
    open(&mut streams, 1).await;
    bench.over.cancel();
    open(&mut streams, 0).await;
    drop(asked);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_the_engine_and_nothing_else() {
    let bench = Bench::with(&["sick"]).await;
    let mut asked = bench.ask(AgentRequest::Logs(LogsRequest { follow: true, ..logs("sick") })).await;
    for _ in 0..10 {
        asked.next().await;
    }
    // The reader stops. What is under way: the stream's window, one batch, the buffers of one socket.
    let written = || bench.engine().counters().log_bytes.load(Ordering::Relaxed);
    let mut before = written();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = written();
        if now == before {
            break;
        }
        before = now;
    }
    let stalled = written();
    assert!(stalled < 32 << 20, "{stalled} bytes were taken for a reader that took ten batches");
    let processes = bench.ask(AgentRequest::Processes).await.rest().await;
    assert!(matches!(processes[..], [ReplyFrame::Started, ReplyFrame::Processes(_), ReplyFrame::End]));
    // It goes on where it stopped.
    for _ in 0..100 {
        asked.next().await;
    }
    assert!(written() > stalled);
}

#[tokio::test]
async fn what_cannot_be_had_is_named() {
    let bench = Bench::with(&["web", "gone"]).await;
    let (code, message) = bench.ask(AgentRequest::Logs(logs("nobody"))).await.failure().await;
    assert_eq!((code.as_str(), message.as_str()), ("not_found", "No such container: nobody"));
    let (code, _) = bench.ask(AgentRequest::Logs(logs("../images/x"))).await.failure().await;
    assert_eq!(code, "invalid");
    let request = LogsRequest { grep: Some("(".into()), ..logs("web") };
    let (code, _) = bench.ask(AgentRequest::Logs(request)).await.failure().await;
    assert_eq!(code, "invalid");
    let mut silent = crate::docker::fake::copy("silent", 77);
    silent["HostConfig"]["LogConfig"]["Type"] = "none".into();
    bench.engine().change("create", silent);
    // There is no restic on this bench.
    let order = r#"{"repository":{"name":"home","location":"/srv/b","password":"p","credentials":"none","create":false},
        "snapshot":"00112233","include":[],"path":"/","skip":0,"most":10}"#;
    let (code, message) = bench.ask(AgentRequest::Files(Hidden::new(order))).await.failure().await;
    assert_eq!((code.as_str(), message.contains("install it")), ("no_restic", true), "{message}");
    let (code, message) = bench.ask(AgentRequest::Files(Hidden::new("{}"))).await.failure().await;
    assert_eq!((code.as_str(), message.contains("cannot read")), ("invalid", true), "{message}");
    let (code, _) = bench.ask(AgentRequest::Logs(logs("silent"))).await.failure().await;
    assert_eq!(code, "unsupported");
    let (code, message) = bench.ask(AgentRequest::Exec(exec("gone", false))).await.failure().await;
    assert_eq!(code, "not_running", "{message}");
}

#[tokio::test]
async fn without_an_engine_that_is_said() {
    let bench = Bench::new(None).await;
    for request in [AgentRequest::Logs(logs("web")), AgentRequest::Exec(exec("web", false))] {
        let (code, message) = bench.ask(request).await.failure().await;
        assert_eq!(code, "docker_absent");
        assert!(message.contains("/nonexistent/docker.sock"), "{message}");
    }
    let (code, _) = bench
        .ask(AgentRequest::History { from: Time::EPOCH, to: SystemClock.now(), max: 10 })
        .await
        .failure()
        .await;
    assert_eq!(code, "failed", "this bench records nothing");
}

#[tokio::test]
async fn a_program_hears_and_answers_and_ends() {
    let bench = Bench::with(&["web"]).await;
    let mut asked = bench.ask(AgentRequest::Exec(exec("web", false))).await;
    assert_eq!(asked.next().await, ReplyFrame::Started);
    asked.tells(RequestInput::Stdin(b"hello".to_vec())).await;
    let said = ReplyFrame::Output { stream: OutputStream::Stderr, data: b"hello".to_vec() };
    assert_eq!(asked.next().await, said);
    asked.tells(RequestInput::Eof).await;
    assert_eq!(asked.rest().await, [ReplyFrame::Exit { code: 3 }, ReplyFrame::End]);
}

#[tokio::test]
async fn a_terminal_is_raw_and_has_a_size() {
    let bench = Bench::with(&["web"]).await;
    let mut asked = bench.ask(AgentRequest::Exec(exec("web", true))).await;
    assert_eq!(asked.next().await, ReplyFrame::Started);
    asked.tells(RequestInput::Resize { cols: 100, rows: 30 }).await;
    // Bytes that look like a frame header are output like any other.
    asked.tells(RequestInput::Stdin(b"\x01\x00\x00\x00\xff\xff\xff\xff".to_vec())).await;
    let said = ReplyFrame::Output {
        stream: OutputStream::Stdout,
        data: b"\x01\x00\x00\x00\xff\xff\xff\xff".to_vec(),
    };
    assert_eq!(asked.next().await, said);
    let resized = bench.engine().resized();
    assert_eq!(resized, ["h=25&w=80", "h=30&w=100"]);
}

#[tokio::test]
async fn a_program_ends_when_its_user_goes() {
    let bench = Bench::with(&["web"]).await;
    let mut programs = bench.engine().execs_open();
    let mut asked = bench.ask(AgentRequest::Exec(exec("web", true))).await;
    assert_eq!(asked.next().await, ReplyFrame::Started);
    open(&mut programs, 1).await;
    drop(asked);
    open(&mut programs, 0).await;
}
