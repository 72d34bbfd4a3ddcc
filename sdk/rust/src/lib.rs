//! The typed client of omni's HTTP API, used by the `omni` command and by tests.
//!
//! ```text
//! Client ──▶ execute ──▶ Endpoints: several controllers, the last one that answered first
//!    │          │
//!    │          └─ one deadline, rounds over all addresses, jittered pauses; only calls that may be repeated are
//!    └────▶ sockets: logs, events and live metrics take up where they left off at another controller; exec, build and push do not
//! ```
//!
//! A controller is believed when its certificate chains to the cluster's root, whose fingerprint is part of
//! the API token; nothing is sent before that is checked. Writes carry an idempotency key, so a repeated
//! one is applied once.

mod address;
mod apps;
mod backups;
mod build;
mod call;
mod client;
mod duplex;
mod endpoints;
mod error;
mod events;
mod exec;
mod execute;
mod list;
mod live;
mod logs;
mod look;
mod people;
mod push;
mod query;
mod reconnect;
mod routes;
mod secrets;
mod socket;

pub use address::{Address, DEFAULT_PORT, InvalidAddress};
pub use build::{BuildReader, BuildWriter};
pub use client::{Client, Options};
pub use error::{Attempt, Error, Result};
pub use events::{EventItem, EventStream};
pub use exec::{ExecEvent, ExecReader, ExecWriter};
pub use live::LiveStream;
pub use logs::LogStream;
pub use look::shown_root;
pub use push::{PushReader, PushWriter};
