//! A connection, whatever carries it.

use crate::error::{Closed, TransportError};
use crate::quic::close;
use crate::quic::stream::varint;
use crate::rejections::Rejections;
use crate::sim::stream as sim;
use crate::stream::{RecvKind, RecvStream, SendKind, SendStream};
use omni_certs::{Identity, LeafInfo};
use omni_common::wire::CloseCode;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::OwnedSemaphorePermit;

/// Longest reason sent when closing, bytes: it must fit one packet.
const MAX_REASON: usize = 256;

/// A handshaken connection with a peer of the right role. Clones are the same connection; it closes when
/// the last of them and of its streams is dropped.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    link: Link,
    alpn: Vec<u8>,
    leaf: Option<LeafInfo>,
    rejections: Rejections,
    /// What this side closed it with: QUIC itself does not remember.
    closed_with: OnceLock<(CloseCode, String)>,
    /// Given back when the connection is dropped.
    place: OnceLock<OwnedSemaphorePermit>,
}

pub(crate) enum Link {
    Quic(quinn::Connection),
    Sim(sim::End),
}

impl Connection {
    pub(crate) fn new(link: Link, alpn: Vec<u8>, leaf: Option<LeafInfo>, rejections: Rejections) -> Self {
        Self(Arc::new(Inner {
            link,
            alpn,
            leaf,
            rejections,
            closed_with: OnceLock::new(),
            place: OnceLock::new(),
        }))
    }

    /// Keeps a place of a bounded number until the connection is dropped; false when it holds one already.
    pub(crate) fn hold(&self, place: OwnedSemaphorePermit) -> bool {
        self.0.place.set(place).is_ok()
    }

    /// Who is on the other side, by its certificate; absent while it has none.
    pub fn peer(&self) -> Option<Identity> {
        self.0.leaf.as_ref().map(|leaf| leaf.identity)
    }

    /// What the peer's certificate says.
    pub fn peer_leaf(&self) -> Option<LeafInfo> {
        self.0.leaf.clone()
    }

    /// The protocol spoken.
    pub fn alpn(&self) -> &[u8] {
        &self.0.alpn
    }

    /// The peer's address at this moment; it may change when the peer roams.
    pub fn remote(&self) -> String {
        match &self.0.link {
            Link::Quic(link) => canonical(link.remote_address()).to_string(),
            Link::Sim(link) => link.remote().to_owned(),
        }
    }

    /// Opens a stream of two directions. Waits while the peer allows no more streams. The peer learns of it
    /// with the first byte.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), TransportError> {
        match &self.0.link {
            Link::Quic(link) => {
                let (send, recv) = link.open_bi().await.map_err(|error| self.failed(error))?;
                Ok((SendStream(SendKind::Quic(send)), RecvStream(RecvKind::Quic(recv))))
            }
            Link::Sim(link) => {
                let (send, recv) = link.open_bi().await?;
                Ok((SendStream(SendKind::Sim(send)), RecvStream(RecvKind::Sim(recv))))
            }
        }
    }

    /// The next stream of two directions that the peer opens.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), TransportError> {
        match &self.0.link {
            Link::Quic(link) => {
                let (send, recv) = link.accept_bi().await.map_err(|error| self.failed(error))?;
                Ok((SendStream(SendKind::Quic(send)), RecvStream(RecvKind::Quic(recv))))
            }
            Link::Sim(link) => {
                let (send, recv) = link.accept_bi().await?;
                Ok((SendStream(SendKind::Sim(send)), RecvStream(RecvKind::Sim(recv))))
            }
        }
    }

    /// Opens a stream that only sends.
    pub async fn open_uni(&self) -> Result<SendStream, TransportError> {
        match &self.0.link {
            Link::Quic(link) => {
                let send = link.open_uni().await.map_err(|error| self.failed(error))?;
                Ok(SendStream(SendKind::Quic(send)))
            }
            Link::Sim(link) => Ok(SendStream(SendKind::Sim(link.open_uni().await?))),
        }
    }

    /// The next stream that the peer sends on.
    pub async fn accept_uni(&self) -> Result<RecvStream, TransportError> {
        match &self.0.link {
            Link::Quic(link) => {
                let recv = link.accept_uni().await.map_err(|error| self.failed(error))?;
                Ok(RecvStream(RecvKind::Quic(recv)))
            }
            Link::Sim(link) => Ok(RecvStream(RecvKind::Sim(link.accept_uni().await?))),
        }
    }

    /// Closes it. Only the first close counts; one for a fault of the peer is counted and logged.
    pub fn close(&self, code: CloseCode, reason: &str) {
        if self.is_closed() || self.0.closed_with.set((code, reason.to_owned())).is_err() {
            return;
        }
        if self.0.rejections.closing(code) {
            tracing::info!(peer = %self, %code, reason, "closing a connection");
        }
        self.close_uncounted(code, reason);
    }

    /// Closes it for a reason that was counted elsewhere.
    pub(crate) fn close_uncounted(&self, code: CloseCode, reason: &str) {
        match &self.0.link {
            Link::Quic(link) => link.close(varint(code), cut(reason).as_bytes()),
            Link::Sim(link) => link.close(code, cut(reason)),
        }
    }

    /// Waits until it is over, and says why.
    pub async fn closed(&self) -> Closed {
        match &self.0.link {
            Link::Quic(link) => self.explain(link.closed().await),
            Link::Sim(link) => link.closed().await,
        }
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        match &self.0.link {
            Link::Quic(link) => link.close_reason().is_some(),
            Link::Sim(link) => link.is_closed(),
        }
    }

    fn failed(&self, error: quinn::ConnectionError) -> TransportError {
        TransportError::Closed(self.explain(error))
    }

    fn explain(&self, error: quinn::ConnectionError) -> Closed {
        match (error, self.0.closed_with.get()) {
            (quinn::ConnectionError::LocallyClosed, Some((code, reason))) => {
                close::local(*code, reason.clone())
            }
            (quinn::ConnectionError::LocallyClosed, None) => {
                close::local(CloseCode::ShuttingDown, "this endpoint is shut down".to_owned())
            }
            (error, _) => close::explain(&error),
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer() {
            Some(peer) => write!(f, "{peer} at {}", self.remote()),
            None => write!(f, "{}", self.remote()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({self}, {})", String::from_utf8_lossy(self.alpn()))
    }
}

/// A socket of both families shows IPv4 peers as IPv6 ones; people know them by their own address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}
