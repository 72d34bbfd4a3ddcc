//! What must hold whatever happens, one promise a file.
//!
//! ```text
//! every published state ──▶ replicas (I5), host_down, leases (I1's precondition), runs (I3)
//! every acknowledgement ──▶ history ──▶ every linearizable read: writes (I2), reads
//! after the last fault  ──▶ recovery (I6), once, writes, replicas
//! ```

pub mod host_down;
pub mod leases;
pub mod once;
pub mod reads;
pub mod recovery;
pub mod replicas;
pub mod runs;
pub mod writes;

use super::history::History;
use super::world::World;
use anyhow::Result;
use omni_common::ids::{ControllerId, HostId};
use omni_controller::state::State;
use std::sync::Arc;

/// What has been seen, as far as later checks need it.
#[derive(Default)]
pub struct Invariants {
    newest: Arc<State>,
    replicas: replicas::Replicas,
    pub(super) history: History,
    pub(super) reads: reads::Reads,
    runs: runs::Runs,
    leadership: host_down::Leadership,
}

impl Invariants {
    /// The newest state that any controller has published.
    pub(super) fn newest(&self) -> Arc<State> {
        Arc::clone(&self.newest)
    }

    /// A controller's process starts: it may have to read its log again.
    pub(super) fn process_started(&mut self, id: ControllerId) {
        self.replicas.process_started(id);
    }

    /// A controller shows a new state.
    pub(super) fn state_published(
        &mut self,
        world: &World,
        id: ControllerId,
        state: &Arc<State>,
    ) -> Result<()> {
        self.replicas.published(id, state)?;
        if state.index <= self.newest.index {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.newest, Arc::clone(state));
        self.runs.published(world, &before, state)?;
        for host in host_down::declared(&before, state) {
            host_down::not_false(world, host)?;
            leases::over(world, host)?;
        }
        Ok(())
    }

    /// An agent's lease changed.
    pub(super) fn lease_changed(&self, world: &World, id: HostId) -> Result<()> {
        leases::none_while_down(world, &self.newest, id)
    }

    /// A moment has passed.
    pub(super) fn moment_passed(&mut self, world: &World) -> Result<()> {
        self.leadership.look(world);
        host_down::not_late(world, &self.newest, &self.leadership)
    }
}
