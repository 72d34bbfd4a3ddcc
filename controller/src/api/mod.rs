//! The HTTP API: REST and WebSockets under `/api/v1`, the dashboard, and what Prometheus asks for.
//!
//! ```text
//! request ─▶ sisters.rs pages of this cluster's other controllers may call too
//!         ─▶ shell.rs   id, panic, load, deadline, and every error turned into a problem document
//!         ─▶ guard.rs   who calls (token, session, pass), may they (access.rs: one table), are the parameters known
//!         ─▶ a handler in the noun's file: extract, call app::<noun>, answer
//! ```
//!
//! Handlers decide nothing. Only [`error`] knows status codes, only [`access`] knows roles. To add a route:
//! write the handler in its noun's file, list it in that file's `routes`, give it a line in `access.rs`; the
//! tests say when one of the three is missing, and `openapi.json` shows the result.

mod access;
mod alerts;
mod answer;
mod apps;
mod audit;
mod backups;
mod builds;
mod cluster;
mod containers;
mod controllers;
mod cookies;
mod environments;
mod error;
mod events;
mod exec;
mod extract;
mod guard;
mod hosts;
mod images;
mod logs;
mod metrics;
mod moves;
mod oidc;
mod openapi;
mod pages;
mod probes;
mod projects;
mod prometheus;
mod repositories;
mod router;
mod secrets;
mod sessions;
mod shell;
mod sisters;
mod socket;
mod systems;
mod throttle;
mod tokens;
mod users;
mod who;

#[cfg(test)]
mod tests;

pub use openapi::document as openapi;
pub use router::{ApiOptions, router};

use crate::app::App;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What every handler shares.
pub(crate) struct Api {
    app: Arc<App>,
    options: ApiOptions,
    throttle: throttle::Throttle<std::net::IpAddr>,
    sign_ins: throttle::SignIns,
    /// Goes into the digests of requests, which lie in the state and would otherwise tell a guessed password from others.
    digest_key: [u8; 32],
    parameters: guard::Parameters,
    /// Requests being worked on.
    in_flight: Arc<Semaphore>,
    /// Open WebSockets.
    sockets: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Handed to every handler.
pub(crate) type Shared = axum::extract::State<Arc<Api>>;
