//! What a host that decides by itself keeps: standing orders, with the secrets in them, and what it did.

use super::due::Past;
use crate::ledger::{Ledger, LedgerError};
use omni_common::domain::backup::StandingOrders;
use omni_common::wire::OfflineRun;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offline {
    /// Its runs that no controller has recorded to the end, oldest first.
    pub runs: Vec<OfflineRun>,
    /// What is known about the backups of each instance.
    pub past: BTreeMap<String, Past>,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub enum OfflineKeeper {
    /// In the data folder.
    Ledger(Arc<Ledger>),
    /// In memory, which on a simulated host is its disk.
    Memory(Arc<Mutex<(StandingOrders, Offline)>>),
}

impl OfflineKeeper {
    pub(super) fn orders(&self) -> Result<Option<StandingOrders>, LedgerError> {
        match self {
            Self::Ledger(ledger) => ledger.standing(),
            Self::Memory(kept) => Ok(Some(kept.lock().unwrap_or_else(PoisonError::into_inner).0.clone())),
        }
    }

    pub(super) fn offline(&self) -> Result<Offline, LedgerError> {
        match self {
            Self::Ledger(ledger) => Ok(ledger.offline()?.unwrap_or_default()),
            Self::Memory(kept) => Ok(kept.lock().unwrap_or_else(PoisonError::into_inner).1.clone()),
        }
    }

    pub(super) async fn save_orders(&self, orders: StandingOrders) {
        match self {
            Self::Ledger(ledger) => {
                let ledger = ledger.clone();
                blocking(move || ledger.save_standing(&orders)).await;
            }
            Self::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).0 = orders,
        }
    }

    pub(super) async fn save_offline(&self, offline: Offline) {
        match self {
            Self::Ledger(ledger) => {
                let ledger = ledger.clone();
                blocking(move || ledger.save_offline(&offline)).await;
            }
            Self::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).1 = offline,
        }
    }
}

/// A failure is logged: what is not on disk is still told by this process.
async fn blocking(save: impl FnOnce() -> Result<(), LedgerError> + Send + 'static) {
    if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what this host does by itself was not saved"
        );
    }
}
