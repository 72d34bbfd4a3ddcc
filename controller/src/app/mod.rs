//! The use cases behind the API: one noun a file.
//!
//! ```text
//! api handler ─▶ app::<noun> ─┬─ reads: a frozen State, what is Observed, the Mesh ─▶ a view
//!                             └─ writes: check, mint ids and time, Command ─▶ Propose ─▶ the new view
//! ```
//!
//! This is the only layer that mints ids and reads the clock on behalf of a caller, and it knows nothing of
//! HTTP. What it needs from the rest of the controller is named in [`ports`].

mod access;
pub(crate) mod adoption;
mod agent;
mod alerts;
mod apps;
mod audit;
mod backups;
mod builds;
mod cluster;
mod containers;
mod controllers;
mod cursor;
mod environments;
mod error;
mod events;
mod exec;
mod explain;
mod exposition;
mod external;
mod files;
mod health;
mod hosts;
mod images;
mod locks;
mod logs;
mod logs_merge;
mod metrics;
mod moves;
mod oidc;
mod outline;
mod passes;
mod passwords;
mod policies;
pub mod ports;
mod protection;
mod push;
mod reads;
mod refusals;
pub(crate) mod releases;
mod repositories;
mod restores;
mod scrape;
mod secrets;
mod seen;
mod selectors;
mod sessions;
mod stranded;
mod systems;
mod tokens;
mod users;
mod writes;

#[cfg(test)]
pub(crate) mod testing;

pub use access::{Denied, Principal};
pub use adoption::Taking;
pub use builds::{BuildInputs, BuildOutputs, ImageBuild};
pub use error::AppError;
pub use events::{EventStep, EventTail};
pub use exec::{ExecInputs, ExecOutputs, ExecSession};
pub use exposition::{CONTENT_TYPE as EXPOSITION_TYPE, NAMES as METRIC_NAMES};
pub use logs::{LogStep, LogTail};
pub use metrics::LiveTail;
pub(crate) use oidc::{DeviceStep, UNDER_WAY};
pub use push::{ImagePush, Pushed};
pub use reads::View;
pub use refusals::{Refusals, RefusedCall};
pub use scrape::TargetGroup;
pub use seen::Seen;
pub use sessions::{Began, Visitor};
pub use writes::Call;

use crate::ingest::Releases;
use crate::store::Store;
use omni_catalogue::Catalogue;
use omni_certs::{CaFingerprint, ClusterKey};
use omni_common::clock::Clock;
use omni_common::ids::ControllerId;
use ports::{LinearRead, Mesh, Observe, Propose};
use std::sync::Arc;

/// Renders the process's own metrics in the Prometheus text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything a use case can reach. Cheap to share; made once by `main` and the test harness.
pub struct App {
    /// Which controller this is.
    pub controller: ControllerId,
    /// The cluster's root, named in the tokens handed out.
    pub ca: CaFingerprint,
    /// This controller's copy of the replicated state.
    pub store: Store,
    /// The way into the Raft log.
    pub proposer: Arc<dyn Propose>,
    /// Reads that see every acknowledged write.
    pub reads: Arc<dyn LinearRead>,
    /// What hosts report.
    pub observed: Arc<dyn Observe>,
    /// Requests to hosts and other controllers.
    pub mesh: Arc<dyn Mesh>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The process's own metrics.
    pub metrics: RenderMetrics,
    /// Seals what is secret in the replicated state.
    pub cluster_key: Arc<ClusterKey>,
    /// What the platform consists of.
    pub catalogue: Arc<Catalogue>,
    /// Refused calls on their way into the audit trail.
    pub refusals: Refusals,
    /// What releases hold for backups.
    pub(crate) releases: Arc<Releases>,
    /// What signing in needs beyond the state.
    pub people: People,
}

/// What signing in needs beyond the state. Cheap to clone.
#[derive(Clone, Default)]
pub struct People {
    /// Hashes passwords.
    pub(crate) passwords: passwords::Passwords,
    /// Sessions that were used lately.
    pub seen: Seen,
    /// The OpenID provider as it was last asked.
    pub(crate) providers: oidc::Providers,
}
