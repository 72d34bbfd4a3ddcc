//! Frames of the protocols an agent speaks.
//!
//! ```text
//! omni-enroll/1   joining side ──EnrollRequest──▶ controller ──EnrollReply──▶      one stream, then closed
//! omni-agent/1    control stream (agent opens)    AgentFrame  ──▶ gateway, GatewayFrame ◀──
//!                 telemetry stream (agent opens)  TelemetryFrame ──▶
//!                 one stream per request (gateway opens)  AgentRequest, RequestInput ──▶ agent, ReplyFrame ◀──
//!                 one stream per content, image, order of a run (agent opens)  HostRequest ──▶ gateway, HostReply ◀──
//! ```
//!
//! A frame is a 32-bit little-endian length and then one value of the stream's enum. Variants are only ever
//! appended and their fields never change: a new shape is a new variant. `golden.rs` pins the bytes.

pub mod agent;
pub mod close;
pub mod desired;
pub mod enroll;
pub mod images;
pub mod requests;
pub mod runs;

#[cfg(test)]
mod golden;

pub use agent::*;
pub use close::*;
pub use desired::*;
pub use enroll::*;
pub use images::*;
pub use requests::*;
pub use runs::*;

/// ALPN of enrolment: no client certificate yet.
pub const ALPN_ENROLL: &[u8] = b"omni-enroll/1";
/// ALPN of an agent's session.
pub const ALPN_AGENT: &[u8] = b"omni-agent/1";
/// ALPN of Raft between controllers.
pub const ALPN_RAFT: &[u8] = b"omni-raft/1";
/// ALPN of everything else between controllers.
pub const ALPN_PEER: &[u8] = b"omni-peer/1";

/// Oldest agent protocol this build speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// Newest agent protocol this build speaks.
pub const PROTOCOL_MAX: u16 = 1;

/// The newest protocol both ranges hold.
pub fn settle_protocol(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0.max(theirs.0)).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::settle_protocol;

    #[test]
    fn one_version_of_skew_works_both_ways() {
        assert_eq!(settle_protocol((1, 2), (2, 3)), Some(2));
        assert_eq!(settle_protocol((2, 3), (1, 2)), Some(2));
        assert_eq!(settle_protocol((1, 1), (2, 3)), None);
    }
}
