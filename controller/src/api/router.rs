//! All routes, and what stands in front of them.

use super::extract::digest_key;
use super::shell::{identify, limit, no_route, panicked, wrong_method};
use super::throttle::{SignIns, Throttle};
use super::{Api, guard, openapi, pages, sisters};
use crate::app::App;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// What an operator decides about the API.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// `/metrics` needs no token.
    pub metrics_public: bool,
    /// Requests worked on at once; more are turned away with 503.
    pub max_requests: usize,
    /// WebSockets open at once; more are turned away with 503.
    pub max_sockets: usize,
}

impl Default for ApiOptions {
    /// Enough for a thousand dashboards, little enough for a small machine.
    fn default() -> Self {
        Self { metrics_public: false, max_requests: 512, max_sockets: 1024 }
    }
}

/// The whole API over `app`. Serve it with connection info, or callers have no address. When `stop` is
/// cancelled, open sockets are closed and their clients told to go elsewhere.
pub fn router(app: Arc<App>, options: ApiOptions, stop: CancellationToken) -> Router {
    let (routes, document) = openapi::routes().split_for_parts();
    let document = openapi::complete(document);
    let api = Arc::new(Api {
        throttle: Throttle::default(),
        sign_ins: SignIns::default(),
        digest_key: digest_key(app.cluster_key.as_bytes()),
        parameters: guard::parameters(&document),
        in_flight: Arc::new(Semaphore::new(options.max_requests)),
        sockets: Arc::new(Semaphore::new(options.max_sockets)),
        options,
        stop,
        app,
    });
    routes
        .merge(pages::routes(&document))
        .route_layer(from_fn_with_state(Arc::clone(&api), guard::guard))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_route)
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&api), limit))
        .layer(from_fn(identify))
        // Outermost, so that a page also reads why a call was refused.
        .layer(from_fn_with_state(Arc::clone(&api), sisters::share))
        .with_state(api)
}
