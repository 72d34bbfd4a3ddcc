//! Carries out what `backup` decides.

use super::driver::Reconciler;
use crate::backup::{Ids, Look, Outlines, decide, limits};
use crate::ingest::Gateway;
use crate::metrics::BACKUP_RUNS;
use crate::state::{Actor, Command, State, over_alone};
use async_trait::async_trait;
use omni_common::domain::backup::RunState;
use omni_common::ids::RunId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How late a time of a schedule may be noticed.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) struct Backups {
    gateway: Arc<Gateway>,
    /// When it was last asked what is due.
    looked: Option<Instant>,
    /// Runs that were not over the last time.
    open: BTreeSet<RunId>,
    /// Runs of hosts that were alone, which may come in when they are over; absent before the first look.
    alone: Option<BTreeSet<RunId>>,
}

impl Backups {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, looked: None, open: BTreeSet::new(), alone: None }
    }
}

impl Backups {
    /// Counts the runs that came to an end since the last time.
    fn count(&mut self, state: &State, outlines: &Outlines) {
        let open: BTreeSet<RunId> = state.open_runs.iter().copied().collect();
        let alone: BTreeSet<RunId> = over_alone(state).collect();
        let known = self.alone.get_or_insert_with(|| alone.clone());
        let handed_in = alone.difference(known).filter(|id| !self.open.contains(id));
        let over: BTreeSet<RunId> = self.open.difference(&open).chain(handed_in).copied().collect();
        for run in over.iter().filter_map(|id| state.runs.get(id)) {
            let outcome = match run.state {
                RunState::Succeeded => "done",
                RunState::Partial => "partial",
                RunState::Cancelled => "cancelled",
                _ => "failed",
            };
            let of = run.app.as_ref().map(|app| (app, outlines.get(app)));
            let components = of.map(|(app, outline)| match outline {
                Some(outline) if !outline.components.is_empty() => {
                    outline.components.iter().cloned().collect()
                }
                _ => vec![app.name.clone()],
            });
            for component in components.unwrap_or_else(|| vec![run.repository.clone()]) {
                let kind = run.kind().as_str();
                metrics::counter!(BACKUP_RUNS, "component" => component, "kind" => kind, "outcome" => outcome)
                    .increment(1);
            }
        }
        (self.open, self.alone) = (open, Some(alone));
    }
}

/// Fresh ids.
pub(super) struct Mint;

impl Ids for Mint {
    fn run(&mut self) -> RunId {
        RunId::mint()
    }
}

#[async_trait]
impl Reconciler for Backups {
    fn name(&self) -> &'static str {
        "backups"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let state = self.gateway.store.current();
        if state.repositories.is_empty() && state.open_runs.is_empty() && self.open.is_empty() {
            return Ok(());
        }
        let due = self.looked.is_none_or(|at| at.elapsed() >= PERIOD);
        let look = if due { Look::Everything } else { Look::Open };
        if due {
            self.looked = Some(Instant::now());
        } else if state.open_runs.is_empty() && self.open.is_empty() {
            return Ok(());
        }
        let (releases, now) = (Arc::clone(&self.gateway.releases), self.gateway.clock.now());
        // Many apps take a while the first time, when their releases are read; heartbeats must not wait for it.
        let frozen = Arc::clone(&state);
        let decided = tokio::task::spawn_blocking(move || {
            let outlines = releases.outlines(&frozen);
            let limits = limits(&frozen, releases.policies());
            (decide(&frozen, &outlines, &limits, now, look, &mut Mint), outlines)
        });
        let (steps, outlines) = decided.await.map_err(|error| error.to_string())?;
        self.count(&state, &outlines);
        if steps.is_empty() {
            return Ok(());
        }
        let proposed = self.gateway.propose(Actor::system(), Command::AdoptRuns(steps)).await;
        proposed.map_err(|error| error.to_string())?.map(|_| ()).map_err(|refusal| refusal.message)
    }
}
