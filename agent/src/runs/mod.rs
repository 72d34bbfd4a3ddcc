//! Runs that the cluster wants done on this host: backups, copies, checks, prunes, restores, drills.
//!
//! ```text
//! gateway ──Runs, orders──▶ Book (book.rs) ──who may begin──▶ Doer: backup/ on a real host, sim/ on a made-up one
//!         ◀─Run, progress── outcomes (kept.rs, on disk) ◀──what came of it───┘
//! ```
//!
//! alone/: what the host begins by itself while no controller is reachable.
//!
//! Pure: `book`, `claim`, `alone::due`. `driver.rs` does what they say; the session reads and writes, and waits for neither.
//!
//! What never happens here: an order for a run is not written to a disk (standing orders are, see `alone`); a run that is named is not forgotten before its outcome has
//! been told; two runs never work on the same instance at once, nor beside one that wants a repository for itself.

mod alone;
mod book;
mod claim;
mod driver;
mod errand;
mod kept;
#[cfg(test)]
mod tests;

pub use alone::{Alone, Offline, OfflineKeeper};
pub use driver::{MAX_AT_ONCE, Runs};
pub use errand::{Doer, Done, Errand, Reporter};
pub use kept::{Keeper, Kept};
