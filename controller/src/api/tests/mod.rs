//! The router over an [`App`](crate::app::App) in memory, with the real `apply`.

mod adoption;
mod alerts;
mod apps;
mod backups;
mod builds;
mod files;
mod hosts;
mod idempotency;
mod locks;
mod moves;
mod oidc;
mod openapi;
mod people;
mod people_sockets;
mod problems;
mod prometheus;
mod pushes;
mod reads;
mod roles;
mod sisters;
mod sockets;
mod tokens;

use super::{ApiOptions, router};
use crate::app::testing::Bench;
use crate::state::ApiRole;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use omni_common::api::v1::{PROBLEM_JSON, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Where all callers in tests come from.
const FROM: &str = "192.0.2.7:40000";

/// A router and what it stands on.
struct Site {
    bench: Bench,
    router: Router,
    stop: CancellationToken,
}

/// An answer.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn routes(bench: &Bench, options: ApiOptions, stop: &CancellationToken) -> Router {
    let from: SocketAddr = FROM.parse().expect("an address");
    router(bench.app.clone(), options, stop.clone()).layer(axum::Extension(ConnectInfo(from)))
}

impl Site {
    fn new() -> Self {
        Self::with(ApiOptions::default())
    }

    fn with(options: ApiOptions) -> Self {
        let bench = Bench::new();
        let stop = CancellationToken::new();
        Self { router: routes(&bench, options, &stop), bench, stop }
    }

    /// From here on, calls that failed before do not count.
    fn forgive(&mut self) {
        self.router = routes(&self.bench, ApiOptions::default(), &self.stop);
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.expect("a router never fails");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.expect("the body is in memory");
        Reply { status: parts.status, headers: parts.headers, body: body.to_vec() }
    }

    /// A call with a token of `role`.
    async fn call(&self, method: Method, path: &str, role: ApiRole, body: Option<Value>) -> Reply {
        self.send(request(method, path, Some(&Bench::token(role)), body)).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, ApiRole::Admin, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, ApiRole::Admin, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, ApiRole::Admin, None).await
    }
}

impl Reply {
    /// The body as JSON of exactly that type: nothing missing, nothing beyond it.
    fn json<T: Serialize + DeserializeOwned>(&self) -> T {
        let value: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        let typed: T =
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:#}"));
        let again = serde_json::to_value(&typed).expect("plain values");
        assert_eq!(again, value, "the body is not what its type says");
        typed
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: impl header::AsHeaderName) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().expect("visible"));
        value.unwrap_or_default()
    }

    /// Checks that this went well and gives the body.
    fn ok<T: Serialize + DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self.json()
    }

    /// Checks that this is a problem document with that status and code.
    fn problem(&self, status: u16, code: &str) -> Problem {
        assert_eq!(self.header(header::CONTENT_TYPE), PROBLEM_JSON, "{}: {}", self.status, self.text());
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem document");
        assert_eq!((self.status.as_u16(), problem.code.as_str()), (status, code), "{problem:?}");
        assert_eq!(problem.status, status);
        assert_eq!(problem.request_id.as_deref(), Some(self.header("x-request-id")));
        problem
    }
}

fn request(method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    match body {
        Some(body) => {
            request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()))
        }
        None => request.body(Body::empty()),
    }
    .expect("a request")
}
