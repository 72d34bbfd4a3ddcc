//! What outlives the agent's process: outcomes that have not been taken note of yet. Without secrets.

use crate::ledger::{Ledger, LedgerError};
use omni_common::domain::backup::RunOutcome;
use omni_common::ids::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Newest generation of the list of runs that was heard.
    pub generation: u64,
    /// What came of runs that may still be named.
    pub outcomes: BTreeMap<RunId, RunOutcome>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub enum Keeper {
    /// In the data folder.
    Ledger(Arc<Ledger>),
    /// In memory, which on a simulated host is its disk.
    Memory(Arc<Mutex<Kept>>),
}

impl Keeper {
    /// What was kept.
    ///
    /// # Errors
    /// When the data folder cannot be read, or the file is torn.
    pub fn load(&self) -> Result<Kept, LedgerError> {
        match self {
            Self::Ledger(ledger) => Ok(ledger.runs()?.unwrap_or_default()),
            Self::Memory(kept) => Ok(kept.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Keeps this instead. A failure is logged: the outcome is told all the same, and the run done again if the agent dies
    /// before anybody has heard it.
    pub(super) async fn save(&self, kept: Kept) {
        match self {
            Self::Ledger(ledger) => {
                let ledger = ledger.clone();
                let saved = tokio::task::spawn_blocking(move || ledger.save_runs(&kept)).await;
                if let Ok(Err(error)) = saved {
                    tracing::error!(error = &error as &dyn std::error::Error, "outcomes of runs not saved");
                }
            }
            Self::Memory(memory) => *memory.lock().unwrap_or_else(PoisonError::into_inner) = kept,
        }
    }
}
