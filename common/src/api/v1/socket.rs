//! What all WebSockets have in common.
//!
//! A client that cannot set an `Authorization` header on the upgrade (a browser) sends [`SocketAuth`] as
//! its first message within five seconds. The server pings every 30 seconds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// First message of a client whose upgrade carried no bearer token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum SocketAuth {
    /// Who calls.
    Auth {
        /// An API token.
        token: String,
    },
}

/// Why the server closed a socket, as the WebSocket close code.
pub mod socket_close {
    /// All is said.
    pub const DONE: u16 = 1000;
    /// A message was malformed or out of order.
    pub const BAD_MESSAGE: u16 = 1008;
    /// A message was too large.
    pub const TOO_LARGE: u16 = 1009;
    /// The server failed; come back.
    pub const INTERNAL: u16 = 1011;
    /// The controller is stopping; go to another.
    pub const RESTARTING: u16 = 1012;
    /// The client read too slowly for too long.
    pub const SLOW_READER: u16 = 1013;
    /// No valid token came in time, or it was revoked or expired meanwhile.
    pub const UNAUTHENTICATED: u16 = 4401;
    /// The token's role does not allow this.
    pub const FORBIDDEN: u16 = 4403;
    /// There is no such thing.
    pub const NOT_FOUND: u16 = 4404;
}

impl std::fmt::Debug for SocketAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth { token: *** }")
    }
}
