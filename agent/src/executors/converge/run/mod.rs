//! Does what the plan says. Thin: every decision is in `plan.rs` and `phase.rs`.
//!
//! ```text
//! runner.rs   wakes on every change, plans, hands out steps, keeps what they taught, reports
//!   perform.rs  one step: containers, networks, volumes
//!   pull.rs     one image
//!   files.rs    files of releases, secrets in memory
//!   tail.rs     the last words of a container that failed
//! fence.rs    ends exclusive containers with the lease, whatever the rest is doing
//!   carry.rs    what the agent before this one was promised
//! ```

mod carry;
mod fence;
mod files;
mod perform;
mod pull;
mod runner;
mod tail;

pub(super) use fence::fence;
pub(crate) use perform::{volume_request, whose};
pub(crate) use pull::{Needed, ensure as ensure_image};
pub(crate) use runner::api as api_of;
pub(super) use runner::follow;
pub(crate) use tail::tail as last_words;

use super::holds::Holds;
use super::plan::{Dirs, Memory};
use crate::docker::{DockerError, Handle};
use crate::images::Images;
use crate::session::{LeaseState, Monotonic};
use crate::workloads::{Depot, Reports};
use omni_common::clock::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// What the parts of a converger share.
pub(super) struct Shared {
    pub(super) host: String,
    pub(super) depot: Depot,
    pub(super) reports: Reports,
    pub(super) docker: Handle,
    pub(super) images: Arc<Images>,
    pub(super) dirs: Dirs,
    pub(super) holds: Arc<Holds>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Mutex<Memory>,
    /// Something was learned that may change the plan or a report.
    pub(super) learned: Notify,
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each lesson is one insertion: a panic leaves none half made.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lease, as exclusive work asks for it.
#[derive(Clone)]
pub(super) struct Leased {
    pub(super) state: watch::Receiver<LeaseState>,
    pub(super) clock: Monotonic,
}

impl Leased {
    /// Whether exclusive work may run now.
    fn valid(&self) -> bool {
        is_valid(*self.state.borrow(), self.clock)
    }

    /// Resolves when the answer is no longer this one. Renewals each second wake nobody.
    async fn turned(&mut self, was: bool) {
        let clock = self.clock;
        if self.state.wait_for(|state| is_valid(*state, clock) != was).await.is_err() {
            // The agent is being taken down.
            std::future::pending::<()>().await;
        }
    }
}

fn is_valid(lease: LeaseState, clock: Monotonic) -> bool {
    matches!(lease, LeaseState::Valid { until_ms } if clock.now_ms() < until_ms)
}

/// Why a step did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// One sentence.
    pub(crate) reason: String,
    /// Trying again is not expected to help.
    pub(crate) lasting: bool,
}

impl Fault {
    fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: true }
    }

    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: false }
    }
}

impl From<DockerError> for Fault {
    fn from(error: DockerError) -> Self {
        match &error {
            DockerError::Absent { .. } | DockerError::TimedOut { .. } | DockerError::Conflict(_) => {
                Self::passing(error.to_string())
            }
            _ if error.to_string().contains("no space left on device") => {
                Self::passing(format!("the disk of this host is full: {error}"))
            }
            _ => Self::lasting(error.to_string()),
        }
    }
}
