//! The replicated state and its only door, [`apply()`].
//!
//! ```text
//! Proposal ──Raft──▶ apply(&State, index, &Proposal) ──▶ (State, Outcome)      pure, on every controller
//! ```
//!
//! Nothing here reads a clock, makes an id, does I/O or logs: time and ids come in with the proposal, and
//! every iteration is over ordered maps. Two controllers that apply the same log hold the same state.

pub mod apply;
pub mod command;
pub mod model;
pub mod snapshot;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_backups;
#[cfg(test)]
mod tests_moves;
#[cfg(test)]
mod tests_restored;

pub(crate) use apply::{Restoration, first_controller, is_quiet, over_alone, restored};
pub use apply::{apply, apply_to};
pub use command::{Actor, ActorKind, Command, NewEvent, Outcome, Proposal, Refusal, RefusalCode, Reply};
pub use model::*;
