//! The seam to whoever does runs.

use async_trait::async_trait;
use omni_common::domain::backup::{ItemName, ItemOutcome, Phase, RunOrder, RunProgress, RunState};
use omni_common::ids::RunId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Does runs on a host.
#[async_trait]
pub trait Doer: Send + Sync + 'static {
    /// Whether it can do tasks at all. What an earlier process has left behind is undone even where it cannot.
    fn able(&self) -> bool {
        true
    }

    /// Does a task to its end, which the errand's token brings about soon when it is cancelled.
    async fn perform(&self, order: &RunOrder, errand: &Errand) -> Done;

    /// Undoes what a run has left behind, or what any run has when none is named, as after a death of the agent.
    ///
    /// # Errors
    /// A sentence, when something could not be undone; it is tried again.
    async fn tidy(&self, run: Option<RunId>) -> Result<(), String>;
}

/// What a run that is under way is given.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Cancelled when the run is to end.
    pub cancel: CancellationToken,
    /// Where it says how far it is.
    pub reporter: Reporter,
}

/// What came of a run, before it is known when it began and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// How it ended.
    pub state: RunState,
    /// What became of each item.
    pub items: Vec<ItemOutcome>,
    /// Stable word for why it failed.
    pub code: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
}

impl Done {
    /// A run that ended before any item was done.
    pub fn without_items(state: RunState, code: &str, message: impl Into<String>) -> Self {
        Self { state, items: Vec::new(), code: Some(code.to_owned()), message: Some(message.into()) }
    }
}

/// Where a run says how far it is; the newest value counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter(Arc<Mutex<Report>>);

#[derive(Debug)]
struct Report {
    known: RunProgress,
    /// How far restic is with the item of the moment.
    restic: Option<watch::Receiver<omni_restic::Progress>>,
}

impl Reporter {
    /// For a run that has just begun.
    pub fn new(run: RunId) -> Self {
        let known = RunProgress {
            run,
            phase: Phase::Preparing,
            item: None,
            bytes: 0,
            total_bytes: None,
            files: 0,
            total_files: None,
            left_ms: None,
        };
        Self(Arc::new(Mutex::new(Report { known, restic: None })))
    }

    /// It is busy with this now.
    pub fn enter(&self, phase: Phase, item: Option<&ItemName>) {
        let mut report = self.lock();
        let fresh = Self::new(report.known.run);
        report.known = RunProgress { phase, item: item.cloned(), ..fresh.lock().known.clone() };
        report.restic = None;
    }

    /// So many bytes are done, where nobody but the run itself counts them.
    pub fn bytes(&self, done: u64) {
        self.lock().known.bytes = done;
    }

    /// From now on restic says how far it is.
    pub fn follow(&self, progress: watch::Receiver<omni_restic::Progress>) {
        self.lock().restic = Some(progress);
    }

    /// How far it is.
    pub fn progress(&self) -> RunProgress {
        let report = self.lock();
        let mut progress = report.known.clone();
        if let Some(restic) = report.restic.as_ref().map(|restic| restic.borrow().clone()) {
            progress.bytes = restic.bytes_done.unwrap_or(progress.bytes);
            progress.total_bytes = restic.bytes_total;
            progress.files = restic.files_done.unwrap_or(progress.files);
            progress.total_files = restic.files_total;
            progress.left_ms = restic.seconds_left.map(|left| left.saturating_mul(1000));
        }
        progress
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a run may take; what is absurd is a year.
pub(super) fn limit(order: &RunOrder) -> Duration {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    Duration::from_millis(order.max_duration_ms).min(YEAR)
}
