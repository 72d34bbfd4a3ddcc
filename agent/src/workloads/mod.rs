//! What a session needs of whoever runs allocations: the converger of a real host (`executors/converge/`), or the
//! simulated one (`sim/`).
//!
//! ```text
//! gateway ──Desired──▶ Depot ──desired, specifications, files──▶ Workloads::run ──▶ Docker, or a simulation
//!         ──contents─▶ (depot.rs, on disk)                            │
//!         ◀─Allocations── Reports (reports.rs) ◀──what became of it───┘
//! ```
//!
//! The session writes into the depot and reads from the reports, and waits for neither: whether a gateway is there
//! changes nothing about what runs.

mod depot;
mod needs;
mod reports;
#[cfg(test)]
mod tests;

pub use depot::{Depot, Missing, Wish};
pub use needs::contents_of;
pub use reports::{Account, Reports};

use crate::images::Uplink;
use crate::session::{LeaseState, Monotonic};
use async_trait::async_trait;
use tokio::sync::watch;

/// Whoever runs allocations on a host.
#[async_trait]
pub trait Workloads: Send + Sync + 'static {
    /// What is to run.
    fn depot(&self) -> &Depot;

    /// What became of it.
    fn reports(&self) -> &Reports;

    /// Where the way to other hosts is put while a session lasts.
    fn uplink(&self) -> &Uplink;

    /// Brings the one to the other until dropped. Exclusive allocations run only while `lease` is valid by `clock`.
    async fn run(&self, lease: watch::Receiver<LeaseState>, clock: Monotonic);
}
