//! Carries out what `backup` decides.

use super::driver::Reconciler;
use crate::backup::{Ids, Look, decide};
use crate::ingest::Gateway;
use crate::state::{Actor, Command};
use async_trait::async_trait;
use omni_common::ids::RunId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How late a time of a schedule may be noticed.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) struct Backups {
    gateway: Arc<Gateway>,
    /// When it was last asked what is due.
    looked: Option<Instant>,
}

impl Backups {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, looked: None }
    }
}

/// Fresh ids.
struct Mint;

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
        if state.repositories.is_empty() && state.open_runs.is_empty() {
            return Ok(());
        }
        let due = self.looked.is_none_or(|at| at.elapsed() >= PERIOD);
        let look = if due { Look::Everything } else { Look::Open };
        if due {
            self.looked = Some(Instant::now());
        } else if state.open_runs.is_empty() {
            return Ok(());
        }
        let (releases, now) = (Arc::clone(&self.gateway.releases), self.gateway.clock.now());
        // Many apps take a while the first time, when their releases are read; heartbeats must not wait for it.
        let decided = tokio::task::spawn_blocking(move || {
            let outlines = releases.outlines(&state);
            decide(&state, &outlines, now, look, &mut Mint)
        });
        let steps = decided.await.map_err(|error| error.to_string())?;
        if steps.is_empty() {
            return Ok(());
        }
        let proposed = self.gateway.propose(Actor::system(), Command::AdoptRuns(steps)).await;
        proposed.map_err(|error| error.to_string())?.map(|_| ()).map_err(|refusal| refusal.message)
    }
}
