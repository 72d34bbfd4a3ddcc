//! Messages of the protocol `omni-raft/1`. One stream a call.
//!
//! openraft's own message types travel in the house codec; two controllers therefore need the same openraft
//! line, which the one version of skew between omni releases guarantees.

use super::types::{SnapshotMeta, Types, Vote};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

/// First frame of a stream; after [`Self::AppendStream`] and [`Self::Snapshot`] more follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RaftCall {
    Append(AppendEntriesRequest<Types>),
    /// A stream of [`Self::Append`], answered in order.
    AppendStream,
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    TransferLeader(TransferLeaderRequest<Types>),
    /// A snapshot of `length` bytes in frames of [`Self::Chunk`].
    Snapshot {
        vote: Vote,
        meta: SnapshotMeta,
        length: u64,
        crc: u32,
    },
    Chunk(Vec<u8>),
}

/// Answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RaftAnswer {
    Append(AppendEntriesResponse<Types>),
    Appended(StreamAppendResult<Types>),
    Vote(VoteResponse<Types>),
    TransferLeader(Result<(), String>),
    Snapshot(SnapshotResponse<Types>),
    Failed(String),
}

/// Bytes in one [`RaftCall::Chunk`].
pub(super) const CHUNK: usize = 256 << 10;
