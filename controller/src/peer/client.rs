//! Calls to other controllers.

use super::wire::{PeerAnswer, PeerCall};
use crate::links::{LinkError, Links};
use omni_common::codec::MAX_PEER_FRAME;
use omni_common::ids::ControllerId;
use omni_common::wire::CloseCode;
use omni_transport::{
    Closed, ClosedBy, ConnectError, Connection, FrameError, FrameReader, FrameWriter, TransportError,
};
use std::time::Duration;

/// A call to another controller failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// It could not be reached.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The connection broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// What came back could not be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Nothing came back.
    #[error("controller {0} did not answer in time")]
    Silent(ControllerId),
    /// The stream ended without an answer.
    #[error("controller {0} ended the call without an answer")]
    NoAnswer(ControllerId),
}

impl PeerError {
    /// Whether the other controller says that this one is no member of the group any more.
    pub(crate) fn is_removed(&self) -> bool {
        let revoked = |closed: &Closed| closed.code == CloseCode::Revoked && closed.by == ClosedBy::Peer;
        match self {
            Self::Link(LinkError::Dial { source: ConnectError::Handshake { closed, .. }, .. })
            | Self::Transport(TransportError::Closed(closed))
            | Self::Frame(FrameError::Io(TransportError::Closed(closed))) => revoked(closed),
            _ => false,
        }
    }
}

/// Both ends of a call's stream.
pub(crate) type PeerStream = (FrameWriter<PeerCall>, FrameReader<PeerAnswer>);

/// Calls other controllers.
#[derive(Clone)]
pub(crate) struct PeerClient {
    links: Links,
}

impl PeerClient {
    pub(crate) fn new(links: Links) -> Self {
        Self { links }
    }

    /// Opens a stream and sends the first frame.
    pub(crate) async fn open(
        &self,
        to: ControllerId,
        address: &str,
        call: &PeerCall,
    ) -> Result<PeerStream, PeerError> {
        let connection = self.links.get(to, address).await?;
        start(&connection, call).await
    }

    /// One call, one answer.
    pub(crate) async fn call(
        &self,
        to: ControllerId,
        address: &str,
        call: &PeerCall,
        limit: Duration,
    ) -> Result<PeerAnswer, PeerError> {
        let mut used = None;
        let exchange = async {
            let connection = self.links.get(to, address).await?;
            let (mut calls, mut answers) = start(used.insert(connection), call).await?;
            calls.finish();
            answers.next().await?.ok_or(PeerError::NoAnswer(to))
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(answer) => {
                if answer.is_ok() {
                    self.links.answered(to);
                }
                answer
            }
            Err(_) => {
                if let Some(connection) = used {
                    self.links.unanswered(to, &connection);
                }
                Err(PeerError::Silent(to))
            }
        }
    }

    /// Drops the connection to a controller that was removed.
    pub(crate) async fn forget(&self, to: ControllerId) {
        self.links.forget(to, omni_common::wire::CloseCode::Revoked, "this controller was removed").await;
    }
}

async fn start(connection: &Connection, call: &PeerCall) -> Result<PeerStream, PeerError> {
    let (send, receive) = connection.open_bi().await?;
    let mut calls = FrameWriter::with_limit::<MAX_PEER_FRAME>(send);
    calls.send(call).await?;
    Ok((calls, FrameReader::with_limit::<MAX_PEER_FRAME>(receive)))
}
