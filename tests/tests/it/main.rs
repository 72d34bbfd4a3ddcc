//! Everything that needs more than one crate, in one binary: linking it once is what takes time.
//!
//! Tests that start the testbed live in modules below `testbed`; nextest runs those one at a time.

mod sim;
mod testbed;
