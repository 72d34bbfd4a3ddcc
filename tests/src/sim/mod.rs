//! Whole clusters in one process under paused time, broken as a seed decides.
//!
//! ```text
//!  seed ─▶ dice ─▶ plan ─┬─▶ setup: real controllers (disks in memory), simulated agents, one SimNet
//!                        ├─▶ workload: writers that repeat themselves, linearizable readers
//!                        └─▶ faults: cuts, crashes, slow disks and lines, members that come and go
//!                                       │
//!  every state, answer and lease ──▶ invariants ──▶ the first violation ends the run and is told
//! ```
//!
//! Everything above the network and the disk is the product as it runs in production. Time stands still while
//! anything can run and jumps to the next timer when nothing can, so that a minute of a cluster takes about a
//! second, and no check depends on how fast the machine is.
//!
//! `docs/how-to/simulate.md` says how to run, repeat and extend it.

mod apps;
mod backups;
mod client;
mod clock;
mod dice;
mod faults;
mod history;
mod host;
pub mod invariants;
mod map;
mod member;
mod scenario;
pub mod seeds;
mod setup;
mod verdict;
mod workload;
mod world;

pub use scenario::live;
