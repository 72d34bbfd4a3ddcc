//! Against a real Docker engine: `OMNI_TEST_DOCKER=/var/run/docker.sock cargo test -p omni-agent --test it`.
//!
//! It needs the image named by `OMNI_TEST_IMAGE` (by default `omni/busybox:1`) with `sh`, makes containers whose
//! names begin with `omni-agent-it-`, and removes them. Without the variable there is nothing to test.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use omni_agent::backup::Browser;
use omni_agent::collectors::Roots;
use omni_agent::docker::{DockerStatus, Handle, Watcher};
use omni_agent::executors::{Executors, Reply, RequestStream};
use omni_agent::host::Host;
use omni_agent::images::Images;
use omni_agent::inventory::Inventory;
use omni_certs::{ExpectServer, Identity};
use omni_common::clock::SystemClock;
use omni_common::domain::{Container, ContainerState};
use omni_common::ids::{ClusterId, ControllerId, HostId};
use omni_common::wire::{
    ALPN_AGENT, AgentRequest, ExecRequest, LogsRequest, OutputStream, ReplyFrame, RequestInput,
};
use omni_transport::sim::{SimNet, SimNetwork};
use omni_transport::{Connect, Connection, FrameReader, FrameWriter, Network};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A container that is removed whatever happens.
struct Made {
    socket: String,
    name: String,
}

impl Made {
    async fn new(socket: &str, name: &str, tty: bool, command: &str) -> Self {
        let docker = client(socket);
        let made = Self { socket: socket.to_owned(), name: format!("omni-agent-it-{name}") };
        made.remove().await;
        let body = ContainerCreateBody {
            image: Some(variable("OMNI_TEST_IMAGE").unwrap_or_else(|| "omni/busybox:1".to_owned())),
            cmd: Some(["sh", "-c", command].map(str::to_owned).to_vec()),
            tty: Some(tty),
            network_disabled: Some(true),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&made.name).build();
        docker.create_container(Some(options), body).await.expect("the image is there");
        docker.start_container(&made.name, None::<StartContainerOptions>).await.expect("it starts");
        made
    }

    async fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        client(&self.socket).remove_container(&self.name, Some(options)).await.ok();
    }
}

fn client(socket: &str) -> bollard::Docker {
    bollard::Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION).expect("a socket")
}

struct Bench {
    socket: String,
    docker: Handle,
    executors: Arc<Executors>,
    near: Connection,
    far: Connection,
    _networks: [Arc<SimNetwork>; 2],
    _watching: DropGuard,
}

impl Bench {
    async fn new() -> Option<Self> {
        let socket = variable("OMNI_TEST_DOCKER")?;
        let (docker, mut watcher) = Watcher::new(socket.parse().expect("a path"), Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let watching = stop.clone().drop_guard();
        tokio::spawn(async move { watcher.run(stop).await });
        let mut status = docker.status();
        status.wait_for(|status| matches!(status, DockerStatus::Up(_))).await.expect("it answers");
        let host = Host::start(Roots::default(), None, Arc::new(SystemClock)).expect("a thread");
        let (net, cluster) = (SimNet::new(3), ClusterId::from_u128(1));
        let gateway = net.endpoint("c1", Some(Identity::controller(cluster, ControllerId(1))));
        let agent = net.endpoint("h", Some(Identity::host(cluster, HostId::from_u128(2))));
        let far =
            agent.connect("c1", ALPN_AGENT, Connect::Mesh(ExpectServer::AnyController)).await.expect("up");
        let near = gateway.accept().await.expect("up");
        let images = Arc::new(Images::new(docker.clone(), std::env::temp_dir().join("omni-images")));
        let executors =
            Arc::new(Executors::new(docker.clone(), host, images, Browser::new(None, "/nonexistent")));
        Some(Self { socket, docker, executors, near, far, _networks: [gateway, agent], _watching: watching })
    }

    async fn ask(&self, request: AgentRequest) -> (FrameWriter<RequestInput>, FrameReader<ReplyFrame>) {
        let (send, recv) = self.near.open_bi().await.expect("connected");
        let mut asking = FrameWriter::<AgentRequest>::new(send);
        asking.send(&request).await.expect("connected");
        let (send, far_recv) = self.far.accept_bi().await.expect("connected");
        let mut reader = FrameReader::<AgentRequest>::new(far_recv);
        let request = reader.next().await.expect("a frame").expect("a frame");
        let stream = RequestStream {
            input: reader.followed_by(),
            reply: Reply::new(FrameWriter::new(send)),
            over: CancellationToken::new(),
        };
        let executors = self.executors.clone();
        tokio::spawn(async move { executors.serve(request, stream).await });
        (FrameWriter::new(asking.into_inner()), FrameReader::new(recv))
    }

    /// Waits until the inventory shows a container so.
    async fn shows(&self, name: &str, fits: impl Fn(&Container) -> bool) -> Container {
        let containers = self.docker.containers();
        containers.rewind();
        let found = async {
            loop {
                containers.changed().await;
                let delta = containers.take(64, 1 << 20).unwrap_or_default();
                if let Some(found) = delta.upsert.into_iter().find(|found| found.name == name && fits(found))
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("shown in time")
    }
}

async fn rest(mut replies: FrameReader<ReplyFrame>) -> Vec<ReplyFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = replies.next().await.expect("whole frames") {
        frames.push(frame);
    }
    frames
}

fn text(frames: &[ReplyFrame]) -> String {
    let lines = frames.iter().filter_map(|frame| match frame {
        ReplyFrame::Log(lines) => {
            Some(lines.iter().map(|line| line.line.as_slice()).collect::<Vec<_>>().join(&b'|'))
        }
        ReplyFrame::Output { data, .. } => Some(data.clone()),
        _ => None,
    });
    String::from_utf8_lossy(&lines.collect::<Vec<_>>().concat()).into_owned()
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

fn exec(container: &str, tty: bool, command: &str) -> ExecRequest {
    ExecRequest {
        container: container.into(),
        command: ["sh", "-c", command].map(str::to_owned).to_vec(),
        tty,
        stdin: true,
        env: vec!["GREETING=hello".into()],
        user: None,
        workdir: None,
        size: tty.then_some((91, 33)),
    }
}

#[tokio::test]
async fn changes_are_pushed() {
    let Some(bench) = Bench::new().await else { return };
    let made = Made::new(&bench.socket, "watch", false, "sleep 1; exit 9").await;
    let running = bench.shows(&made.name, |container| container.state == ContainerState::Running).await;
    assert!(running.pid.is_some());
    let ended = bench.shows(&made.name, |container| container.state == ContainerState::Exited).await;
    assert_eq!((ended.exit_code, ended.pid), (Some(9), None));
    made.remove().await;
}

#[tokio::test]
async fn logs_of_both_kinds_of_containers() {
    let Some(bench) = Bench::new().await else { return };
    let program = r"echo one; echo two >&2; busybox head -c 40000 /dev/zero | busybox tr '\0' x; echo; printf '\001\002end'";
    for (name, tty) in [("framed", false), ("raw", true)] {
        let made = Made::new(&bench.socket, name, tty, program).await;
        bench.shows(&made.name, |container| container.state == ContainerState::Exited).await;
        let (_input, replies) = bench.ask(AgentRequest::Logs(logs(&made.name))).await;
        let frames = rest(replies).await;
        assert_eq!(frames.last(), Some(&ReplyFrame::End));
        let mut lines: Vec<_> = frames
            .into_iter()
            .filter_map(|frame| if let ReplyFrame::Log(lines) = frame { Some(lines) } else { None })
            .flatten()
            .collect();
        assert!(lines.iter().all(|line| line.at_nanos > 0), "every line has its time");
        // The order between the two outputs is the engine's.
        lines.sort_by(|a, b| a.line.cmp(&b.line));
        let texts: Vec<_> =
            lines.iter().map(|line| String::from_utf8_lossy(&line.line).into_owned()).collect();
        let expected = ["\u{1}\u{2}end", "one", "two", &"x".repeat(40_000)];
        assert!(
            texts == expected,
            "tty {tty}: lines of {:?}",
            texts.iter().map(String::len).collect::<Vec<_>>()
        );
        let errors = lines.iter().filter(|line| line.stream == OutputStream::Stderr).count();
        assert_eq!(errors, usize::from(!tty));
        let request = LogsRequest { tail: Some(2), grep: Some("end$".into()), ..logs(&made.name) };
        let (_input, replies) = bench.ask(AgentRequest::Logs(request)).await;
        assert_eq!(text(&rest(replies).await), "\u{1}\u{2}end");
        made.remove().await;
    }
}

#[tokio::test]
async fn programs_with_and_without_a_terminal() {
    let Some(bench) = Bench::new().await else { return };
    let made = Made::new(&bench.socket, "exec", false, "sleep 600").await;
    let command = "read line; echo $GREETING $line; echo err >&2; exit 5";
    let (mut input, replies) = bench.ask(AgentRequest::Exec(exec(&made.name, false, command))).await;
    input.send(&RequestInput::Stdin(b"world\n".to_vec())).await.expect("connected");
    let frames = rest(replies).await;
    assert!(
        frames
            .contains(&ReplyFrame::Output { stream: OutputStream::Stdout, data: b"hello world\n".to_vec() }),
        "{frames:?}"
    );
    assert!(
        frames.contains(&ReplyFrame::Output { stream: OutputStream::Stderr, data: b"err\n".to_vec() }),
        "{frames:?}"
    );
    assert_eq!(frames[frames.len() - 2..], [ReplyFrame::Exit { code: 5 }, ReplyFrame::End]);

    let (mut input, replies) = bench.ask(AgentRequest::Exec(exec(&made.name, false, "cat; echo done"))).await;
    input.send(&RequestInput::Stdin(b"to the end ".to_vec())).await.expect("connected");
    input.send(&RequestInput::Eof).await.expect("connected");
    assert_eq!(text(&rest(replies).await), "to the end done\n");

    let (_input, replies) =
        bench.ask(AgentRequest::Exec(exec(&made.name, true, "sleep 0.3; stty size"))).await;
    assert!(text(&rest(replies).await).contains("33 91"));

    let (_input, replies) = bench.ask(AgentRequest::Exec(exec(&made.name, true, "nosuchprogram"))).await;
    let frames = rest(replies).await;
    assert!(frames.contains(&ReplyFrame::Exit { code: 127 }), "{frames:?}");
    made.remove().await;
}

#[tokio::test]
async fn an_abandoned_program_does_not_go_on() {
    let Some(bench) = Bench::new().await else { return };
    let made = Made::new(&bench.socket, "left", false, "sleep 600").await;
    for tty in [false, true] {
        // It neither reads its input nor minds being hung up on.
        let command = "trap '' HUP; echo up; sleep 5555";
        let (input, mut replies) = bench.ask(AgentRequest::Exec(exec(&made.name, tty, command))).await;
        loop {
            if let Some(ReplyFrame::Output { .. }) = replies.next().await.expect("whole frames") {
                break;
            }
        }
        drop((input, replies));
        let gone = async {
            loop {
                let (_input, replies) =
                    bench.ask(AgentRequest::Exec(exec(&made.name, false, "busybox ps"))).await;
                if !text(&rest(replies).await).contains("5555") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("it is ended");
    }
    made.remove().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(bench) = Bench::new().await else { return };
    let made = Made::new(&bench.socket, "ended", false, "true").await;
    bench.shows(&made.name, |container| container.state == ContainerState::Exited).await;
    let (_input, replies) = bench.ask(AgentRequest::Exec(exec(&made.name, false, "true"))).await;
    let frames = rest(replies).await;
    assert!(matches!(&frames[..], [ReplyFrame::Failed { code, .. }] if code == "not_running"), "{frames:?}");
    let (_input, replies) = bench.ask(AgentRequest::Logs(logs("omni-agent-it-nobody"))).await;
    let frames = rest(replies).await;
    assert!(matches!(&frames[..], [ReplyFrame::Failed { code, .. }] if code == "not_found"), "{frames:?}");
    made.remove().await;
}
