//! Controllers made of a few routes, behind the cluster's real TLS.

use axum::Json;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use omni_certs::testing::{TestCluster, cluster};
use omni_certs::{Secret, TokenKind, TokenText};
use omni_common::api::v1::{Liveness, Problem};
use omni_common::ids::TokenId;
use omni_sdk::{Address, Client, Options};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// A cluster whose controllers are routers.
pub(crate) struct Fake {
    pub(crate) cluster: TestCluster,
    pub(crate) token: TokenText,
}

/// One controller; gone when dropped.
pub(crate) struct Controller {
    pub(crate) address: Address,
    handle: Handle<SocketAddr>,
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let cluster = cluster();
        let secret = Secret::generate().expect("the random source works");
        let ca = cluster.authority.fingerprint();
        let token = TokenText::new(TokenKind::Api, TokenId::from_u128(7), &secret, ca);
        Self { cluster, token }
    }

    /// Serves `router` at a free port.
    pub(crate) fn controller(&self, router: Router) -> Controller {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let address = format!("127.0.0.1:{}", listener.local_addr().expect("bound").port());
        let tls = RustlsConfig::from_config(Arc::new(self.cluster.controller.api_server_config()));
        let handle = Handle::new();
        let server = from_tcp_rustls(listener, tls).expect("a listener").handle(handle.clone());
        tokio::spawn(server.serve(router.into_make_service()));
        Controller { address: address.parse().expect("an address"), handle }
    }

    /// A client of these controllers, in this order.
    pub(crate) fn client(&self, addresses: &[&Address]) -> Client {
        let options = Options { timeout: Duration::from_secs(20), ..Options::default() };
        let addresses = addresses.iter().map(|&address| address.clone()).collect();
        Client::new(addresses, &self.token, options).expect("a client")
    }
}

/// An address that refuses connections.
pub(crate) fn nobody() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    address.parse().expect("an address")
}

/// A problem document as the API sends it.
pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: "a title".to_owned(),
        status: status.as_u16(),
        detail: Some(detail.to_owned()),
        instance: None,
        code: code.to_owned(),
        request_id: Some("01J".to_owned()),
        errors: Vec::new(),
    };
    let json = HeaderValue::from_static("application/problem+json");
    (status, [(header::CONTENT_TYPE, json)], serde_json::to_string(&problem).expect("plain")).into_response()
}

/// A body that any read may have.
pub(crate) fn alive() -> Json<Liveness> {
    Json(Liveness { ok: true })
}
