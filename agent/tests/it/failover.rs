//! Moving away from a controller whose process was killed.

use omni_agent::sim::{SimAgent, SimOptions};
use omni_certs::testing;
use omni_common::clock::{SystemClock, Time};
use omni_common::ids::{ControllerId, SessionId};
use omni_common::wire::{AgentFrame, ControllerAddress, ControllerList, GatewayFrame, Welcome};
use omni_transport::{Connection, FrameReader, FrameWriter, Network, QuicNetwork, QuicOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Slow enough that neither missed answers (after 2.5 of them) nor QUIC's idle time (15 s) can be what tells.
const HEARTBEAT: Duration = Duration::from_secs(4);
const BEFORE_MISSED_ANSWERS: Duration = Duration::from_secs(8);

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A gateway in a runtime of its own, which can vanish without a word.
struct Process {
    address: String,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Process {
    fn start(tls: omni_certs::MeshTls, id: ControllerId) -> Self {
        let (kill, killed) = oneshot::channel();
        let (bound, binding) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let network = runtime.block_on(async {
                let network =
                    QuicNetwork::bind(loopback(), tls, QuicOptions::default()).expect("a free port");
                bound.send(network.local_addr()).expect("the test waits");
                tokio::spawn(serve_all(network.clone(), id));
                killed.await.ok();
                network
            });
            // The runtime goes first, so nothing is left that could say goodbye.
            drop(runtime);
            drop(network);
        });
        Self { address: binding.recv().expect("it binds"), kill: Some(kill), thread: Some(thread) }
    }

    fn kill(&mut self) {
        drop(self.kill.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it vanishes");
        }
    }
}

async fn serve_all(network: Arc<QuicNetwork>, id: ControllerId) {
    while let Some(connection) = network.accept().await {
        tokio::spawn(serve(connection, id));
    }
}

async fn serve(connection: Connection, id: ControllerId) -> Option<()> {
    let (send, recv) = connection.accept_bi().await.ok()?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::<AgentFrame>::new(recv));
    loop {
        let answer = match reader.next().await.ok()?? {
            AgentFrame::Hello(_) => GatewayFrame::Welcome(Welcome {
                protocol: 1,
                version: "test".to_owned(),
                capabilities: Vec::new(),
                controller: id,
                host: testing::HOST,
                session: SessionId::mint(),
                heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).expect("seconds"),
                sample_ms: 10_000,
                now: Time::EPOCH,
                controllers: ControllerList::default(),
            }),
            AgentFrame::Heartbeat { seq, .. } => {
                GatewayFrame::HeartbeatAck { seq, lease: None, controllers: None }
            }
            _ => continue,
        };
        writer.send(&answer).await.ok()?;
    }
}

#[tokio::test]
async fn a_killed_process_is_noticed_by_its_closed_port() {
    let cluster = testing::cluster();
    let ids = [ControllerId(1), ControllerId(2)];
    let mut processes = ids.map(|id| Process::start(cluster.controller_tls(id), id));
    let controllers = ids
        .iter()
        .zip(&processes)
        .map(|(&id, process)| ControllerAddress { id, quic: process.address.clone(), region: None })
        .collect();
    let network = QuicNetwork::client(loopback(), Some(cluster.host.clone())).expect("a free port");
    let options = SimOptions { probe_ports: true, ..SimOptions::default() };
    let list = ControllerList { version: 1, controllers };
    let agent = Arc::new(SimAgent::new(options, network, list, Arc::new(SystemClock)));
    let (stop, running) = (CancellationToken::new(), agent.clone());
    let ended = tokio::spawn({
        let stop = stop.clone();
        async move { running.run(stop).await }
    });
    let mut status = agent.status();
    let first = status
        .wait_for(|status| status.session.is_some())
        .await
        .expect("the agent lives")
        .session
        .expect("waited for")
        .0;
    let killed = Instant::now();
    processes[usize::try_from(first.0 - 1).expect("one of two")].kill();
    let moved = status.wait_for(|status| status.session.is_some_and(|(now, _)| now != first));
    drop(
        tokio::time::timeout(BEFORE_MISSED_ANSWERS, moved)
            .await
            .expect("the closed port tells")
            .expect("the agent lives"),
    );
    assert!(killed.elapsed() < BEFORE_MISSED_ANSWERS);
    stop.cancel();
    ended.await.expect("no panic").expect("stopped on request");
    for process in &mut processes {
        process.kill();
    }
}
