//! The controllers' own recovery: their state as a file that only the cluster's key opens, and a new cluster made of it.
//!
//! ```text
//! State ─▶ file.rs: sealed under the cluster key ─▶ an agent ─▶ restic     (ingest/contents.rs hands it out)
//! restic ─▶ file ─▶ restore.rs ─▶ the data folder of the first controller of the cluster that goes on
//! ```

pub(crate) mod file;
mod restore;
#[cfg(test)]
mod tests;

pub use restore::restore;
