//! Finds out that a controller's process is gone while its machine still runs.
//!
//! QUIC itself notices a killed peer only by its silence. But the kernel of the peer's machine answers a
//! datagram to a port that nobody listens on, and on a *connected* socket that answer arrives as "connection
//! refused". So each half heartbeat one byte goes to the controller's port from a socket of its own (QUIC drops
//! it as too short to be a packet). Where such answers are filtered, nothing is ever refused and the missing
//! heartbeat answers decide, as they do when the whole machine is gone.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long a refusal may take: longer than any round trip within a region matters little, since the next probe
/// sees a late one.
const WAIT: Duration = Duration::from_millis(100);
/// Refusals in a row that count as proof.
const PROOF: u32 = 2;

/// A socket connected to a controller's port.
pub(super) struct PortProbe(UdpSocket);

impl PortProbe {
    /// For the peer at `remote`; absent when that is no socket address, as in simulations.
    pub(super) async fn new(remote: &str) -> Option<Self> {
        let remote: SocketAddr = remote.parse().ok()?;
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await.ok()?;
        socket.connect(remote).await.ok()?;
        Some(Self(socket))
    }

    /// Whether nobody listens there. Takes up to a tenth of a second when somebody does.
    pub(super) async fn refused(&self) -> bool {
        for _ in 0..PROOF {
            if !self.probe().await {
                return false;
            }
        }
        true
    }

    async fn probe(&self) -> bool {
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if let Err(error) = self.0.send(&[0]).await {
            return refused(&error);
        }
        let mut nothing = [0; 1];
        match tokio::time::timeout(WAIT, self.0.recv(&mut nothing)).await {
            Ok(Err(error)) => refused(&error),
            Ok(Ok(_)) | Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_told_from_an_open_one() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
        let remote = peer.local_addr().expect("bound").to_string();
        let probe = PortProbe::new(&remote).await.expect("a socket address");
        assert!(!probe.refused().await, "somebody listens");
        drop(peer);
        assert!(probe.refused().await, "nobody listens");
    }

    #[tokio::test]
    async fn simulated_addresses_are_not_probed() {
        assert!(PortProbe::new("c1").await.is_none());
    }
}
