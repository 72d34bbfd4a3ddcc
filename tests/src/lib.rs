//! What the tests of the whole share: a testbed of several hosts on one machine, and meshes of omni's own
//! programs on it or beside it.

#[cfg(feature = "bench")]
pub mod bench;
pub mod mesh;
pub mod sim;
pub mod testbed;
