//! Connections between members of the mesh: QUIC with mutual TLS, or memory in simulations.
//!
//! ```text
//!  Network ──connect / accept──▶ Connection ──open / accept──▶ SendStream, RecvStream
//!  (QuicNetwork | sim::SimNetwork)   peer identity, close codes      └▶ FrameWriter<T>, FrameReader<T>
//! ```
//!
//! Callers see handshaken connections whose peer has the role its protocol needs, and frames of one type.
//! Everything else is refused here: closed with a named [`CloseCode`](omni_common::wire::CloseCode), counted
//! in [`Rejections`], logged once, and without effect on other connections. This is the only crate that
//! names the QUIC implementation.

mod connection;
mod error;
mod frames;
mod network;
pub mod quic;
mod rejections;
mod roles;
pub mod sim;
mod stream;

pub use connection::Connection;
pub use error::{BindError, Closed, ClosedBy, ConnectError, FrameError, TransportError};
pub use frames::{FrameReader, FrameWriter};
pub use network::{Connect, Network};
pub use quic::{QuicNetwork, QuicOptions};
pub use rejections::Rejections;
pub use stream::{RecvStream, SendStream};
