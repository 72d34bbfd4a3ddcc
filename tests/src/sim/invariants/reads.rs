//! Linearizable reads never go back in time: one that begins after another has ended, or after a write was
//! acknowledged, sees at least as much.

use super::super::history::Promised;
use anyhow::{Result, ensure};
use omni_controller::app::ports::Applied;
use omni_controller::state::State;

/// The newest entry that any finished read or acknowledged write has shown.
#[derive(Debug, Default)]
pub struct Reads {
    shown: u64,
}

/// What a read that begins now must see.
#[derive(Debug)]
pub struct Ticket {
    shown: u64,
    promised: Promised,
}

impl Reads {
    /// An entry was shown to a client.
    pub(super) fn shown(&mut self, index: u64) {
        self.shown = self.shown.max(index);
    }
}

impl super::Invariants {
    /// A linearizable read begins.
    pub fn read_begins(&self) -> Ticket {
        Ticket { shown: self.reads.shown, promised: self.history.promised() }
    }

    /// It has ended with `state`.
    ///
    /// # Errors
    /// When the state lacks something that was known when the read began.
    pub fn read_ends(&mut self, ticket: &Ticket, state: &State) -> Result<()> {
        ensure!(
            state.index >= ticket.shown,
            "a linearizable read went back: it shows entry {}, and entry {} was known before it began",
            state.index,
            ticket.shown
        );
        self.reads.shown(state.index);
        super::writes::hold(&self.history, &ticket.promised, state)
    }

    /// A client was told how a write ended; `state` came with that answer.
    ///
    /// # Errors
    /// When the answer contradicts an earlier one, or the state does not hold the write.
    pub fn write_acknowledged(&mut self, number: usize, applied: &Applied, state: &State) -> Result<()> {
        ensure!(
            state.index >= applied.index,
            "write {number} was acknowledged at entry {} by a controller that is at {}",
            applied.index,
            state.index
        );
        self.history.acknowledge(number, applied, state)?;
        self.reads.shown(applied.index);
        Ok(())
    }
}
