//! Who gets in, who does not, and what each of them is told.

use crate::support::{client, dial_agent, echo, end_of, loopback, pair, server, within};
use omni_certs::testing::{self, CONTROLLER, HOST, TestCluster};
use omni_certs::{ExpectServer, Identity, LeafInfo, MeshTls, Role};
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL, ALPN_PEER, ALPN_RAFT, CloseCode};
use omni_transport::{ClosedBy, Connect, ConnectError, Network, QuicNetwork};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_host_and_a_controller_know_each_other() {
    let pair = pair().await;
    assert_eq!(pair.near.peer(), Some(Identity::controller(pair.cluster.cluster, CONTROLLER)));
    assert_eq!(pair.far.peer(), Some(Identity::host(pair.cluster.cluster, HOST)));
    assert_eq!(pair.far.peer_leaf().map(|leaf| leaf.serial), Some(pair.cluster.host.leaf().serial));
    assert_eq!((pair.near.alpn(), pair.far.alpn()), (ALPN_AGENT, ALPN_AGENT));
    echo(&pair.near, &pair.far).await;
    echo(&pair.far, &pair.near).await;

    pair.far.close(CloseCode::Superseded, "a newer session took over");
    let closed = end_of(&pair.near).await;
    assert_eq!((closed.code, closed.by), (CloseCode::Superseded, ClosedBy::Peer));
    assert_eq!(closed.reason, "a newer session took over");
    let here = end_of(&pair.far).await;
    assert_eq!((here.code, here.by), (CloseCode::Superseded, ClosedBy::Local));
    assert_eq!(pair.server.rejections().counts().get("superseded"), Some(&1));
    assert!(pair.client.rejections().counts().is_empty());
}

#[tokio::test]
async fn a_newcomer_pins_the_root_and_shows_no_certificate() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let nobody = QuicNetwork::client(loopback(), None).expect("a free port");
    let ca = cluster.authority.fingerprint();
    let near = within(nobody.connect(&server.local_addr(), ALPN_ENROLL, Connect::Enroll(&ca)))
        .await
        .expect("the pinned root answers");
    let far = within(server.accept()).await.expect("the server is up");
    assert_eq!(near.peer().map(|peer| peer.role), Some(Role::Controller(CONTROLLER)));
    assert_eq!(far.peer(), None);
    echo(&near, &far).await;

    let mesh = Connect::Mesh(ExpectServer::AnyController);
    let refused = nobody.connect(&server.local_addr(), ALPN_AGENT, mesh).await;
    assert!(matches!(refused, Err(ConnectError::NoIdentity)));
    nobody.set_tls(cluster.host.clone());
    dial_agent(&nobody, &server).await;
    assert_eq!(
        within(server.accept()).await.and_then(|far| far.peer()).map(|peer| peer.role),
        Some(Role::Host(HOST))
    );
}

#[tokio::test]
async fn another_clusters_root_does_not_match_the_pin() {
    let server = server(&testing::cluster().controller);
    let nobody = QuicNetwork::client(loopback(), None).expect("a free port");
    let other = testing::cluster().authority.fingerprint();
    let error = within(nobody.connect(&server.local_addr(), ALPN_ENROLL, Connect::Enroll(&other)))
        .await
        .expect_err("another cluster");
    assert!(error.to_string().contains("belongs to another cluster"), "{error}");
}

#[tokio::test]
async fn every_wrong_role_is_turned_away_by_name() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let second = cluster.controller_tls(ControllerId(2));
    let wrong: [(&MeshTls, &'static [u8]); 5] = [
        (&cluster.host, ALPN_RAFT),
        (&cluster.host, ALPN_PEER),
        (&cluster.host, ALPN_ENROLL),
        (&second, ALPN_AGENT),
        (&second, ALPN_ENROLL),
    ];
    for (tls, alpn) in wrong {
        let from = client(tls);
        let how = Connect::Mesh(ExpectServer::AnyController);
        let near = within(from.connect(&server.local_addr(), alpn, how)).await.expect("TLS itself is fine");
        let closed = end_of(&near).await;
        assert_eq!((closed.code, closed.by), (CloseCode::WrongRole, ClosedBy::Peer), "{closed}");
    }
    assert_eq!(server.rejections().counts().get("wrong_role"), Some(&5));

    // Nobody of them was handed out: the next one is the right one.
    let right = client(&second);
    let how = Connect::Mesh(ExpectServer::Controller(CONTROLLER));
    let near = within(right.connect(&server.local_addr(), ALPN_RAFT, how)).await.expect("a controller");
    let far = within(server.accept()).await.expect("the server is up");
    assert_eq!(far.peer().map(|peer| peer.role), Some(Role::Controller(ControllerId(2))));
    echo(&near, &far).await;
}

#[tokio::test]
async fn an_agent_protocol_without_a_certificate_is_the_wrong_role() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let nobody = QuicNetwork::client(loopback(), None).expect("a free port");
    let ca = cluster.authority.fingerprint();
    let near = within(nobody.connect(&server.local_addr(), ALPN_AGENT, Connect::Enroll(&ca)))
        .await
        .expect("TLS itself is fine");
    assert_eq!(end_of(&near).await.code, CloseCode::WrongRole);
}

/// Dials with a certificate that the server must refuse, and returns what the client is told.
async fn refused(server: &QuicNetwork, tls: &MeshTls) -> omni_transport::Closed {
    let before = server.rejections().counts().get("handshake").copied().unwrap_or(0);
    let from = client(tls);
    let how = Connect::Mesh(ExpectServer::AnyController);
    let closed = match within(from.connect(&server.local_addr(), ALPN_AGENT, how)).await {
        // The usual case in TLS 1.3: the client believes to be in before the server has judged it.
        Ok(near) => end_of(&near).await,
        Err(ConnectError::Handshake { closed, .. }) => closed,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(closed.by, ClosedBy::Peer);
    assert_eq!(server.rejections().counts().get("handshake"), Some(&(before + 1)));
    closed
}

/// A member of `cluster` that dials into it but whose own trust is `tls`'s: lets a client with a bad
/// certificate get as far as the server's judgement.
fn issue(cluster: &TestCluster, now: omni_common::clock::Time, life: Duration) -> MeshTls {
    let identity = Identity::host(cluster.cluster, HOST);
    let (key, chain) = testing::credentials(&cluster.authority, identity, now, life);
    MeshTls::new(&key, &chain).expect("loads whatever the clock says")
}

#[tokio::test]
async fn certificates_out_of_their_time_blame_the_clock_on_both_sides() {
    let cluster = testing::cluster();
    let now = SystemClock.now();
    let good = server(&cluster.controller);
    for tls in [issue(&cluster, now.minus(DAY * 2), DAY), issue(&cluster, now.plus(DAY), DAY)] {
        let closed = refused(&good, &tls).await;
        assert_eq!(closed.code, CloseCode::UnknownPeer);
        assert!(closed.reason.contains("clock"), "{closed}");
    }

    let identity = Identity::controller(cluster.cluster, CONTROLLER);
    for issued in [now.minus(DAY * 2), now.plus(DAY)] {
        let (key, chain) = testing::credentials(&cluster.authority, identity, issued, DAY);
        let stale = server(&MeshTls::new(&key, &chain).expect("loads"));
        let ca = cluster.authority.fingerprint();
        let from = client(&cluster.host);
        let address = stale.local_addr();
        let member = from.connect(&address, ALPN_AGENT, Connect::Mesh(ExpectServer::AnyController));
        let newcomer = from.connect(&address, ALPN_ENROLL, Connect::Enroll(&ca));
        for attempt in [within(member).await, within(newcomer).await] {
            let error = attempt.expect_err("the server's certificate is out of its time");
            assert!(error.to_string().contains("clock"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_foreign_cluster_is_refused_by_both_sides() {
    let ours = testing::cluster();
    let theirs = testing::cluster();
    let server = server(&ours.controller);
    let from = client(&theirs.host);
    let how = Connect::Mesh(ExpectServer::AnyController);
    let error = within(from.connect(&server.local_addr(), ALPN_AGENT, how)).await.expect_err("foreign");
    assert!(
        matches!(&error, ConnectError::Handshake { closed, .. } if closed.by == ClosedBy::Local),
        "{error}"
    );
    within(async {
        // The server hears of it in its own time.
        while !server.rejections().counts().contains_key("handshake") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn policy_cuts_off_at_the_next_handshake_and_only_the_revoked() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let banned = cluster.host_tls(HostId::from_u128(66));
    let banned_id = banned.identity();
    let before = client(&banned);
    let early = dial_agent(&before, &server).await;
    let far = within(server.accept()).await.expect("the server is up");
    cluster.controller.set_policy(Arc::new(move |leaf: &LeafInfo| leaf.identity != banned_id));

    let closed = refused(&server, &banned).await;
    assert_eq!(closed.code, CloseCode::Revoked);
    assert_eq!(closed.reason, "our identity has been revoked");
    // The policy is for handshakes: whoever holds a live connection has to cut it.
    echo(&early, &far).await;
    far.close(CloseCode::Revoked, "removed by an operator");
    assert_eq!(end_of(&early).await.code, CloseCode::Revoked);

    let welcome = client(&cluster.host);
    let near = dial_agent(&welcome, &server).await;
    let far = within(server.accept()).await.expect("the server is up");
    echo(&near, &far).await;
}

#[tokio::test]
async fn a_client_notices_that_another_server_answers() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let from = client(&cluster.host);
    for expect in [ExpectServer::Controller(ControllerId(9)), ExpectServer::Host(HOST)] {
        let error = within(from.connect(&server.local_addr(), ALPN_AGENT, Connect::Mesh(expect)))
            .await
            .expect_err("somebody else");
        assert!(error.to_string().contains("answered"), "{error}");
    }
}

#[tokio::test]
async fn a_host_cannot_pose_as_a_controller() {
    let cluster = testing::cluster();
    let impostor = server(&cluster.host);
    let ca = cluster.authority.fingerprint();
    let from = client(&cluster.host_tls(HostId::from_u128(3)));
    let attempts =
        [(ALPN_ENROLL, Connect::Enroll(&ca)), (ALPN_AGENT, Connect::Mesh(ExpectServer::AnyController))];
    for (alpn, how) in attempts {
        let error = within(from.connect(&impostor.local_addr(), alpn, how)).await.expect_err("a host");
        assert!(error.to_string().contains("expected a controller"), "{error}");
    }
}

#[tokio::test]
async fn names_resolve_and_bad_addresses_say_so() {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let from = client(&cluster.host);
    let how = Connect::Mesh(ExpectServer::AnyController);
    let port = server.local_addr().rsplit(':').next().expect("host:port").to_owned();
    within(from.connect(&format!("localhost:{port}"), ALPN_AGENT, how)).await.expect("localhost resolves");
    let error = within(from.connect("no port here", ALPN_AGENT, how)).await.expect_err("no address");
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_tells_peers_and_frees_the_port() {
    let pair = pair().await;
    let address = pair.server.local_addr();
    within(pair.server.shutdown(CloseCode::ShuttingDown, "upgrade")).await;
    let closed = end_of(&pair.near).await;
    assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::ShuttingDown, "upgrade"));
    assert!(within(pair.server.accept()).await.is_none());
    let how = Connect::Mesh(ExpectServer::AnyController);
    let error = pair.server.connect("127.0.0.1:9", ALPN_AGENT, how).await.expect_err("shut down");
    assert!(matches!(error, ConnectError::ShutDown), "{error}");

    drop((pair.server, pair.far));
    let address = address.parse().expect("an address");
    let rebound = within(async {
        loop {
            match QuicNetwork::bind(address, pair.cluster.controller.clone(), Default::default()) {
                Ok(server) => return server,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    dial_agent(&pair.client, &rebound).await;
}
