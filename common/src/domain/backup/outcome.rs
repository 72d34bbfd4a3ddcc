//! How far a run is, and what came of it.

use super::ItemName;
use crate::clock::Time;
use crate::ids::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Waits for its turn, or for its host.
    Queued,
    /// Its host has begun.
    Running,
    /// All of it was done.
    Succeeded,
    /// It was done, and something is missing from it, as files that could not be read.
    Partial,
    /// It could not be done.
    Failed,
    /// It was given up because somebody wanted that, or its time was over.
    Cancelled,
}

impl RunState {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more comes.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Opening the repository, asking Docker.
    Preparing,
    /// Reading and sending, or fetching and writing.
    Transferring,
    /// Loading a dump into a server.
    Loading,
    /// Looking whether it is what it should be.
    Verifying,
    /// Putting back what was changed for it, removing scratch space.
    Tidying,
}

/// How far a run is. Never kept; the newest one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunProgress {
    /// Which.
    pub run: RunId,
    /// What it is busy with.
    pub phase: Phase,
    /// With which item.
    pub item: Option<ItemName>,
    /// Bytes done of the item.
    pub bytes: u64,
    /// Of how many, when that is known.
    pub total_bytes: Option<u64>,
    /// Files done of the item.
    pub files: u64,
    /// Of how many, when that is known.
    pub total_files: Option<u64>,
    /// Left, milliseconds, when that can be guessed.
    pub left_ms: Option<u64>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunOutcome {
    /// How it ended; one that is over.
    pub state: RunState,
    /// When the host began, by its clock.
    pub began: Time,
    /// When it was done.
    pub ended: Time,
    /// What became of each item, in the order of the task. For copies one for each snapshot, named for the item it is of,
    /// with the id of the copy and, as the fact `source`, of what it is a copy of. Empty for checks and prunes.
    pub items: Vec<ItemOutcome>,
    /// Stable word for why it failed, e.g. `wrong_password`, `repository_missing`, `locked`, `full`, `damaged`.
    pub code: Option<String>,
    /// One sentence for people: what failed, where, and what to do.
    pub message: Option<String>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemOutcome {
    /// Which.
    pub item: ItemName,
    /// How it ended.
    pub state: RunState,
    /// Full id of the snapshot that was made or used.
    pub snapshot: Option<String>,
    /// The moment that the data is of.
    pub taken: Time,
    /// Bytes of it.
    pub bytes: u64,
    /// Of those, new in the repository.
    pub added_bytes: u64,
    /// Files of it.
    pub files: u64,
    /// What a drill can compare, e.g. `files`, `bytes`, `sha256:PATH`, `rows:DATABASE.SCHEMA.TABLE`, `keys:DATABASE`. Bounded by
    /// [`crate::wire::MAX_RUN_FACTS`] over the run.
    pub facts: BTreeMap<String, String>,
    /// Paths that could not be read, the first of them; see [`crate::wire::MAX_RUN_MISSING`].
    pub missing: Vec<String>,
    /// One sentence about what is not as it should be.
    pub message: Option<String>,
}
