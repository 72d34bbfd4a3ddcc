//! What a run has changed on the host and has to undo, written down before it is changed.
//!
//! ```text
//! owe(change), on disk ──▶ change ──▶ … ──▶ undo ──▶ settle(change)
//! ```
//! When the agent dies anywhere on the way, the next one finds the debt and pays it: undoing what was never done is harmless.

use crate::ledger::{Ledger, LedgerError};
use omni_common::ids::RunId;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that has to be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// By which run.
    pub run: RunId,
    /// What was changed.
    pub change: Change,
}

/// A change that is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A container's processes are frozen.
    Paused {
        /// Its id.
        container: String,
    },
    /// A container is stopped.
    Stopped {
        /// Its id.
        container: String,
        /// It may take this long to stop, milliseconds.
        grace_ms: u64,
    },
    /// A command was run in a container, and another one undoes it.
    Hooked {
        /// Its id.
        container: String,
        /// What is run before.
        before: Vec<String>,
        /// What is run after.
        after: Vec<String>,
    },
}

/// All debts of a host, in the order in which they were made.
#[derive(Debug)]
pub struct Debts {
    ledger: Option<Arc<Ledger>>,
    list: Mutex<Vec<Debt>>,
    /// One change of the file at a time.
    writing: tokio::sync::Mutex<()>,
}

impl Debts {
    /// Those of a host without a data folder.
    pub fn in_memory() -> Self {
        Self { ledger: None, list: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Those that were left when the agent ran last.
    ///
    /// # Errors
    /// When the data folder cannot be read, or the file is torn.
    pub fn open(ledger: Arc<Ledger>) -> Result<Self, LedgerError> {
        let list = Mutex::new(ledger.debts()?.unwrap_or_default());
        Ok(Self { ledger: Some(ledger), list, writing: tokio::sync::Mutex::default() })
    }

    /// Writes a debt down. Only when this has returned without an error may the change be made.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn owe(&self, debt: Debt) -> Result<(), LedgerError> {
        self.change(|list| list.push(debt)).await
    }

    /// A change was undone. When that cannot be written it is undone once more by the next agent, which is harmless.
    pub async fn settle(&self, debt: &Debt) {
        let settled = self.change(|list| {
            if let Some(at) = list.iter().rposition(|known| known == debt) {
                list.remove(at);
            }
        });
        if let Err(error) = settled.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what a run has undone could not be noted"
            );
        }
    }

    /// The debts of a run, or of all when none is named: the newest first, which is the order of undoing.
    pub fn of(&self, run: Option<RunId>) -> Vec<Debt> {
        let list = self.lock();
        let theirs = |debt: &&Debt| run.is_none_or(|run| debt.run == run);
        list.iter().rev().filter(theirs).cloned().collect()
    }

    async fn change(&self, change: impl FnOnce(&mut Vec<Debt>)) -> Result<(), LedgerError> {
        let _one_at_a_time = self.writing.lock().await;
        let mut list = self.lock().clone();
        change(&mut list);
        if let Some(ledger) = self.ledger.clone() {
            let copy = list.clone();
            let saved = tokio::task::spawn_blocking(move || ledger.save_debts(&copy)).await;
            saved.unwrap_or(Ok(()))?;
        }
        *self.lock() = list;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Debt>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
