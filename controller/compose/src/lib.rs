//! Reads compose files as the Compose Specification has them, and says what omni makes of them.
//!
//! ```text
//! Input ─▶ load ─▶ keys ─▶ read ─▶ groups ─▶ Reading ─▶ normalised
//! bytes    one     is it   typed    what is   the app,   as YAML, for
//! by name  document known? values   placed    its files  `deploy --check`
//! ```
//!
//! Pure: no I/O, no clock, no environment. A client packs what the files refer to ([`needs`]) and the controller
//! reads ([`read`]), so that the command, the SDK, the dashboard and the bot share one reading. Everything that is
//! wrong is told at once, with file, line, column and key; nothing is dropped in silence. Which keys are honoured
//! stands in one table ([`KEYS`]).

mod dotenv;
mod fault;
mod groups;
mod input;
mod interpolate;
mod keys;
mod load;
mod merge;
mod normal;
mod paths;
mod read;
mod reading;
mod report;
mod suggest;
mod units;
mod yaml;

pub use fault::{Fault, FaultKind, Faults, MAX_FAULTS, MAX_NOTES, Note, Place};
pub use input::{
    Input, MAX_FILE_BYTES, MAX_MAIN_FILES, MAX_PROJECT_FILES, ProjectFile, Reference, ReferenceKind,
};
pub use keys::{KEYS, Key, Verdict, page};
pub use normal::normalised;
pub use reading::{Reading, needs, read};
