//! Carries out what `backup::moves` decides.

use super::backups::Mint;
use super::driver::Reconciler;
use crate::backup::move_steps;
use crate::ingest::Gateway;
use crate::state::{Actor, Command};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How late a deadline may be noticed.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) struct Moves {
    gateway: Arc<Gateway>,
}

impl Moves {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl Reconciler for Moves {
    fn name(&self) -> &'static str {
        "moves"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let state = self.gateway.store.current();
        let steps = move_steps(&state, self.gateway.clock.now(), &mut Mint);
        if steps.is_empty() {
            return Ok(());
        }
        let proposed = self.gateway.propose(Actor::system(), Command::AdoptMoves(steps)).await;
        proposed.map_err(|error| error.to_string())?.map(|_| ()).map_err(|refusal| refusal.message)
    }
}
