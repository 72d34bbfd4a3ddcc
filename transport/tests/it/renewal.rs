//! A certificate is replaced while connections are up.

use crate::support::{client, dial_agent, echo, pair, within};
use omni_certs::testing::{self, CONTROLLER, HOST};
use omni_certs::{Error, Identity, lifetimes};
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::HostId;
use omni_transport::Network;

#[tokio::test]
async fn renewal_keeps_connections_and_shows_in_new_ones() {
    let pair = pair().await;
    let old = (pair.cluster.host.leaf().serial, pair.cluster.controller.leaf().serial);
    for (tls, identity) in [
        (&pair.cluster.host, Identity::host(pair.cluster.cluster, HOST)),
        (&pair.cluster.controller, Identity::controller(pair.cluster.cluster, CONTROLLER)),
    ] {
        let (key, chain) =
            testing::credentials(&pair.cluster.authority, identity, SystemClock.now(), lifetimes::HOST);
        tls.replace(&key, &chain).expect("the same member under the same root");
    }
    echo(&pair.near, &pair.far).await;
    assert_eq!(pair.near.peer_leaf().map(|leaf| leaf.serial), Some(old.1.clone()));

    // The same endpoints, without being told, show the new certificates.
    let near = dial_agent(&pair.client, &pair.server).await;
    let far = within(pair.server.accept()).await.expect("the server is up");
    let new =
        (far.peer_leaf().expect("a certificate").serial, near.peer_leaf().expect("a certificate").serial);
    assert_eq!(new, (pair.cluster.host.leaf().serial, pair.cluster.controller.leaf().serial));
    assert!(new.0 != old.0 && new.1 != old.1);
    echo(&near, &far).await;
    echo(&pair.near, &pair.far).await;
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_not_taken_up() {
    let cluster = testing::cluster();
    let foreign = testing::cluster();
    let before = cluster.host.leaf();
    let other = Identity::host(cluster.cluster, HostId::from_u128(8));
    let (key, chain) = testing::credentials(&cluster.authority, other, SystemClock.now(), lifetimes::HOST);
    assert!(matches!(cluster.host.replace(&key, &chain), Err(Error::IdentityChanged { .. })));

    let abroad = Identity::host(foreign.cluster, HOST);
    let (key, chain) = testing::credentials(&foreign.authority, abroad, SystemClock.now(), lifetimes::HOST);
    assert!(matches!(cluster.host.replace(&key, &chain), Err(Error::RootChanged { .. })));
    assert_eq!(cluster.host.leaf(), before);

    let server = crate::support::server(&cluster.controller);
    dial_agent(&client(&cluster.host), &server).await;
}
