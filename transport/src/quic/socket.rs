//! The UDP socket and what an endpoint keeps across restarts.

use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Wanted socket buffers, bytes. The usual 208 KiB hold some hundred small packets, and a thousand agents
/// send theirs in the same instant when a controller comes back. The kernel grants what
/// `net.core.rmem_max` allows; less only means retransmissions.
const BUFFER: usize = 4 << 20;
/// At least this long between two notes to peers of an earlier process. Each is smaller than the packet it
/// answers, so they amplify nothing.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// Opens an endpoint on `address`.
///
/// With a restart key, the next process on the same address can tell peers of this one at their first packet
/// that their connections are gone (a QUIC stateless reset); they need not wait out the idle time.
pub(super) fn open(
    address: SocketAddr,
    restart_key: Option<[u8; 32]>,
    server: Option<ServerConfig>,
) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let options = SockRef::from(&socket);
    // A smaller buffer is slower and not wrong.
    options.set_recv_buffer_size(BUFFER).ok();
    options.set_send_buffer_size(BUFFER).ok();
    let config = restart_key.map_or_else(EndpointConfig::default, restartable);
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
}

fn restartable(key: [u8; 32]) -> EndpointConfig {
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key)));
    config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
    config.min_reset_interval(RESET_INTERVAL);
    config
}

/// Random connection ids, none of which is foreign: the default ones carry a mark of their process, and
/// packets with an earlier process's mark would be dropped instead of answered by a reset.
struct RandomIds(SystemRandom);

const ID: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID];
        self.0.fill(&mut id).expect("the system's random source works");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
