//! Locks of a repository, and which of them go.

use super::Repository;
use crate::clock::Time;
use serde::{Deserialize, Serialize};

/// Ask a host for a repository's locks, and to remove some of them first. Travels as JSON, because it holds secrets and its
/// shape may grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocksOrder {
    /// Of which.
    pub repository: Repository,
    /// Which of them go before the others are told.
    pub remove: Removal,
}

/// Which locks are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// None.
    Nothing,
    /// Those that restic takes for left behind: of this host, without their process; of any, not renewed for half an hour.
    Stale,
    /// All of these, by id, whoever holds them. Nothing goes when there are others: they came after somebody had looked.
    These(Vec<String>),
}

/// A lock: some process is at work in the repository, or died there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLock {
    /// Its full id.
    pub id: String,
    /// What the machine of the process calls itself.
    pub hostname: String,
    /// User of the process.
    pub username: String,
    /// Number of the process there.
    pub pid: u32,
    /// When it was renewed last, which restic does every five minutes.
    pub renewed: Option<Time>,
    /// It keeps out everybody, not only who wants to keep out everybody.
    pub exclusive: bool,
}
