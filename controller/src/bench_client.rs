//! The protocol between controllers as a client of its own speaks it, for `make bench`. Only with the cargo
//! feature `bench`; no shipped program holds it.
//!
//! The identity is that of a controller which was enrolled and never runs: it may call, but it does not vote, so
//! the group under measurement is the three that do.

use crate::data_dir::{DataDir, DataDirError};
use crate::peer::{PeerAnswer, PeerCall};
use crate::raft::RaftStatus;
use crate::state::{Proposal, Refusal, Reply};
use omni_certs::{ExpectServer, MeshTls};
use omni_common::codec::MAX_PEER_FRAME;
use omni_common::ids::ControllerId;
use omni_common::wire::ALPN_PEER;
use omni_transport::{
    Connect, ConnectError, Connection, FrameError, FrameReader, FrameWriter, Network, QuicNetwork,
    TransportError,
};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// A call was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The folder holds no identity.
    #[error(transparent)]
    Folder(#[from] DataDirError),
    /// The identity is of no use.
    #[error(transparent)]
    Identity(#[from] omni_certs::Error),
    /// There is no socket to be had.
    #[error(transparent)]
    Bind(#[from] omni_transport::BindError),
    /// The controller cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The state refused the command.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The controller answered, but not with what was asked for: it does not lead, or cannot write.
    #[error("the controller answered {0}")]
    Answer(String),
}

/// An identity, and a socket to call from.
pub struct BenchMesh {
    network: Arc<QuicNetwork>,
}

impl BenchMesh {
    /// Takes the identity of the controller in `folder`, which must not run. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the folder holds none, or there is no free socket.
    pub fn open(folder: &Path) -> Result<Self, BenchError> {
        let (_, member) = DataDir::open(folder)?;
        let tls = MeshTls::new(&member.key, &member.chain())?;
        let network = QuicNetwork::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(tls))?;
        Ok(Self { network })
    }

    /// A connection to one controller.
    ///
    /// # Errors
    /// When it cannot be reached, or is another one.
    pub async fn connect(&self, to: ControllerId, address: &str) -> Result<BenchLink, BenchError> {
        let how = Connect::Mesh(ExpectServer::Controller(to));
        let connection = self.network.connect(address, ALPN_PEER, how).await?;
        Ok(BenchLink { connection })
    }
}

/// A connection to one controller; clones share it. Each call is a stream, as between controllers.
#[derive(Clone)]
pub struct BenchLink {
    connection: Connection,
}

impl BenchLink {
    /// Commits a proposal; returns its log index and what `apply` gave back.
    ///
    /// # Errors
    /// When this controller does not lead, the state refuses, or the connection breaks.
    pub async fn propose(&self, proposal: Proposal) -> Result<(u64, Reply), BenchError> {
        match self.call(&PeerCall::Propose(Box::new(proposal))).await? {
            PeerAnswer::Applied { index, outcome } => Ok((index, outcome?)),
            other => Err(unexpected(&other)),
        }
    }

    /// The log index that a linearizable read must wait for.
    ///
    /// # Errors
    /// When this controller does not lead, or the connection breaks.
    pub async fn read_index(&self) -> Result<u64, BenchError> {
        match self.call(&PeerCall::ReadIndex).await? {
            PeerAnswer::ReadIndex(index) => Ok(index),
            other => Err(unexpected(&other)),
        }
    }

    /// What this controller knows of the group.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn status(&self) -> Result<RaftStatus, BenchError> {
        match self.call(&PeerCall::Status).await? {
            PeerAnswer::Status(status) => Ok(status.raft),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn call(&self, call: &PeerCall) -> Result<PeerAnswer, BenchError> {
        let (send, receive) = self.connection.open_bi().await?;
        let mut calls = FrameWriter::with_limit::<MAX_PEER_FRAME>(send);
        calls.send(call).await?;
        calls.finish();
        let mut answers = FrameReader::with_limit::<MAX_PEER_FRAME>(receive);
        let answer = answers.next().await?;
        answer.ok_or_else(|| BenchError::Answer("nothing".to_owned()))
    }
}

fn unexpected(answer: &PeerAnswer) -> BenchError {
    BenchError::Answer(format!("{answer:?}"))
}
