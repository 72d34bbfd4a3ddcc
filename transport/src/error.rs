//! How connections, streams and frames fail.

use omni_common::codec::CodecError;
use omni_common::wire::CloseCode;
use std::fmt;
use std::io;
use std::time::Duration;

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The other side.
    Peer,
    /// This side.
    Local,
    /// Nobody: it went silent, or the other process is gone.
    Lost,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Named reason.
    pub code: CloseCode,
    /// For a person.
    pub reason: String,
    /// Who ended it.
    pub by: ClosedBy,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            ClosedBy::Peer => "closed by the other side",
            ClosedBy::Local => "closed by this side",
            ClosedBy::Lost => "connection lost",
        };
        write!(f, "{by}: {}", self.code)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " ({})", self.reason) }
    }
}

/// A connection or stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection is over.
    #[error("{0}")]
    Closed(Closed),
    /// The other side abandoned sending on this stream.
    #[error("the other side abandoned the stream: {0}")]
    Reset(CloseCode),
    /// The other side no longer reads this stream.
    #[error("the other side stopped reading the stream: {0}")]
    Stopped(CloseCode),
    /// The stream was finished, reset or stopped on this side before.
    #[error("the stream is already finished on this side")]
    Finished,
    /// A value is too large for a frame, or cannot be encoded.
    #[error("cannot put a value into a frame")]
    Encode(#[source] CodecError),
    /// An encoded frame is over the limit of its stream.
    #[error("a frame of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
        /// What the stream allows, bytes.
        limit: usize,
    },
}

impl From<TransportError> for io::Error {
    fn from(error: TransportError) -> Self {
        let kind = match &error {
            TransportError::Closed(closed) if closed.by == ClosedBy::Lost => io::ErrorKind::TimedOut,
            TransportError::Closed(_) | TransportError::Reset(_) => io::ErrorKind::ConnectionReset,
            TransportError::Stopped(_) | TransportError::Finished => io::ErrorKind::BrokenPipe,
            TransportError::Encode(_) | TransportError::TooLarge { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// What arrived on a stream is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It announces more bytes than its stream allows. Nothing was allocated for it.
    #[error("a frame announces {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Announced size, bytes.
        size: usize,
        /// What the stream allows, bytes.
        limit: usize,
    },
    /// Its bytes are not a value of the stream's type.
    #[error("a frame cannot be read")]
    Bad(#[source] CodecError),
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Torn,
    /// The stream or its connection failed.
    #[error(transparent)]
    Io(#[from] TransportError),
}

impl FrameError {
    /// What to close the connection with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::TooLarge { .. } => CloseCode::FrameTooLarge,
            Self::Bad(_) | Self::Torn => CloseCode::BadFrame,
            Self::Io(TransportError::Closed(closed)) => closed.code,
            Self::Io(_) => CloseCode::Internal,
        }
    }
}

/// A connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not `host:port`, or the name does not resolve.
    #[error("cannot resolve `{address}`")]
    Resolve {
        /// What was dialled.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name resolves to nothing this endpoint can reach (IPv6 only, from an IPv4 socket).
    #[error("`{0}` has no address that this endpoint can reach")]
    NoAddress(String),
    /// Nobody answered in time.
    #[error("no answer from {address} within {waited:?}")]
    TimedOut {
        /// Who was dialled.
        address: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The two sides did not come to terms: a foreign or expired certificate, another server than the one
    /// meant, no common protocol.
    #[error("handshake with {address} failed: {closed}")]
    Handshake {
        /// Who was dialled.
        address: String,
        /// What went wrong.
        closed: Closed,
    },
    /// This side has no certificate yet, so it can only enrol.
    #[error("this machine has no certificate of the mesh yet")]
    NoIdentity,
    /// This endpoint is shut down.
    #[error("this endpoint is shut down")]
    ShutDown,
}

/// A network endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on UDP {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}
