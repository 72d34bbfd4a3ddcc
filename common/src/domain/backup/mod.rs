//! Backups as controllers and agents speak of them: what is taken, what a host is told to do, what came of it.
//!
//! ```text
//! policy, release ──▶ Item (item.rs)          what one snapshot of restic holds
//! RunOrder (order.rs) ──▶ the host            one task, with all that it takes to do it, secrets included
//! RunProgress, RunOutcome (outcome.rs) ◀──    how far it is, and what came of it
//! FilesOrder (files.rs) ──▶ the host, FileEntry ◀──   what is in a folder of a snapshot
//! StandingOrders (standing.rs) ──▶ the host   what it does by itself while nobody can order it
//! ```
//!
//! x-omni.backup (options.rs), schedule.rs, span.rs, location.rs: what people write, read and checked in one place.
//!
//! An order travels as JSON; only standing orders are stored in clear, by their host, for it alone. Progress and outcomes travel in frames.

mod files;
mod hidden;
mod item;
mod location;
mod locks;
mod options;
mod order;
mod outcome;
mod schedule;
mod span;
mod standing;

pub use files::{FileEntry, FileKind, FilesOrder, MAX_FILES};
pub use hidden::Hidden;
pub use item::{Item, ItemName, MAX_ITEMS, Quiesce, Take};
pub use location::{BadLocation, Location, LocationKind, Place};
pub use locks::{HeldLock, LocksOrder, Removal};
pub use options::{
    DrillOptions, MAX_COPIES, OptionsOf, PolicyOptions, QuiesceOption, ServiceOptions, TakeMethod,
    common_options, option_fault, policy_options, service_options,
};
pub use order::{
    BackupTask, CheckTask, ControllersTask, ControllersWork, CopyTask, Credentials, Destination, Expire,
    Forget, Instance, KeptState, Moves, Probe, PruneTask, ReadPart, ReadyItem, ReadyTask, Repository,
    RestoreItem, RestoreTask, RunOrder, Task,
};
pub use outcome::{ItemOutcome, Phase, RunOutcome, RunProgress, RunState};
pub use schedule::{InvalidSchedule, Schedule};
pub use span::{InvalidSpan, Span};
pub use standing::{CatchUp, StandingOrder, StandingOrders};

/// Environment that the controllers' own state is kept under. No environment can have that name.
pub const CONTROLLERS_ENVIRONMENT: &str = "@omni";
/// Name that the controllers' own state is kept under, as if it were an app's.
pub const CONTROLLERS_APP: &str = "controllers";
/// Name of the one file in a snapshot of the controllers' state.
pub const CONTROLLERS_FILE: &str = "omni-controllers.state";

/// Tag of every snapshot: `omni-app=ENVIRONMENT/APP`.
pub const TAG_APP: &str = "omni-app";
/// Tag of what was taken because its app moves to another host, in the place of [`TAG_APP`]: `omni-move=ENVIRONMENT/APP`.
pub const TAG_MOVE: &str = "omni-move";
/// Tag of every snapshot: `omni-item=NAME`.
pub const TAG_ITEM: &str = "omni-item";
/// Tag of every snapshot: `omni-slot=GROUP.SLOT`.
pub const TAG_SLOT: &str = "omni-slot";
/// Tag of every snapshot: `omni-run=ID`. Copies keep it.
pub const TAG_RUN: &str = "omni-run";
