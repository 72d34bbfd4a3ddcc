//! Raft's calls from the other controllers.

use super::types::{Raft, Snapshot, SnapshotMeta, Vote};
use super::wire::{RaftAnswer, RaftCall};
use futures_util::{StreamExt, stream};
use omni_common::codec::{MAX_PEER_FRAME, MAX_SNAPSHOT};
use omni_transport::{Connection, FrameError, FrameReader, FrameWriter, TransportError};
use openraft::raft::AppendEntriesRequest;
use std::sync::Arc;

type Calls = FrameReader<RaftCall>;
type Answers = FrameWriter<RaftAnswer>;

/// A call could not be served.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("{0}")]
    Protocol(&'static str),
}

/// Serves one controller's connection until it closes.
pub(crate) async fn serve(connection: Connection, raft: Raft) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (raft, connection) = (raft.clone(), connection.clone());
        tokio::spawn(async move {
            let calls = FrameReader::with_limit::<MAX_PEER_FRAME>(receive);
            let answers = FrameWriter::with_limit::<MAX_PEER_FRAME>(send);
            match call(&raft, calls, answers).await {
                Ok(()) | Err(ServeError::Transport(_)) => {}
                Err(ServeError::Frame(error)) => connection.close(error.close_code(), &error.to_string()),
                Err(error) => tracing::warn!(peer = connection.remote(), error = %error, "raft call failed"),
            }
        });
    }
}

async fn call(raft: &Raft, mut calls: Calls, mut answers: Answers) -> Result<(), ServeError> {
    let Some(call) = calls.next().await? else {
        return Ok(());
    };
    let answer = match call {
        RaftCall::Append(request) => {
            raft.append_entries(request).await.map_or_else(failed, RaftAnswer::Append)
        }
        RaftCall::Vote(request) => raft.vote(request).await.map_or_else(failed, RaftAnswer::Vote),
        RaftCall::PreVote(request) => raft.pre_vote(request).await.map_or_else(failed, RaftAnswer::Vote),
        RaftCall::TransferLeader(request) => {
            let done = raft.handle_transfer_leader(request).await.map_err(|e| e.to_string());
            RaftAnswer::TransferLeader(done.and_then(|answer| answer.map_err(|e| e.to_string())))
        }
        RaftCall::AppendStream => return append_stream(raft, calls, answers).await,
        RaftCall::Snapshot { vote, meta, length, crc } => {
            let data = receive_snapshot(&mut calls, length, crc).await?;
            install(raft, vote, meta, data).await
        }
        RaftCall::Chunk(_) => return Err(ServeError::Protocol("a chunk without its snapshot")),
    };
    answers.send(&answer).await?;
    answers.finish();
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> RaftAnswer {
    RaftAnswer::Failed(error.to_string())
}

async fn append_stream(raft: &Raft, calls: Calls, mut answers: Answers) -> Result<(), ServeError> {
    let requests = stream::unfold(calls, |mut calls| async move {
        match calls.next().await {
            Ok(Some(RaftCall::Append(request))) => Some((request, calls)),
            _ => None,
        }
    });
    let requests: std::pin::Pin<Box<dyn futures_util::Stream<Item = AppendEntriesRequest<_>> + Send>> =
        Box::pin(requests);
    let mut results = std::pin::pin!(raft.stream_append(requests));
    while let Some(result) = results.next().await {
        let answer = result.map_or_else(failed, RaftAnswer::Appended);
        answers.send(&answer).await?;
    }
    answers.finish();
    Ok(())
}

async fn receive_snapshot(calls: &mut Calls, length: u64, crc: u32) -> Result<Vec<u8>, ServeError> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_SNAPSHOT);
    let Some(length) = length else {
        return Err(ServeError::Protocol("the snapshot is larger than any can be"));
    };
    let mut data = Vec::new();
    while data.len() < length {
        match calls.next().await? {
            Some(RaftCall::Chunk(chunk)) => data.extend_from_slice(&chunk),
            _ => return Err(ServeError::Protocol("the snapshot ended early")),
        }
    }
    if data.len() != length || crc32fast::hash(&data) != crc {
        return Err(ServeError::Protocol("the snapshot was damaged on its way"));
    }
    Ok(data)
}

async fn install(raft: &Raft, vote: Vote, meta: SnapshotMeta, data: Vec<u8>) -> RaftAnswer {
    let snapshot = Snapshot { meta, snapshot: Arc::new(data) };
    raft.install_full_snapshot(vote, snapshot).await.map_or_else(failed, RaftAnswer::Snapshot)
}
