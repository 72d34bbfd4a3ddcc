//! What the leader decides about apps. PURE: state and time in, steps out.
//!
//! ```text
//! State ─▶ gate.rs     each open deployment: which slots are renewed, is it done, has it failed
//!      ─▶ problem.rs  the mesh in the scheduler's terms
//!                       └─▶ omni_scheduler: who runs where, failover, draining
//!      ─▶ plan.rs     all of it as the steps of one command
//! ```
//!
//! A deployment needs no path of its own: the gate names slots to be filled afresh, and the scheduler fills them as it
//! fills those of a lost host. What a slot is filled with is always the app's wanted release.

mod adopted;
mod foreign;
mod gate;
mod plan;
mod problem;

#[cfg(test)]
mod tests;

pub(crate) use adopted::mark as adopted_from;
pub use foreign::{Foreign, ForeignGpu};
pub use gate::{End, Failure, Filling, Gate, SlotKey, gate};
pub use plan::{Decision, Ids, decide, problem_of};
