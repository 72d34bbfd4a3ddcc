//! `omni-controller`: one member of the Raft group that runs the platform.
//!
//! ```text
//! api ─▶ app ─▶ coordinator ─▶ raft ─▶ state::apply ─▶ store ─▶ gateways, reconcilers, watchers
//!                                                        ▲
//! agents ─▶ ingest ─▶ liveness, observed ── transitions ─┘
//! ```

pub mod api;
pub mod app;
pub mod backup;
#[cfg(feature = "bench")]
pub mod bench_client;
pub mod config;
pub mod data_dir;
pub mod metrics;
pub mod raft;
pub mod recovery;
pub mod rollout;
pub mod run;
pub mod service;
pub mod setup;
pub mod state;
pub mod store;

pub(crate) mod coordinator;
pub(crate) mod ingest;
pub(crate) mod links;
pub(crate) mod mesh;
pub(crate) mod peer;
pub(crate) mod reconcilers;
