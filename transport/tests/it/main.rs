//! The transport from outside: real QUIC on loopback with friendly and hostile peers, and the simulated
//! network under paused time.

mod frames;
mod handshake;
mod limits;
mod renewal;
mod sim;
mod support;
