//! Words that every part of omni shares: ids, time, domain values, frames of the agent protocol, and the
//! bodies of the HTTP API. No I/O happens here.

pub mod api;
pub mod clock;
pub mod codec;
pub mod domain;
pub mod ids;
pub mod wire;
