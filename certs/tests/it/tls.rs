//! TLS handshakes in memory. The transport's tests go through the same verifiers over real QUIC.

use omni_certs::testing::{self, CONTROLLER, HOST};
use omni_certs::{Error, ExpectServer, Identity, MeshTls, api_client_config, lifetimes};
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::ControllerId;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::sync::Arc;
use std::time::Duration;

/// Runs a handshake to its end; the error is that of whichever side refuses.
fn handshake(
    client: ClientConfig,
    server: ServerConfig,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("memory");
        server.read_tls(&mut &wire[..]).expect("memory");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("memory");
        client.read_tls(&mut &wire[..]).expect("memory");
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
fn a_pinned_client_reaches_the_api_under_any_name() {
    let cluster = testing::cluster();
    for name in ["localhost", "controller.example.org", "192.0.2.1"] {
        let client = api_client_config(cluster.authority.fingerprint());
        let (client, server) =
            handshake(client, cluster.controller.api_server_config(), name).expect("the pinned root");
        assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert!(server.peer_certificates().is_none());
    }
}

#[test]
fn a_browser_that_trusts_the_root_reaches_the_api_by_name() {
    let cluster = testing::cluster();
    let browser = || {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from(cluster.authority.cert_der().to_vec());
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks them")
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    for name in ["localhost", "127.0.0.1", "::1"] {
        handshake(browser(), cluster.controller.api_server_config(), name).expect("a certified name");
    }
    assert!(handshake(browser(), cluster.controller.api_server_config(), "example.org").is_err());
}

#[test]
fn a_pinned_client_refuses_hosts_other_clusters_and_wrong_clocks() {
    let cluster = testing::cluster();
    let pin = cluster.authority.fingerprint();
    let other = testing::cluster();
    let error = handshake(api_client_config(pin), other.controller.api_server_config(), "localhost")
        .expect_err("another cluster");
    assert!(error.to_string().contains("another cluster"), "{error}");
    let error =
        handshake(api_client_config(pin), cluster.host.api_server_config(), "localhost").expect_err("a host");
    assert!(error.to_string().contains("expected a controller"), "{error}");

    let identity = Identity::controller(cluster.cluster, CONTROLLER);
    let now = SystemClock.now();
    let day = lifetimes::CONTROLLER;
    for (issued, word) in [(now.minus(day * 2), "expired"), (now.plus(day), "not valid yet")] {
        let (key, chain) = testing::credentials(&cluster.authority, identity, issued, day);
        let stale = MeshTls::new(&key, &chain).expect("loads");
        let error = handshake(api_client_config(pin), stale.api_server_config(), "localhost")
            .expect_err("out of its time");
        let text = error.to_string();
        assert!(text.contains("clock") && text.contains(word), "{text}");
    }
}

#[test]
fn a_chain_with_the_pinned_root_beside_a_foreign_leaf_is_refused() {
    let cluster = testing::cluster();
    // Somebody in between shows our root, which is public, with a leaf under his own.
    let identity = Identity::controller(cluster.cluster, CONTROLLER);
    let forger = omni_certs::Authority::create(cluster.cluster, SystemClock.now()).expect("random");
    let (key, mut chain) = testing::credentials(&forger, identity, SystemClock.now(), lifetimes::HOST);
    chain.insert(1, cluster.authority.cert_der().to_vec());
    let forged = MeshTls::new(&key, &chain).expect("consistent in itself");
    let pin = cluster.authority.fingerprint();
    assert!(handshake(api_client_config(pin), forged.api_server_config(), "localhost").is_err());
    assert_ne!(forged.fingerprint(), pin);
}

#[test]
fn nothing_is_resumed() {
    let cluster = testing::cluster();
    let server = Arc::new(cluster.controller.server_config(&[b"omni-agent/1"]));
    let client = Arc::new(cluster.host.client_config(b"omni-agent/1", ExpectServer::AnyController));
    for _ in 0..3 {
        let (client, server) = handshake((*client).clone(), (*server).clone(), "mesh").expect("members");
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(client.tls13_tickets_received(), 0);
    }
}

#[test]
fn keys_and_chains_must_fit() {
    let cluster = testing::cluster();
    let identity = Identity::host(cluster.cluster, HOST);
    let make =
        || testing::credentials(&cluster.authority, identity, SystemClock.now(), Duration::from_secs(60));
    let (key, chain) = make();
    let (other_key, other_chain) = make();
    MeshTls::new(&key, &chain).expect("they fit");
    assert!(matches!(MeshTls::new(&other_key, &chain), Err(Error::KeyMismatch)));
    assert!(matches!(MeshTls::new(b"torn", &chain), Err(Error::ReadKey(_))));
    assert!(matches!(MeshTls::new(&key, &[]), Err(Error::EmptyChain)));
    assert!(MeshTls::new(&key, &chain[..1]).is_err(), "the root is missing");
    let foreign = testing::cluster().authority.cert_der().to_vec();
    assert!(MeshTls::new(&key, &[chain[0].clone(), foreign]).is_err());
    let mut torn = chain.clone();
    torn[0].truncate(100);
    assert!(matches!(MeshTls::new(&key, &torn), Err(Error::ReadCertificate(_))));
    assert_ne!(chain, other_chain);

    let first = cluster.controller_tls(ControllerId(4));
    assert_eq!(first.identity(), Identity::controller(cluster.cluster, ControllerId(4)));
    assert_eq!(first.fingerprint(), cluster.authority.fingerprint());
}
