//! What can go wrong, and how it is recognised.
//!
//! ```text
//! stderr, line by line ──▶ Findings ─┐
//! exit code or signal ───────────────┼─▶ judge ──▶ Error
//! which operation ───────────────────┘
//! ```
//! Since 0.17 restic has exit codes for three of the causes. For the rest, and for older versions, there is
//! only what it says, so `patterns` knows its sentences; each of them stands there with the version that says
//! it, and the tests hold captured output of both.

mod error;
mod findings;
mod judge;
mod patterns;
mod retries;
#[cfg(test)]
mod tests;

pub use error::{Error, FullPlace, Retry};
pub(crate) use findings::Findings;
#[cfg(test)]
use findings::GiveUp;
pub(crate) use judge::{Exit, Operation, is_partial, judge};
pub(crate) use patterns::Cause;
