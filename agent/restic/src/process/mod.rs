//! One run of restic as a child process.
//!
//! ```text
//!                  ┌── lifeline ──▶ leash (sh) ── holds ──┐
//!   this process ──┤                                      ▼
//!                  └── data ───────────────────────▶ stdin of restic (sh, until it is told to go)
//! ```
//! - restic starts only when the leash holds it; `leash` says why there is one.
//! - A run ends in one of three ways: by itself, by a wish to stop (SIGINT, a bounded wait, SIGKILL for its
//!   group and all that it started), or by this process' death, when the leash does the same.
//! - A stream that restic reads ends for it only when its source has ended well; `feed` says how.
//! - Output is read as it comes and kept within bounds; a reader that is slow slows restic down.

mod feed;
mod kill;
mod leash;
mod lines;
mod run;

pub use feed::Source;
pub(crate) use feed::{FeedEnd, Input};
pub(crate) use lines::LineReader;
pub(crate) use run::{Command, Ended, run};
