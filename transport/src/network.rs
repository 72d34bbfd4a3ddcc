//! What the rest of omni sees of a network.

use crate::connection::Connection;
use crate::error::ConnectError;
use crate::rejections::Rejections;
use async_trait::async_trait;
use omni_certs::{CaFingerprint, ExpectServer, MeshTls};
use omni_common::wire::CloseCode;

/// How to introduce ourselves, and whom to accept.
#[derive(Clone, Copy, Debug)]
pub enum Connect<'a> {
    /// As a member, to this server.
    Mesh(ExpectServer),
    /// As nobody yet, to any controller of the cluster with this root.
    Enroll(&'a CaFingerprint),
}

/// An endpoint that dials and is dialled.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Dials `addr` (`host:port`).
    ///
    /// A connection that comes back is encrypted and its server is who was meant, but the server may still
    /// refuse *us*: TLS 1.3 tells the client so only afterwards. Count a session as up when the first answer
    /// has arrived; a refusal shows in that read and in [`Connection::closed`].
    async fn connect(
        &self,
        addr: &str,
        alpn: &'static [u8],
        how: Connect<'_>,
    ) -> Result<Connection, ConnectError>;

    /// The next peer that has dialled in, finished its handshake and may speak its protocol. Absent once the
    /// endpoint is shut down.
    async fn accept(&self) -> Option<Connection>;

    /// The address it is reached at, as far as it knows.
    fn local_addr(&self) -> String;

    /// Takes up a certificate: the first one after enrolment, or one for another identity. A renewal goes
    /// through [`MeshTls::replace`] instead.
    fn set_tls(&self, tls: MeshTls);

    /// Whom this endpoint has turned away.
    fn rejections(&self) -> Rejections;

    /// Closes every connection and stops listening; returns when peers have been told, or soon after.
    async fn shutdown(&self, code: CloseCode, reason: &str);
}
