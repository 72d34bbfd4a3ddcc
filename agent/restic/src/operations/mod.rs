//! What restic can be asked to do.

mod backup;
mod browse;
mod call;
mod content;
mod copy;
mod forget;
mod keys;
mod locks;
mod repository;

pub(crate) use call::{Call, Task};
pub use locks::Unlock;
