//! What controllers ask of each other besides Raft: writes and reads forwarded to the leader, heartbeats of
//! agents, what agents observed, and streams to agents of another gateway.

pub(crate) mod client;
pub(crate) mod wire;

pub(crate) use client::{PeerClient, PeerError};
pub(crate) use wire::{PeerAnswer, PeerCall};
