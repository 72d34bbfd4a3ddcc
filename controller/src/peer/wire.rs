//! Frames of the protocol `omni-peer/1`. One stream a call; variants are only ever appended.

use crate::raft::RaftStatus;
use crate::state::{Outcome, Proposal};
use omni_common::clock::Time;
use omni_common::ids::{BootId, ControllerId, HostId, SessionId};
use omni_common::wire::{AgentRequest, TelemetryFrame};
use serde::{Deserialize, Serialize};

/// A host's newest heartbeat at its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Which host.
    pub(crate) host: HostId,
    /// Which start of its agent.
    pub(crate) boot: BootId,
    /// The agent's monotonic clock when it sent the heartbeat.
    pub(crate) sent_ms: u64,
}

/// The leader's answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// Which host.
    pub(crate) host: HostId,
    /// Echo of the heartbeat's `sent_ms`.
    pub(crate) sent_ms: u64,
    /// How long its lease runs from there, milliseconds.
    pub(crate) ttl_ms: u32,
    /// Newest generation of what the host is to run that the leader knew: the lease holds for no older one.
    pub(crate) generation: u64,
}

/// A controller's view of itself, for `omni controllers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerStatus {
    /// Its Raft state.
    pub(crate) raft: RaftStatus,
    /// Its version.
    pub(crate) version: String,
    /// Agents connected to it.
    pub(crate) sessions: u32,
    /// When it started.
    pub(crate) started: Time,
}

/// What a gateway tells the others about its agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Observed {
    /// A host's session is here from now on.
    Session {
        /// Which host.
        host: HostId,
        /// Its session.
        session: SessionId,
    },
    /// A host's session here has ended.
    Gone {
        /// Which host.
        host: HostId,
        /// The session that ended.
        session: SessionId,
    },
    /// A telemetry frame of the host, as its agent sent it.
    Frame {
        /// Which host.
        host: HostId,
        /// The frame.
        frame: Box<TelemetryFrame>,
    },
}

/// A change of the Raft group's members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemberChange {
    /// Let it catch up, then vote.
    Add {
        /// Which.
        id: ControllerId,
        /// Its QUIC address.
        quic: String,
    },
    /// Take it out.
    Remove(ControllerId),
}

/// First frame of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum PeerCall {
    /// Commit this; for the leader.
    Propose(Box<Proposal>),
    /// The index that a linearizable read must wait for; for the leader.
    ReadIndex,
    /// Heartbeats of the caller's agents; for the leader.
    Heartbeats(Vec<Beat>),
    /// How are you?
    Status,
    /// Open a stream to an agent of yours. After [`PeerAnswer::Open`] both directions carry the agent's
    /// frames as they are.
    Agent {
        /// Which host.
        host: HostId,
        /// The first frame for it.
        request: AgentRequest,
    },
    /// What the caller's agents observe: more frames follow on this stream, without answers.
    Observe,
    /// One frame of an [`Self::Observe`] stream.
    Observed(Observed),
    /// Change the group's members; for the leader.
    Members(MemberChange),
    /// Hand leadership over, to this controller or whichever is best; for the leader.
    TransferLeader(Option<ControllerId>),
    /// Somebody watches these hosts: sample often for this long.
    Watch {
        /// Which hosts.
        hosts: Vec<HostId>,
        /// Milliseconds between samples.
        interval_ms: u32,
        /// For how long, milliseconds.
        for_ms: u32,
    },
}

/// Answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum PeerAnswer {
    /// Committed, at this index, with this outcome.
    Applied {
        /// Log index.
        index: u64,
        /// The answer.
        outcome: Outcome,
    },
    /// Wait for this index.
    ReadIndex(u64),
    /// Leases.
    Grants(Vec<Grant>),
    /// Status.
    Status(Box<PeerStatus>),
    /// The stream to the agent is open.
    Open,
    /// Done.
    Done,
    /// I do not lead; perhaps this one does.
    NotLeader(Option<ControllerId>),
    /// My disk does not take writes.
    Disk(String),
    /// No.
    Refused {
        /// Stable word.
        code: String,
        /// For a person.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::codec;

    #[test]
    fn frames_keep_their_bytes() {
        let host = HostId::from_u128(2);
        let beat = Beat { host, boot: BootId::from_u128(3), sent_ms: 1_000 };
        let calls = [
            PeerCall::ReadIndex,
            PeerCall::Heartbeats(vec![beat]),
            PeerCall::Status,
            PeerCall::Agent { host, request: AgentRequest::Processes },
            PeerCall::Observe,
            PeerCall::Observed(Observed::Gone { host, session: SessionId::from_u128(4) }),
            PeerCall::Members(MemberChange::Remove(ControllerId(3))),
            PeerCall::TransferLeader(Some(ControllerId(2))),
            PeerCall::Watch { hosts: vec![host], interval_ms: 1_000, for_ms: 5_000 },
        ];
        let answers = [
            PeerAnswer::ReadIndex(7),
            PeerAnswer::Grants(vec![Grant { host, sent_ms: 1_000, ttl_ms: 6_000, generation: 7 }]),
            PeerAnswer::Open,
            PeerAnswer::Done,
            PeerAnswer::NotLeader(None),
            PeerAnswer::Disk("full".into()),
        ];
        let mut text = String::new();
        for bytes in calls
            .iter()
            .map(|call| codec::encode(call).expect("small"))
            .chain(answers.iter().map(|answer| codec::encode(answer).expect("small")))
        {
            text += &hex::encode(bytes);
            text.push('\n');
        }
        insta::assert_snapshot!(text);
    }
}
