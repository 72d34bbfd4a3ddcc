//! Backups as controllers and agents speak of them: what is taken, what a host is told to do, what came of it.
//!
//! ```text
//! policy, release ──▶ Item (item.rs)          what one snapshot of restic holds
//! RunOrder (order.rs) ──▶ the host            one task, with all that it takes to do it, secrets included
//! RunProgress, RunOutcome (outcome.rs) ◀──    how far it is, and what came of it
//! ```
//!
//! An order travels as JSON and is never stored in clear. Progress and outcomes travel in frames.

mod hidden;
mod item;
mod order;
mod outcome;

pub use hidden::Hidden;
pub use item::{Item, ItemName, MAX_ITEMS, Quiesce, Take};
pub use order::{
    BackupTask, CheckTask, CopyTask, Credentials, Destination, Forget, Instance, Probe, PruneTask, ReadPart,
    Repository, RestoreItem, RestoreTask, RunOrder, Task,
};
pub use outcome::{ItemOutcome, Phase, RunOutcome, RunProgress, RunState};

/// Tag of every snapshot: `omni-app=ENVIRONMENT/APP`.
pub const TAG_APP: &str = "omni-app";
/// Tag of every snapshot: `omni-item=NAME`.
pub const TAG_ITEM: &str = "omni-item";
/// Tag of every snapshot: `omni-slot=GROUP.SLOT`.
pub const TAG_SLOT: &str = "omni-slot";
/// Tag of every snapshot: `omni-run=ID`. Copies keep it.
pub const TAG_RUN: &str = "omni-run";
