//! Carries out what `backup::rescue` decides.

use super::backups::Mint;
use super::driver::Reconciler;
use crate::app::ports::Observe;
use crate::backup::{rescues, stranded};
use crate::ingest::Gateway;
use crate::state::{Actor, Command};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How late the end of a pause may be noticed.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) struct Rescues {
    gateway: Arc<Gateway>,
}

impl Rescues {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl Reconciler for Rescues {
    fn name(&self) -> &'static str {
        "rescues"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let state = self.gateway.store.current();
        let under_way = state.open_runs().any(|run| run.rescues_from().is_some());
        if !under_way && stranded(&state).is_empty() {
            return Ok(());
        }
        let observed = self.gateway.observed.hosts();
        let foreign = observed.into_iter().map(|(host, seen)| (host, seen.foreign())).collect();
        let (releases, now) = (Arc::clone(&self.gateway.releases), self.gateway.clock.now());
        // A plan of the whole mesh takes a while; heartbeats must not wait for it.
        let decided = tokio::task::spawn_blocking(move || {
            let outlines = releases.outlines(&state);
            rescues(&state, &outlines, &foreign, now, &mut Mint)
        });
        let steps = decided.await.map_err(|error| error.to_string())?;
        if steps.is_empty() {
            return Ok(());
        }
        let proposed = self.gateway.propose(Actor::system(), Command::AdoptRuns(steps)).await;
        proposed.map_err(|error| error.to_string())?.map(|_| ()).map_err(|refusal| refusal.message)
    }
}
