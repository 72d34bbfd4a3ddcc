//! Floods, strangers and slow peers.

use crate::support::{client, dial_agent, echo, end_of, pair, server_with, within};
use omni_certs::ExpectServer;
use omni_certs::testing;
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL, ALPN_PEER, CloseCode};
use omni_transport::{ClosedBy, Connect, ConnectError, Network, QuicNetwork, QuicOptions};
use std::net::UdpSocket;
use std::time::Duration;

/// Polls `future` as long as anything else makes progress, then gives up.
async fn stalls<F: Future>(future: F) -> bool {
    tokio::time::timeout(Duration::from_millis(200), future).await.is_err()
}

#[tokio::test]
async fn an_agent_can_open_few_streams_and_a_gateway_many() {
    let pair = pair().await;
    let mut open = Vec::new();
    loop {
        let mut stream = None;
        let opening = async { stream = Some(pair.near.open_bi().await.expect("a stream")) };
        if stalls(opening).await {
            break;
        }
        open.extend(stream);
        assert!(open.len() <= 4, "a flood of streams is not held back");
    }
    let mut requests = Vec::new();
    for _ in 0..100 {
        requests.push(within(pair.far.open_bi()).await.expect("a gateway may ask much at once"));
    }
    // Finishing one makes room for the next.
    let (mut send, recv) = open.remove(0);
    send.write_all(b"x").await.expect("sent");
    send.finish();
    drop((send, recv));
    drop(within(pair.far.accept_bi()).await.expect("a stream"));
    within(pair.near.open_bi()).await.expect("there is room again");
}

#[tokio::test]
async fn controllers_open_many_streams_both_ways() {
    let cluster = testing::cluster();
    let server = server_with(&cluster.controller, QuicOptions::default());
    let from = client(&cluster.controller_tls(ControllerId(2)));
    let how = Connect::Mesh(ExpectServer::AnyController);
    let near = within(from.connect(&server.local_addr(), ALPN_PEER, how)).await.expect("a controller");
    let far = within(server.accept()).await.expect("the server is up");
    let mut open = Vec::new();
    for _ in 0..500 {
        open.push(within(near.open_bi()).await.expect("a stream"));
        open.push(within(far.open_bi()).await.expect("a stream"));
    }
    drop(open);
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_hold_up_the_rest() {
    let pair = pair().await;
    // As many requests as an agent answers at once; users have stopped reading every one of the answers.
    let mut requests = Vec::new();
    for _ in 0..64 {
        let (mut ask, unread) = within(pair.far.open_bi()).await.expect("a gateway may ask");
        ask.write_all(b"?").await.expect("sent");
        let (answer, _) = within(pair.near.accept_bi()).await.expect("asked");
        requests.push((ask, unread, answer));
    }
    let fill = requests.iter_mut().map(|(_, _, answer)| async {
        loop {
            answer.write_all(&[0; 64 << 10]).await.expect("the connection lives");
        }
    });
    let filling = futures_util::future::join_all(fill.map(stalls::<_>));
    assert!(filling.await.into_iter().all(|stalled| stalled), "what nobody reads must come to a halt");
    echo(&pair.near, &pair.far).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_buffered_for() {
    let pair = pair().await;
    let (mut send, _recv) = pair.near.open_bi().await.expect("a stream");
    let mut sent = 0usize;
    let block = vec![0; 64 << 10];
    loop {
        let mut written = 0;
        if stalls(async { written = send.write(&block).await.expect("sent") }).await {
            break;
        }
        sent += written;
        assert!(sent < 4 << 20, "an unread stream is not held back");
    }
    // Neither other streams nor other connections wait for it.
    let _unread = within(pair.far.accept_bi()).await.expect("it is open");
    echo(&pair.near, &pair.far).await;
    let other = client(&pair.cluster.host_tls(HostId::from_u128(5)));
    let near = dial_agent(&other, &pair.server).await;
    let far = within(pair.server.accept()).await.expect("the server is up");
    echo(&near, &far).await;
}

#[tokio::test]
async fn datagrams_that_are_not_quic_are_ignored() {
    let pair = pair().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = pair.server.local_addr();
    for size in [0usize, 1, 20, 600, 1200, 1400] {
        for byte in [0x00, 0x40, 0xc0, 0xff] {
            stranger.send_to(&vec![byte; size], &address).expect("loopback takes it");
        }
    }
    echo(&pair.near, &pair.far).await;
}

/// The first datagram of a genuine client's handshake.
async fn first_datagram() -> Vec<u8> {
    let cluster = testing::cluster();
    let from = client(&cluster.host);
    let trap = tokio::net::UdpSocket::bind(crate::support::loopback()).await.expect("a free port");
    let address = trap.local_addr().expect("bound").to_string();
    let mut datagram = vec![0; 2048];
    let how = Connect::Mesh(ExpectServer::AnyController);
    tokio::select! {
        _ = from.connect(&address, ALPN_AGENT, how) => panic!("nobody answers"),
        size = trap.recv(&mut datagram) => datagram.truncate(size.expect("loopback works")),
    }
    datagram
}

#[tokio::test]
async fn strangers_that_never_finish_do_not_hold_up_others() {
    let cluster = testing::cluster();
    let options = QuicOptions {
        max_handshakes: 8,
        handshake_timeout: Duration::from_millis(500),
        ..QuicOptions::default()
    };
    let server = server_with(&cluster.controller, options);
    for _ in 0..20 {
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        stranger.send_to(&first_datagram().await, server.local_addr()).expect("loopback takes it");
    }
    // From the fifth on they were asked to prove their address, so slots are left for who can.
    let from = client(&cluster.host);
    let near = dial_agent(&from, &server).await;
    let far = within(server.accept()).await.expect("the server is up");
    echo(&near, &far).await;
    within(async {
        while !server.rejections().counts().contains_key("handshake_timeout") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_crowd_gets_in_although_few_handshakes_run_at_once() {
    const CROWD: u128 = 60;
    let cluster = testing::cluster();
    let options = QuicOptions { max_handshakes: 4, accept_queue: 2, ..QuicOptions::default() };
    let server = server_with(&cluster.controller, options);
    let mut dialling = tokio::task::JoinSet::new();
    for number in 0..CROWD {
        let tls = cluster.host_tls(HostId::from_u128(number));
        let address = server.local_addr();
        dialling.spawn(async move {
            let options = QuicOptions { connect_timeout: Duration::from_secs(20), ..QuicOptions::default() };
            let from = QuicNetwork::client_with(crate::support::loopback(), Some(tls), options)
                .expect("a free port");
            let how = Connect::Mesh(ExpectServer::AnyController);
            let near = from.connect(&address, ALPN_AGENT, how).await.expect("room for all in time");
            (from, near)
        });
    }
    let mut hosts = std::collections::BTreeSet::new();
    while hosts.len() < CROWD as usize {
        hosts.extend(within(server.accept()).await.expect("the server is up").peer());
    }
    assert_eq!(within(dialling.join_all()).await.len(), CROWD as usize);
}

#[tokio::test]
async fn a_vanished_peer_is_lost_after_its_idle_time() {
    let cluster = testing::cluster();
    let quick = QuicOptions {
        agent_idle: Duration::from_millis(400),
        agent_keep_alive: Duration::from_millis(100),
        connect_timeout: Duration::from_millis(500),
        ..QuicOptions::default()
    };
    let server = server_with(&cluster.controller, quick.clone());
    // Packets go through a relay that can be taken away, as a network can.
    let relay = tokio::net::UdpSocket::bind(crate::support::loopback()).await.expect("a free port");
    let address = relay.local_addr().expect("bound").to_string();
    let upstream: std::net::SocketAddr = server.local_addr().parse().expect("an address");
    let relaying = tokio::spawn(async move {
        let mut buffer = vec![0; 2048];
        let mut downstream = None;
        loop {
            let (size, from) = relay.recv_from(&mut buffer).await.expect("loopback works");
            if from != upstream {
                downstream = Some(from);
            }
            let to = if from == upstream { downstream } else { Some(upstream) };
            if let Some(to) = to {
                relay.send_to(&buffer[..size], to).await.expect("loopback works");
            }
        }
    });
    let from = QuicNetwork::client_with(crate::support::loopback(), Some(cluster.host.clone()), quick)
        .expect("a free port");
    let how = Connect::Mesh(ExpectServer::AnyController);
    let near = within(from.connect(&address, ALPN_AGENT, how)).await.expect("through the relay");
    let far = within(server.accept()).await.expect("the server is up");
    echo(&near, &far).await;

    relaying.abort();
    for end in [&near, &far] {
        let closed = end_of(end).await;
        assert_eq!(closed.by, ClosedBy::Lost, "{closed}");
    }
    let error = within(from.connect(&address, ALPN_AGENT, how)).await.expect_err("nobody there");
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn newcomers_are_few_at_a_time() {
    let cluster = testing::cluster();
    let options = QuicOptions { max_newcomers: 3, ..QuicOptions::default() };
    let server = server_with(&cluster.controller, options);
    let nobody = QuicNetwork::client(crate::support::loopback(), None).expect("a free port");
    let ca = cluster.authority.fingerprint();
    let address = server.local_addr();
    let dial = || async {
        within(nobody.connect(&address, ALPN_ENROLL, Connect::Enroll(&ca))).await.expect("TLS is fine")
    };
    let mut enrolling = Vec::new();
    for _ in 0..3 {
        enrolling.push((dial().await, within(server.accept()).await.expect("the server is up")));
    }
    let closed = end_of(&dial().await).await;
    assert_eq!(closed.code, CloseCode::Flood);
    // Members are not kept out by a crowd of newcomers.
    let from = client(&cluster.host);
    let near = dial_agent(&from, &server).await;
    let far = within(server.accept()).await.expect("the server is up");
    echo(&near, &far).await;

    drop(enrolling.pop());
    let near = dial().await;
    let far = within(server.accept()).await.expect("the server is up");
    echo(&near, &far).await;
}

/// Serves in a runtime of its own until told to stop, then vanishes without a word, as with `kill -9`.
fn serve_and_vanish(
    tls: omni_certs::MeshTls,
    address: std::net::SocketAddr,
) -> (String, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (bound, binding) = std::sync::mpsc::channel();
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = runtime.block_on(async {
            let server = QuicNetwork::bind(address, tls, QuicOptions::default()).expect("the port is free");
            bound.send(server.local_addr()).expect("the test waits");
            stopped.await.ok();
            server
        });
        // The runtime goes first, so nothing is left that could say goodbye.
        drop(runtime);
        drop(server);
    });
    (binding.recv().expect("it binds"), stop, process)
}

#[tokio::test]
async fn peers_of_a_killed_process_hear_of_it_from_the_next_one() {
    let cluster = testing::cluster();
    let loopback = crate::support::loopback();
    let (address, stop, process) = serve_and_vanish(cluster.controller.clone(), loopback);
    // Far longer than the test's patience: only the next process can tell.
    let slow = QuicOptions { agent_idle: Duration::from_secs(3600), ..QuicOptions::default() };
    let from = QuicNetwork::client_with(loopback, Some(cluster.host.clone()), slow).expect("a free port");
    let how = Connect::Mesh(ExpectServer::AnyController);
    let near = within(from.connect(&address, ALPN_AGENT, how)).await.expect("it serves");
    stop.send(()).expect("it listens");
    process.join().expect("it vanishes");

    let bound = address.parse().expect("an address");
    let (_, stop, process) = serve_and_vanish(cluster.controller.clone(), bound);
    let (mut send, _recv) = near.open_bi().await.expect("the client has noticed nothing yet");
    send.write_all(b"are you there?").await.expect("sent");
    let closed = end_of(&near).await;
    assert_eq!((closed.by, closed.reason.as_str()), (ClosedBy::Lost, "the other side has restarted"));
    stop.send(()).expect("it listens");
    process.join().expect("it vanishes");
}
