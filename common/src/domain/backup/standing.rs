//! What a host may do by itself while no controller is reachable.

use super::BackupTask;
use crate::clock::Time;
use serde::{Deserialize, Serialize};

/// All that a host may do by itself. Travels as JSON, because it holds secrets and its shape may grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StandingOrders {
    /// One for each instance that lives on the host; see [`crate::wire::MAX_STANDING`].
    pub orders: Vec<StandingOrder>,
}

/// Backups of one instance, for as long as nobody else orders them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandingOrder {
    /// What is taken. Its repository is never made by a host alone.
    pub task: BackupTask,
    /// Release of the app.
    pub release: u64,
    /// A run is given up after this long, milliseconds.
    pub max_duration_ms: u64,
    /// Five cron fields.
    pub schedule: String,
    /// On the clock of this time zone.
    pub time_zone: String,
    /// It begins so much later than the schedule says, milliseconds: the same for one instance always.
    pub later_ms: u64,
    /// Newest time of the schedule that is served or was passed over.
    pub served: Option<Time>,
    /// Moment that the newest whole snapshot is of.
    pub newest: Option<Time>,
    /// A time that came longer ago than this was missed, milliseconds.
    pub window_ms: u64,
    /// What was missed is made up for; absent when it is not.
    pub catch_up: Option<CatchUp>,
}

/// How what was missed is made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchUp {
    /// Only when the newest snapshot is older than this, milliseconds.
    pub older_than_ms: u64,
    /// So much later than everybody could, milliseconds.
    pub wait_ms: u64,
}
