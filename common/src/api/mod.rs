//! Bodies of the HTTP API, one module per version.

pub mod v1;
