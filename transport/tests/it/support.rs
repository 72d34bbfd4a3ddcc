//! Endpoints on loopback and shorthand for what the tests do with them.

use omni_certs::testing::{self, TestCluster};
use omni_certs::{ExpectServer, MeshTls};
use omni_common::wire::ALPN_AGENT;
use omni_transport::{
    Closed, Connect, Connection, FrameReader, FrameWriter, Network, QuicNetwork, QuicOptions,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Far longer than anything here takes: a hang fails instead of blocking the run.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn server(tls: &MeshTls) -> Arc<QuicNetwork> {
    server_with(tls, QuicOptions::default())
}

pub(crate) fn server_with(tls: &MeshTls, options: QuicOptions) -> Arc<QuicNetwork> {
    QuicNetwork::bind(loopback(), tls.clone(), options).expect("a free port on loopback")
}

pub(crate) fn client(tls: &MeshTls) -> Arc<QuicNetwork> {
    QuicNetwork::client(loopback(), Some(tls.clone())).expect("a free port on loopback")
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("finishes long before this")
}

/// Dials as an agent.
pub(crate) async fn dial_agent(from: &QuicNetwork, to: &QuicNetwork) -> Connection {
    let how = Connect::Mesh(ExpectServer::AnyController);
    within(from.connect(&to.local_addr(), ALPN_AGENT, how)).await.expect("the server is who was meant")
}

/// A host connected to a controller, both ends.
pub(crate) struct Pair {
    pub(crate) cluster: TestCluster,
    pub(crate) server: Arc<QuicNetwork>,
    /// Kept so that the dialling endpoint lives.
    pub(crate) client: Arc<QuicNetwork>,
    pub(crate) near: Connection,
    pub(crate) far: Connection,
}

pub(crate) async fn pair() -> Pair {
    let cluster = testing::cluster();
    let server = server(&cluster.controller);
    let client = client(&cluster.host);
    let near = dial_agent(&client, &server).await;
    let far = within(server.accept()).await.expect("the server is up");
    Pair { cluster, server, client, near, far }
}

/// Why `connection` ended.
pub(crate) async fn end_of(connection: &Connection) -> Closed {
    within(connection.closed()).await
}

/// Sends a text over a fresh stream and gets it back from the other end.
pub(crate) async fn echo(near: &Connection, far: &Connection) {
    let asking = async {
        let (send, recv) = near.open_bi().await.expect("a stream");
        let mut writer = FrameWriter::<String>::new(send);
        writer.send(&"still here".to_owned()).await.expect("sent");
        writer.finish();
        FrameReader::<String>::new(recv).next().await.expect("answered").expect("one frame")
    };
    let answering = async {
        let (send, recv) = far.accept_bi().await.expect("a stream");
        let text = FrameReader::<String>::new(recv).next().await.expect("asked").expect("one frame");
        let mut writer = FrameWriter::new(send);
        writer.send(&text).await.expect("sent");
        writer.finish();
    };
    let (text, ()) = within(async { tokio::join!(asking, answering) }).await;
    assert_eq!(text, "still here");
}
