//! Images from host to host, over the mesh: for when the registry is away, never had the image, or is not to be asked.
//!
//! ```text
//!  executors/converge/run/pull.rs                        executors/mod.rs
//!     │ no registry has it                                  │ AgentRequest::Image
//!     ▼                                                     ▼
//!  receive.rs ──uplink.rs──▶ gateway ──▶ its gateway ──▶ send.rs ◀─archive.rs─ engine (save)
//!     │ verified layers                                (missing layers only, from where each broke off)
//!     ▼
//!  staging.rs ──load.rs──▶ engine (load)
//! ```
//!
//! `login.rs` asks the gateway how to sign in to a registry, for pulls. `push.rs` and `build.rs` take in
//! what somebody sends from a workstation: a saved image for the engine to load, or what an image is built from.
//!
//! - What moves between hosts are unpacked layers, named by digest. The receiver says which it lacks and how much of each has arrived
//!   before; the sender reads them out of its engine and sends the rest.
//! - Verified: a layer's digest is counted before it counts as there; the configuration's digest is the image's id; the
//!   layers are those that the configuration names; the engine checks them once more as it unpacks them.
//! - Bounded: one image at a time arrives, [`MAX_SENDING`] leave; nothing is held in memory but a few chunks; the disk keeps
//!   a margin; layers of transfers that nobody took up again are removed.
//!
//! Pure: `archive`. Why it is so: `docs/adr/0017-images-between-hosts.md`.

pub mod archive;
mod build;
mod load;
mod login;
mod push;
mod receive;
mod send;
pub mod staging;
#[cfg(test)]
mod tests;
mod uplink;

pub use receive::{Miss, Turn};
pub use uplink::{Attached, Carries, Uplink};

use crate::docker::Handle;
use staging::Staging;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Images handed on at the same time; who asks for more is told to ask another host, or later. Each costs the engine a
/// copy on disk. One whose receiver died counts until that is noticed.
pub const MAX_SENDING: usize = 4;
/// Images built at the same time. Each may use all of the host's processors.
const MAX_BUILDING: usize = 2;
/// A side that says nothing for this long is given up. The sender says that it waits for its engine each
/// `BEAT`.
const IDLE: Duration = Duration::from_secs(60);
/// So often a sender that waits for its engine says so.
const BEAT: Duration = Duration::from_secs(5);

/// This host's part in it.
pub struct Images {
    docker: Handle,
    staging: Staging,
    uplink: Uplink,
    receiving: Mutex<()>,
    sending: Arc<Semaphore>,
    building: Semaphore,
    /// The engine wants all layers of an image, also those that it has.
    wants_all: AtomicBool,
}

impl Images {
    /// For this engine, with a folder for layers on their way.
    pub fn new(docker: Handle, folder: impl Into<PathBuf>) -> Self {
        Self {
            docker,
            staging: Staging::new(folder),
            uplink: Uplink::default(),
            receiving: Mutex::default(),
            sending: Arc::new(Semaphore::new(MAX_SENDING)),
            building: Semaphore::new(MAX_BUILDING),
            wants_all: AtomicBool::new(false),
        }
    }

    /// The way to other hosts, while there is one.
    pub fn uplink(&self) -> &Uplink {
        &self.uplink
    }
}
