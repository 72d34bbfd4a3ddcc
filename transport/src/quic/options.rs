//! What may be tuned, with values that suit production.

use std::time::Duration;

/// Limits and timings of an endpoint.
#[derive(Clone, Debug)]
pub struct QuicOptions {
    /// Handshakes worked on at once. Further ones wait in the QUIC endpoint, up to `max_waiting`; from half
    /// of it on, newcomers must first prove their address, which keeps spoofed packets from costing
    /// signatures.
    pub max_handshakes: usize,
    /// Newcomers that may wait for a handshake; beyond, they are refused at once and come back later.
    pub max_waiting: usize,
    /// Connections without a certificate at one time; beyond, they are closed as a flood. Anybody can make
    /// one of these, so they must not cost much.
    pub max_newcomers: usize,
    /// Handshaken connections that may wait for [`Network::accept`](crate::Network::accept); beyond,
    /// handshakes wait.
    pub accept_queue: usize,
    /// A peer that does not finish its handshake within this is dropped.
    pub handshake_timeout: Duration,
    /// A dial that gets no answer gives up after this.
    pub connect_timeout: Duration,
    /// An agent's link is lost after this much silence.
    pub agent_idle: Duration,
    /// An agent breaks its own silence this often.
    pub agent_keep_alive: Duration,
    /// A link between controllers is lost after this much silence.
    pub controller_idle: Duration,
    /// A controller breaks its own silence this often.
    pub controller_keep_alive: Duration,
    /// Request streams a gateway may have open on one agent.
    pub agent_requests: u32,
    /// Streams a controller may have open on another.
    pub controller_streams: u32,
    /// How long a shutdown waits for peers to be told.
    pub shutdown_grace: Duration,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            max_handshakes: 256,
            max_waiting: 4096,
            max_newcomers: 256,
            accept_queue: 256,
            handshake_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            agent_idle: Duration::from_secs(15),
            agent_keep_alive: Duration::from_secs(4),
            controller_idle: Duration::from_secs(3),
            controller_keep_alive: Duration::from_millis(750),
            agent_requests: 256,
            controller_streams: 1024,
            shutdown_grace: Duration::from_secs(1),
        }
    }
}
