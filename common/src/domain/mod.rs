//! What omni talks about: hosts, what they measure and what runs on them.
//!
//! These values appear in frames and in API bodies alike, so their serde form stays plain: no skipped,
//! flattened, tagged or untagged fields, which the binary codec could not carry.

mod allocation;
pub mod app;
pub mod backup;
mod container;
mod facts;
mod gpu;
mod image;
mod name;
mod project;
mod registry;
mod sample;
mod secret;

pub use allocation::*;
pub use container::*;
pub use facts::*;
pub use gpu::*;
pub use image::*;
pub use name::*;
pub use project::*;
pub use registry::*;
pub use sample::*;
pub use secret::*;
