//! A client of the controllers: asks any of them, and another one when there is no answer.

use super::dice::Dice;
use super::member::Process;
use super::world::World;
use anyhow::Result;
use omni_controller::app::ports::Applied;
use omni_controller::state::{Proposal, State};
use std::sync::Arc;
use std::time::Duration;

/// A client that asks again at once would only burn time while nobody runs.
const NOBODY_RUNS: Duration = Duration::from_millis(100);

/// Asks controllers, cut off or not: clients sit in other networks.
pub(super) struct Client {
    world: Arc<World>,
    dice: Dice,
}

impl Client {
    /// A client whose choices come from `dice`.
    pub(super) fn new(world: Arc<World>, dice: Dice) -> Self {
        Self { world, dice }
    }

    async fn any(&mut self) -> Option<Process> {
        let chosen = self.dice.pick(&self.world.running());
        if chosen.is_none() {
            tokio::time::sleep(NOBODY_RUNS).await;
        }
        chosen
    }

    /// One try to have a proposal applied; the state that comes with the answer holds it. Absent when nobody
    /// knows whether it was.
    pub(super) async fn propose(&mut self, proposal: &Proposal) -> Option<(Applied, Arc<State>)> {
        let patience = self.dice.between(Duration::from_millis(200)..Duration::from_secs(6));
        let process = self.any().await?;
        let app = process.controller.app();
        tokio::select! {
            answer = tokio::time::timeout(patience, app.proposer.propose(proposal.clone())) => {
                Some((answer.ok()?.ok()?, process.state()))
            }
            () = process.gone.cancelled() => None,
        }
    }

    /// One try to read what every acknowledged write has made of the state.
    ///
    /// # Errors
    /// When the state that came back breaks a promise.
    pub(super) async fn read(&mut self) -> Result<Option<Arc<State>>> {
        let Some(process) = self.any().await else { return Ok(None) };
        let ticket = self.world.invariants().read_begins();
        let app = process.controller.app();
        let answer = tokio::select! {
            answer = app.reads.linearizable() => answer.ok(),
            () = process.gone.cancelled() => None,
        };
        let Some(state) = answer else { return Ok(None) };
        self.world.invariants().read_ends(&ticket, &state)?;
        Ok(Some(state))
    }
}
