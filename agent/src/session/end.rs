//! How a session ends, and what follows from it. Pure.

use omni_common::wire::CloseCode;
use omni_transport::{Closed, ClosedBy};

/// How a session, or an attempt at one, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The agent stops.
    Stopped,
    /// The connection is over.
    Closed(Closed),
    /// The gateway announced that it goes.
    Goodbye(String),
    /// The gateway no longer answers.
    Silent,
    /// The gateway answers, and has had no leader for too long.
    Leaderless,
    /// Nobody listens at the gateway's port any more.
    Gone,
    /// The gateway does not keep to the protocol, or a stream broke.
    Broken(String),
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("the agent stops"),
            Self::Closed(closed) => closed.fmt(f),
            Self::Goodbye(reason) => write!(f, "the gateway goes: {reason}"),
            Self::Silent => f.write_str("the gateway does not answer"),
            Self::Leaderless => f.write_str("the gateway reaches no leader"),
            Self::Gone => f.write_str("nobody listens at the gateway's port"),
            Self::Broken(what) => f.write_str(what),
        }
    }
}

/// What to do after a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go to another controller at once.
    Move,
    /// Another process uses this host's identity: wait before taking the session back.
    Yield,
    /// The controller says that this host was removed; see `removal.rs` for whether to believe it.
    Doubt,
    /// The agent stops.
    Stop,
}

impl End {
    /// What follows. Only the other side, which has proved to be a controller, can send a host away.
    pub fn next(&self) -> Next {
        match self {
            Self::Stopped => Next::Stop,
            Self::Closed(Closed { code, by: ClosedBy::Peer, .. }) => match code {
                CloseCode::Revoked => Next::Doubt,
                CloseCode::Superseded => Next::Yield,
                _ => Next::Move,
            },
            _ => Next::Move,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: CloseCode, by: ClosedBy) -> End {
        End::Closed(Closed { code, reason: String::new(), by })
    }

    #[test]
    fn only_a_peer_can_send_us_away() {
        assert_eq!(closed(CloseCode::Revoked, ClosedBy::Peer).next(), Next::Doubt);
        assert_eq!(closed(CloseCode::Revoked, ClosedBy::Local).next(), Next::Move);
        assert_eq!(closed(CloseCode::Superseded, ClosedBy::Peer).next(), Next::Yield);
        assert_eq!(End::Stopped.next(), Next::Stop);
    }

    #[test]
    fn everything_else_moves_on() {
        for code in CloseCode::ALL {
            if !matches!(code, CloseCode::Revoked | CloseCode::Superseded) {
                assert_eq!(closed(*code, ClosedBy::Peer).next(), Next::Move, "{code}");
            }
        }
    }
}
