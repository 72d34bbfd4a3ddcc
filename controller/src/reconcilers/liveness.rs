//! Commits what the failure detector finds.

use super::driver::Reconciler;
use crate::ingest::Gateway;
use crate::state::{Actor, Command};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// How late a transition may be noticed.
const PERIOD: Duration = Duration::from_millis(250);
/// Most transitions in one command.
const BATCH: usize = 1_000;

pub(crate) struct Liveness {
    gateway: Arc<Gateway>,
}

impl Liveness {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[async_trait]
impl Reconciler for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let state = self.gateway.store.current();
        let transitions = self.gateway.duty.sweep(&state).map_err(|e| e.to_string())?;
        for batch in transitions.chunks(BATCH) {
            let command = Command::HostTransitions(batch.to_vec());
            self.gateway
                .propose(Actor::system(), command)
                .await
                .map_err(|e| e.to_string())?
                .map_err(|e| e.message)?;
            self.gateway.duty.decided(batch).map_err(|e| e.to_string())?;
        }
        self.gateway.observed.retain(|host| state.hosts.contains_key(&host));
        Ok(())
    }
}
