//! Taking in those who dial: many handshakes at once, none of which can hold up another.

use crate::connection::{Connection, Link};
use crate::quic::close;
use crate::quic::options::QuicOptions;
use crate::quic::profile;
use crate::quic::stream::varint;
use crate::rejections::Rejections;
use crate::roles::check_role;
use omni_certs::{LeafInfo, Role, leaf_info};
use omni_common::wire::CloseCode;
use quinn::crypto::rustls::HandshakeData;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

/// At most one failed handshake is logged in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Accepts until the endpoint is closed.
pub(super) struct Acceptor {
    pub(super) endpoint: quinn::Endpoint,
    /// Places for those who have no certificate yet.
    pub(super) newcomers: Arc<Semaphore>,
    pub(super) options: Arc<QuicOptions>,
    pub(super) rejections: Rejections,
    pub(super) ready: mpsc::Sender<Connection>,
    pub(super) log_limit: LogLimit,
}

impl Acceptor {
    /// Each newcomer's handshake runs in its own task; how many do is bounded, and those beyond wait in the
    /// endpoint.
    pub(super) async fn run(self) {
        let slots = Arc::new(Semaphore::new(self.options.max_handshakes));
        let this = Arc::new(self);
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            let Some(incoming) = this.endpoint.accept().await else {
                return;
            };
            let busy = slots.available_permits() < this.options.max_handshakes / 2;
            if busy && !incoming.remote_address_validated() && incoming.may_retry() {
                incoming.retry().ok();
                continue;
            }
            tokio::spawn(this.clone().take_in(incoming, slot));
        }
    }

    /// Holds its slot until the connection is handed over, so that a slow consumer slows handshakes down
    /// instead of piling up connections.
    async fn take_in(self: Arc<Self>, incoming: quinn::Incoming, _slot: OwnedSemaphorePermit) {
        let from = incoming.remote_address();
        match tokio::time::timeout(self.options.handshake_timeout, incoming).await {
            Err(_) => {
                self.rejections.handshake_timed_out();
                self.log_failure(from, "not finished in time");
            }
            Ok(Err(error)) => {
                self.rejections.handshake_failed();
                self.log_failure(from, &close::explain(&error).to_string());
            }
            Ok(Ok(connection)) => self.hand_over(connection).await,
        }
    }

    /// Anybody can fail a handshake, as often as they like: the counters have them all, the log a sample.
    fn log_failure(&self, peer: SocketAddr, reason: &str) {
        if let Some(unlogged) = self.log_limit.pass(Instant::now()) {
            tracing::info!(%peer, reason, unlogged, "handshake failed");
        }
    }

    async fn hand_over(&self, link: quinn::Connection) {
        let alpn = settled_alpn(&link);
        let leaf = match peer_leaf(&link) {
            Ok(leaf) => leaf,
            Err(error) => {
                // The verifier has read the same certificate, so this is a fault of ours.
                tracing::error!(%error, "a verified certificate cannot be read");
                link.close(varint(CloseCode::Internal), b"certificate");
                return;
            }
        };
        let identity = leaf.as_ref().map(|leaf| leaf.identity);
        match identity.map(|identity| identity.role) {
            Some(Role::Controller(_)) => profile::raise_to_controller(&link, &self.options),
            Some(Role::Host(_)) => profile::raise_to_agent(&link),
            None => {}
        }
        let connection = Connection::new(Link::Quic(link), alpn, leaf, self.rejections.clone());
        if let Err(code) = check_role(connection.alpn(), identity) {
            return connection.close(code, "this certificate is not for this protocol");
        }
        if identity.is_none() && !self.hold_place(&connection) {
            return connection.close(CloseCode::Flood, "too many machines enrol at once: try again");
        }
        // Nobody receives only while the endpoint shuts down, which closes the connection anyway.
        self.ready.send(connection).await.ok();
    }

    /// Takes one of the few places for peers that anybody could be, until the connection is dropped.
    fn hold_place(&self, connection: &Connection) -> bool {
        match self.newcomers.clone().try_acquire_owned() {
            Ok(place) => connection.hold(place),
            Err(_) => false,
        }
    }
}

/// Lets one line a second through.
#[derive(Default)]
pub(super) struct LogLimit(Mutex<(Option<Instant>, u64)>);

impl LogLimit {
    /// When a line may be written: how many were held back before it.
    fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, held) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            *held += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(held))
    }
}

/// The protocol that the handshake settled.
pub(super) fn settled_alpn(link: &quinn::Connection) -> Vec<u8> {
    link.handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok())
        .and_then(|data| data.protocol)
        .unwrap_or_default()
}

/// What the certificate of a handshaken peer says; absent when it showed none.
pub(super) fn peer_leaf(link: &quinn::Connection) -> Result<Option<LeafInfo>, omni_certs::Error> {
    link.peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().map(|leaf| leaf_info(leaf)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_held_back() {
        let limit = LogLimit::default();
        let start = Instant::now();
        assert_eq!(limit.pass(start), Some(0));
        for millis in [1, 500, 999] {
            assert_eq!(limit.pass(start + Duration::from_millis(millis)), None);
        }
        assert_eq!(limit.pass(start + LOG_INTERVAL), Some(3));
        assert_eq!(limit.pass(start + LOG_INTERVAL * 3), Some(0));
    }
}
