//! An app as a release keeps it: what a compose file came to, with nothing left to resolve.
//!
//! ```text
//! AppSpec ─┬─ groups    what is placed as one on a host, and by which rules
//!          ├─ services  everything the agent needs to make the containers
//!          ├─ networks, volumes, configs, secrets
//!          ├─ omni      backup, check and route, as written
//!          └─ adopted   the compose project that it was taken over from
//! ```
//!
//! These values travel and are kept as canonical JSON bytes ([`AppSpec::to_canonical_json`]), never in the
//! binary codec: a field at its default is left out, so a field added later changes no digest of an older release.
//! File contents are not in it; they are named by digest.

mod adopted;
mod build;
mod files;
mod group;
mod limits;
mod mount;
mod name;
mod network;
mod process;
mod service;
mod spec;

pub use adopted::*;
pub use build::*;
pub use files::*;
pub use group::*;
pub use limits::*;
pub use mount::*;
pub use name::*;
pub use network::*;
pub use process::*;
pub use service::*;
pub use spec::*;

/// Whether a field says no more than its absence would; such fields are left out of the JSON.
fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
