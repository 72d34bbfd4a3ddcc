//! Carries out what `rollout` decides.

use super::driver::Reconciler;
use crate::app::ports::Observe;
use crate::ingest::Gateway;
use crate::rollout::{Foreign, Ids, decide};
use crate::state::{Actor, Command};
use async_trait::async_trait;
use omni_common::ids::{AllocationId, DeploymentId, HostId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How late a deadline may be noticed.
const PERIOD: Duration = Duration::from_millis(500);

pub(crate) struct Placement {
    gateway: Arc<Gateway>,
}

impl Placement {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

/// Fresh ids.
struct Mint;

impl Ids for Mint {
    fn allocation(&mut self) -> AllocationId {
        AllocationId::mint()
    }

    fn deployment(&mut self) -> DeploymentId {
        DeploymentId::mint()
    }
}

#[async_trait]
impl Reconciler for Placement {
    fn name(&self) -> &'static str {
        "placement"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let state = self.gateway.store.current();
        if state.apps.is_empty() && state.allocations.is_empty() {
            return Ok(());
        }
        let observed = self.gateway.observed.hosts();
        let foreign: BTreeMap<HostId, Foreign> =
            observed.into_iter().map(|(host, seen)| (host, seen.foreign())).collect();
        let now = self.gateway.clock.now();
        let based_on = state.plan_version;
        // Thousands of hosts take a while; heartbeats must not wait for it.
        let decided = tokio::task::spawn_blocking(move || decide(&state, &foreign, now, &mut Mint));
        let decision = decided.await.map_err(|error| error.to_string())?;
        if decision.steps.is_empty() {
            return Ok(());
        }
        let command = Command::AdoptPlan { based_on, steps: decision.steps };
        let adopted =
            self.gateway.propose(Actor::system(), command).await.map_err(|error| error.to_string())?;
        match adopted {
            Ok(_) => Ok(()),
            // Something was decided meanwhile, and woke the next run.
            Err(refusal) if refusal.code == crate::state::RefusalCode::Conflict => Ok(()),
            Err(refusal) => Err(refusal.message),
        }
    }
}
