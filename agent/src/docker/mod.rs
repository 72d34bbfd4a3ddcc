//! The Docker engine of this host.
//!
//! ```text
//! watch.rs   connect, list, follow events ──▶ Containers (inventory.rs), images ──▶ session
//! engine.rs  one engine through bollard, every call with a deadline
//! change.rs  the calls that change something: containers, networks, volumes, images
//! images.rs the images it has, and how they leave and enter it
//! build.rs   its builder
//! parse.rs   the engine's JSON to omni's containers, PURE
//! bytes.rs   the two byte streams: logs and exec
//! inside.rs  connections that are made inside a container
//! demux.rs   what is in such a stream, PURE
//! ```
//!
//! bollard speaks for everything that is JSON. Logs and exec go through `bytes.rs` instead, because bollard's
//! decoder takes any terminal output that begins with a byte below 3 for a frame header and then buffers up
//! to 4 GiB of it, and buffers a terminal's log until its next line end: a container could fill the agent's
//! memory at will.

mod build;
pub mod bytes;
mod change;
pub mod demux;
mod engine;
#[cfg(test)]
pub(crate) mod fake;
mod images;
pub mod inside;
mod parse;
mod queue;
mod watch;
#[cfg(test)]
mod watch_tests;

pub use build::BuildWord;
pub use change::{ImageFacts, Network, VolumeFacts, check_image};
pub use engine::{DockerError, Engine, ExecState, Limits, check_reference};
pub use images::ImageStore;
pub use watch::{DockerStatus, Handle, Images, Watcher};
