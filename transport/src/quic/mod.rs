//! QUIC with mutual TLS: one UDP port, protocols parted by ALPN.

mod accept;
pub(crate) mod close;
mod dial;
mod endpoint;
mod options;
mod profile;
mod socket;
pub(crate) mod stream;

pub use endpoint::QuicNetwork;
pub use options::QuicOptions;
pub(crate) use profile::NEWCOMER_STREAMS;
