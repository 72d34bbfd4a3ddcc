//! The daemon on each host: reports the machine and its containers, and does what the cluster asks.
//!
//! ```text
//! main ─▶ join.rs    token ─▶ identity in the ledger (ledger/)
//!      └▶ daemon.rs  puts together and supervises (supervisor.rs):
//!           docker/      the engine's containers, pushed ─▶ inventory.rs ─┐
//!           host.rs      collectors/ and history/ on their own thread     ├─▶ session/ ◀─QUIC─▶ gateway
//!           executors/   logs, exec, history, processes ◀─────────────────┤
//!           images/      from and to other hosts, when no registry has them
//!             converge/  allocations ◀─▶ the Docker engine, through workloads/ ◀┤
//!           backup/      restic, databases, restores ◀─▶ the work list in runs/ ◀┘
//! ```
//!
//! `machine.rs` is the seam: a session speaks for this machine or, in `sim.rs`, for a made-up one. The session
//! state machine is the same, so thousands of simulated agents in one process behave like real ones.
//!
//! What never happens here: the wall clock decides nothing but certificates and labels on samples; nothing is
//! read from a source before its reader has taken what came before; a session never waits for a disk.

pub mod args;
pub mod backup;
pub mod collectors;
pub mod config;
pub mod credentials;
pub mod daemon;
pub mod docker;
mod enroll;
pub mod executors;
pub mod history;
pub mod host;
pub mod images;
pub mod inventory;
pub mod join;
pub mod ledger;
pub mod logging;
pub mod machine;
pub mod runs;
pub mod session;
pub mod sim;
pub mod supervisor;
pub mod workloads;
