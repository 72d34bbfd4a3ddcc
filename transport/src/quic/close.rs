//! Why a QUIC connection ended, in words a person can act on.
//!
//! A failed handshake arrives as a TLS alert number (QUIC code 0x100 plus the alert of RFC 8446, section
//! 6.2). When the peer turned *us* down, that number is all we learn.

use crate::error::{Closed, ClosedBy};
use crate::quic::stream::code;
use omni_common::wire::CloseCode;
use quinn::{ConnectionError, TransportErrorCode};

const ALERT_BAD_CERTIFICATE: u64 = 42;
const ALERT_CERTIFICATE_REVOKED: u64 = 44;
const ALERT_CERTIFICATE_EXPIRED: u64 = 45;
const ALERT_CERTIFICATE_UNKNOWN: u64 = 46;
const ALERT_UNKNOWN_CA: u64 = 48;
const ALERT_ACCESS_DENIED: u64 = 49;
const ALERT_DECRYPT_ERROR: u64 = 51;
const ALERT_NO_APPLICATION_PROTOCOL: u64 = 120;

/// Says why a connection ended.
pub(crate) fn explain(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) => Closed {
            code: code(close.error_code),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
            by: ClosedBy::Peer,
        },
        ConnectionError::ConnectionClosed(close) => turned_down(close.error_code, &close.reason),
        ConnectionError::TransportError(error) => failed_here(error.code, &error.reason),
        ConnectionError::LocallyClosed => local(CloseCode::Done, String::new()),
        ConnectionError::TimedOut => lost("the other side went silent"),
        ConnectionError::Reset => lost("the other side has restarted"),
        ConnectionError::VersionMismatch => Closed {
            code: CloseCode::UnsupportedProtocol,
            reason: "the other side speaks no common version of QUIC".to_owned(),
            by: ClosedBy::Peer,
        },
        ConnectionError::CidsExhausted => local(CloseCode::Internal, error.to_string()),
    }
}

/// Closed by this side.
pub(crate) fn local(code: CloseCode, reason: String) -> Closed {
    Closed { code, reason, by: ClosedBy::Local }
}

fn lost(reason: &str) -> Closed {
    Closed { code: CloseCode::Stalled, reason: reason.to_owned(), by: ClosedBy::Lost }
}

/// The peer's QUIC ended it: its TLS did not accept us, or it is overloaded or gone.
fn turned_down(error: TransportErrorCode, reason: &[u8]) -> Closed {
    let (code, text) = match alert(error) {
        Some(alert) => (alert_code(alert), alert_text(alert).to_owned()),
        None if error == TransportErrorCode::CONNECTION_REFUSED => {
            (CloseCode::ShuttingDown, "the other side takes no new connections now".to_owned())
        }
        None => (CloseCode::Internal, format!("{error}: {}", String::from_utf8_lossy(reason))),
    };
    Closed { code, reason: text, by: ClosedBy::Peer }
}

/// Our QUIC ended it: our TLS did not accept the peer, or it broke the protocol.
fn failed_here(error: TransportErrorCode, reason: &str) -> Closed {
    let code = alert(error).map_or(CloseCode::Internal, alert_code);
    local(code, reason.to_owned())
}

fn alert(error: TransportErrorCode) -> Option<u64> {
    u64::from(error).checked_sub(0x100).filter(|alert| *alert < 0x100)
}

fn alert_code(alert: u64) -> CloseCode {
    match alert {
        ALERT_CERTIFICATE_REVOKED => CloseCode::Revoked,
        ALERT_NO_APPLICATION_PROTOCOL => CloseCode::UnsupportedProtocol,
        _ => CloseCode::UnknownPeer,
    }
}

fn alert_text(alert: u64) -> &'static str {
    match alert {
        ALERT_BAD_CERTIFICATE | ALERT_CERTIFICATE_UNKNOWN => "the other side cannot use our certificate",
        ALERT_CERTIFICATE_REVOKED => "our identity has been revoked",
        ALERT_CERTIFICATE_EXPIRED => {
            "the other side finds our certificate expired or not valid yet: check the clock here and there"
        }
        ALERT_UNKNOWN_CA | ALERT_DECRYPT_ERROR => "our certificate is from another cluster",
        ALERT_ACCESS_DENIED => "our certificate names no member of the other side's cluster",
        ALERT_NO_APPLICATION_PROTOCOL => "the other side does not speak this protocol",
        _ => "the TLS handshake failed",
    }
}
