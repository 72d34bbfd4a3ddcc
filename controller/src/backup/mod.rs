//! What is decided about backups. PURE: state, releases and time in, decisions out.
//!
//! ```text
//! AppSpec, catalogue ─▶ items.rs     what of an app is data; methods.rs how it is taken
//!                    ─▶ basis.rs     whose rules hold where nobody says anything: a component's, or a tier's
//! that, x-omni, hand ─▶ policy.rs    when, where to, for how long, how it is proven, and who says so
//! State, both        ─▶ plan.rs      the leader's steps: due.rs what is due, give.rs who does it, lost.rs what is given up
//!                    ─▶ standing.rs what a host does by itself while no controller is reachable
//!                    ─▶ status.rs    how old the newest proven snapshot is, and how long a restore takes
//! State, scheduler   ─▶ rescue.rs   what comes back elsewhere because its host is lost
//! Run                ─▶ order.rs     what its host is told, secrets included (opening.rs)
//! Snapshot           ─▶ readers.rs   who can look into it
//! controllers.rs: the controllers' own state, kept as if it were an app's
//! ```
//!
//! The contract of schedules, limits, age and drills is `compose/backup/policies/README.md`.

mod basis;
pub(crate) mod controllers;
mod due;
mod give;
mod items;
mod limits;
mod lost;
mod methods;
mod moment;
mod moved;
mod moves;
pub(crate) mod opening;
pub(crate) mod order;
mod plan;
mod policy;
mod readers;
mod rescue;
mod standing;
mod status;

#[cfg(test)]
mod tests;

pub use basis::{Basis, BasisOf};
pub(crate) use controllers::{controllers_policy, controllers_standing};
pub(crate) use due::{Set, controllers_backup, drill, newest_sets, sets};
pub use items::{Outline, Web, outline};
pub use limits::{Limits, limits};
pub use moment::Bound;
pub use moves::steps as move_steps;
pub use plan::{Ids, Look, Outlines, decide};
pub use policy::{Drills, Policy, Source, Sources, policy};
pub(crate) use readers::readers;
pub(crate) use rescue::{Choice, choose};
pub use rescue::{Stranded, Unrescued, steps as rescues, stranded};
pub(crate) use standing::standing as standing_orders;
pub use status::{AppStanding, CopyStanding, ThreeTwoOne, standing};
