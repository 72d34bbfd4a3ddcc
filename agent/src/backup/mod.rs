//! Backups, restores, drills and the care of repositories on this host.
//!
//! ```text
//! runs/ ──order──▶ Backups (here) ──▶ take/      what is read, and how: files, dumps of databases, a command's output
//!                                     restore/   into a folder, in place, or into scratch space to be probed
//!                                     upkeep.rs  copies, checks, retention
//!                                     controllers.rs  the controllers' own state
//! executors/ ─FilesOrder─▶ Browser (browse.rs)  what is in a folder of a snapshot
//! a request ──────▶ locks.rs  who holds a repository, and which locks go
//!                        ├── quiesce.rs  services rest meanwhile ─── debts.rs  and whatever happens, they go on
//!                        ├── seam.rs     the container engine: engine.rs, or one made of folders in tests
//!                        └── omni-restic the program that keeps the data
//! ```
//!
//! Pure: `place`, `take::methods`, `facts`, and what is planned in `quiesce`, `upkeep` and `restore`.
//!
//! What never happens here: a change of a service that is not written down first; a dump that failed and looks like a
//! backup; a password in an argument, a file, a log line or an outcome; data that was half restored and is started on.

mod browse;
mod context;
mod controllers;
mod debts;
mod engine;
mod facts;
mod failure;
mod locks;
mod place;
mod program;
mod quiesce;
mod repository;
mod restore;
mod seam;
mod take;
#[cfg(test)]
mod tests;
mod upkeep;

pub use browse::Browser;
pub use controllers::{FromGateway, StateSource};
pub use debts::{Change, Debt, Debts};
pub use engine::RealDocker;
pub use failure::Failure;
pub use locks::Locksmith;
pub use seam::{Docker, Ended, Exec, Program, Volume, Wire};

use crate::executors::converge::Dirs;
use crate::runs::{Doer, Done, Errand};
use async_trait::async_trait;
use context::Context;
use omni_common::clock::Clock;
use omni_common::domain::backup::{RunOrder, Task};
use omni_common::ids::RunId;
use omni_restic::Restic;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What backups are done with.
pub struct Shared {
    /// The container engine.
    pub docker: Arc<dyn Docker>,
    /// The program that keeps the data, where it is there and new enough.
    pub restic: Option<Restic>,
    /// What has to be undone.
    pub debts: Debts,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// This host's id, as on its containers.
    pub host: String,
    /// A private folder for short-lived files.
    pub work: PathBuf,
    /// Where files of apps lie.
    pub dirs: Dirs,
    /// Who hands over the controllers' state.
    states: Arc<dyn StateSource>,
    /// Runs that have made containers or volumes of their own.
    scratch: Mutex<BTreeSet<RunId>>,
    /// An earlier process may have left such things behind, and there was no engine to ask.
    leftovers: AtomicBool,
}

impl Shared {
    /// With these.
    pub fn new(
        docker: Arc<dyn Docker>,
        restic: Option<Restic>,
        debts: Debts,
        clock: Arc<dyn Clock>,
        host: String,
        work: PathBuf,
        dirs: Dirs,
    ) -> Self {
        let (scratch, leftovers) = (Mutex::default(), AtomicBool::new(false));
        let states = Arc::new(controllers::Nobody);
        Self { docker, restic, debts, clock, host, work, dirs, states, scratch, leftovers }
    }

    /// With somebody who hands over the controllers' state.
    #[must_use]
    pub fn with_states(self, states: Arc<dyn StateSource>) -> Self {
        Self { states, ..self }
    }

    fn scratch(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the runs of a real host.
pub struct Backups {
    shared: Shared,
}

impl Backups {
    /// With these.
    pub fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Doer for Backups {
    fn able(&self) -> bool {
        self.shared.restic.is_some()
    }

    async fn perform(&self, order: &RunOrder, errand: &Errand) -> Done {
        let context = Context { shared: &self.shared, run: order.id, errand };
        match &order.task {
            Task::Backup(task) => take::backup(&context, task).await,
            Task::Copy(task) => upkeep::copy(&context, task).await,
            Task::Check(task) => upkeep::check(&context, task).await,
            Task::Prune(task) => upkeep::prune(&context, task).await,
            Task::Restore(task) => restore::restore(&context, task).await,
            Task::Controllers(task) => controllers::controllers(&context, task).await,
            Task::Ready(task) => restore::ready(&context, task).await,
        }
    }

    async fn tidy(&self, run: Option<RunId>) -> Result<(), String> {
        let paid = quiesce::pay(&self.shared, run).await;
        let removed = restore::remove_scratch(&self.shared, run).await;
        paid.and(removed)
    }
}
