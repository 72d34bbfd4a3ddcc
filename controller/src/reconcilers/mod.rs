//! Background work of the leader.
//!
//! A reconciler takes no input: it wakes on a change of the state or after its period, reads the state,
//! compares, and acts. Restart, failover and the normal path are one code path.

mod backups;
mod driver;
mod liveness;
mod members;
mod moves;
mod placement;
mod rescues;

pub(crate) use backups::Backups;
pub(crate) use driver::drive;
pub(crate) use liveness::Liveness;
pub(crate) use members::Members;
pub(crate) use moves::Moves;
pub(crate) use placement::Placement;
pub(crate) use rescues::Rescues;
