//! The agent over real QUIC, and against a real Docker engine where there is one.

mod docker;
mod failover;
