//! Brings the host's Docker engine to what is desired, and keeps it there.
//!
//! ```text
//! workloads/depot.rs ──wishes──▶ plan.rs ──steps──▶ run/ ──▶ Docker Engine
//!                                   ▲  └─verdicts──▶ reports ──▶ session
//!        inventory.rs ──containers──┘
//! ```
//!
//! `holds.rs` is where a backup says what must not be started for the moment. Pure: `names` (labels), `order` (what stands on what), `definition`, `hosting`, `mounts` (a service as the engine is
//! told it), `phase` (how a container and an allocation are doing), `plan`, `steps`. Only `run/` does anything, and it
//! decides nothing.
//!
//! What never happens here: a container, network or volume without this host's label is never changed or removed, unless a
//! release names the container as one to be taken over; a volume
//! is never removed; an exclusive container is never started without a valid lease; nothing that runs is stopped for a
//! release whose images and files are not on the host.

pub mod definition;
pub mod holds;
mod hosting;
pub mod mounts;
pub mod names;
pub mod order;
pub mod phase;
pub mod plan;
mod run;
pub mod steps;
#[cfg(test)]
mod tests;

pub use holds::Holds;
pub use plan::Dirs;
pub(crate) use run::{Needed, api_of, ensure_image, last_words, volume_request, whose};

use crate::docker::Handle;
use crate::images::{Images, Uplink};
use crate::session::{LeaseState, Monotonic};
use crate::workloads::{Depot, Reports, Workloads};
use async_trait::async_trait;
use omni_common::clock::Clock;
use omni_common::ids::HostId;
use run::{Leased, Shared};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Runs allocations on this machine.
pub struct Converger {
    shared: Arc<Shared>,
}

impl Converger {
    /// On this engine, with images also from other hosts, and with files in these folders.
    pub fn new(
        host: HostId,
        depot: Depot,
        docker: Handle,
        images: Arc<Images>,
        dirs: Dirs,
        holds: Arc<Holds>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        for (id, labels) in depot.adopted() {
            docker.containers().adopt(&id, labels);
        }
        let shared = Shared {
            host: host.to_string(),
            depot,
            reports: Reports::new(),
            docker,
            images,
            dirs,
            holds,
            clock,
            memory: Default::default(),
            learned: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

#[async_trait]
impl Workloads for Converger {
    fn depot(&self) -> &Depot {
        &self.shared.depot
    }

    fn reports(&self) -> &Reports {
        &self.shared.reports
    }

    fn uplink(&self) -> &Uplink {
        self.shared.images.uplink()
    }

    async fn run(&self, lease: watch::Receiver<LeaseState>, clock: Monotonic) {
        let leased = Leased { state: lease, clock };
        tokio::join!(
            self.shared.depot.keep(),
            run::follow(self.shared.clone(), leased.clone()),
            run::fence(self.shared.clone(), leased),
        );
    }
}
