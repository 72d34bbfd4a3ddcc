//! Consensus: the only folder that names openraft.
//!
//! ```text
//! node.rs      a member of the group, with omni's types outside
//! machine.rs   entries -> state::apply -> published state; snapshots
//! log_store.rs the log in memory, one writer thread behind it; backend.rs is the disk
//! compaction.rs  when a snapshot is taken
//! seed.rs      a group that begins from a state; what a stopped member's disk holds
//! network.rs   calls to peers          server.rs  calls from peers          wire.rs  their frames
//! ```

mod backend;
mod compaction;
mod log_store;
mod machine;
mod network;
mod node;
mod seed;
mod server;
mod snapshots;
mod types;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use node::{Disk, NodeError, RaftNode};
pub use node::{MemoryDisk, Pace, RaftRole, RaftStatus};
pub(crate) use seed::{newest, seed};
