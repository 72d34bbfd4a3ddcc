//! Raft's calls to the other controllers.

use super::types::{Member, Snapshot, Types, Vote};
use super::wire::{CHUNK, RaftAnswer, RaftCall};
use crate::links::Links;
use futures_util::{Stream, StreamExt, stream};
use omni_common::codec::MAX_PEER_FRAME;
use omni_common::ids::ControllerId;
use omni_transport::{Connection, FrameReader, FrameWriter};
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

type Calls = FrameWriter<RaftCall>;
type Answers = FrameReader<RaftAnswer>;
type RpcResult<T> = Result<T, RPCError<Types>>;

/// Makes a client per target.
pub(super) struct Factory(pub(super) Links);

impl RaftNetworkFactory<Types> for Factory {
    type Network = Client;

    async fn new_client(&mut self, target: ControllerId, node: &Member) -> Client {
        Client { links: self.0.clone(), target, address: node.quic.clone() }
    }
}

/// Calls to one controller.
pub(super) struct Client {
    links: Links,
    target: ControllerId,
    address: String,
}

impl Client {
    async fn open(&self) -> RpcResult<(Connection, Calls, Answers)> {
        let connection =
            self.links.get(self.target, &self.address).await.map_err(|e| Unreachable::new(&e))?;
        let (send, receive) = connection.open_bi().await.map_err(|e| Unreachable::new(&e))?;
        let calls = FrameWriter::with_limit::<MAX_PEER_FRAME>(send);
        let answers = FrameReader::with_limit::<MAX_PEER_FRAME>(receive);
        Ok((connection, calls, answers))
    }

    /// One call and its answer, within `limit`.
    async fn call(&self, call: RaftCall, limit: Duration) -> RpcResult<RaftAnswer> {
        let mut used = None;
        let exchange = async {
            let (connection, mut calls, mut answers) = self.open().await?;
            used = Some(connection);
            calls.send(&call).await.map_err(|e| NetworkError::new(&e))?;
            calls.finish();
            next_answer(&mut answers).await
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(answer) => {
                if answer.is_ok() {
                    self.links.answered(self.target);
                }
                answer
            }
            Err(_) => {
                if let Some(connection) = used {
                    self.links.unanswered(self.target, &connection);
                }
                Err(Unreachable::from_string(format!("controller {} did not answer in time", self.target))
                    .into())
            }
        }
    }
}

async fn next_answer(answers: &mut Answers) -> RpcResult<RaftAnswer> {
    match answers.next().await {
        Ok(Some(RaftAnswer::Failed(reason))) => Err(failed(&reason)),
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(failed("the stream ended before the answer")),
        Err(error) => Err(NetworkError::new(&error).into()),
    }
}

fn failed(reason: &str) -> RPCError<Types> {
    NetworkError::new(&AnyError::error(reason)).into()
}

fn unexpected() -> RPCError<Types> {
    failed("the answer is of another kind than the call")
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = Arc<Vec<u8>>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<Types>> {
        match self.call(RaftCall::Append(request), option.hard_ttl()).await? {
            RaftAnswer::Append(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    /// Pipelined: requests flow while answers are awaited. A peer that is gone ends it by the connection's
    /// idle timeout, or sooner by [`Links::unanswered`] of a heartbeat.
    ///
    /// The first request is taken before the connection is opened, because openraft waits out its backoff
    /// there: a dial that fails at once would otherwise be tried again at once, for ever.
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, RpcResult<StreamAppendResult<Types>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let Some(first) = input.next().await else {
                let nothing: BoxStream<'s, _> = Box::pin(stream::empty());
                return Ok(nothing);
            };
            let opening =
                tokio::time::timeout(option.hard_ttl().max(Duration::from_millis(500)), self.open());
            let (_, mut calls, answers) = opening.await.map_err(|_| {
                Unreachable::from_string(format!("controller {} does not answer", self.target))
            })??;
            calls.send(&RaftCall::AppendStream).await.map_err(|e| NetworkError::new(&e))?;
            let mut requests = stream::once(std::future::ready(first)).chain(input);
            let pump = AbortOnDropHandle::new(tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    if calls.send(&RaftCall::Append(request)).await.is_err() {
                        return;
                    }
                }
                calls.finish();
            }));
            let results = stream::unfold(Some((answers, pump)), |state| async move {
                let (mut answers, pump) = state?;
                match answers.next().await {
                    Ok(Some(RaftAnswer::Appended(result))) => {
                        let more = result.is_ok();
                        Some((Ok(result), more.then_some((answers, pump))))
                    }
                    Ok(Some(RaftAnswer::Failed(reason))) => Some((Err(failed(&reason)), None)),
                    Ok(Some(_)) => Some((Err(unexpected()), None)),
                    Ok(None) => None,
                    Err(error) => Some((Err(NetworkError::new(&error).into()), None)),
                }
            });
            let results: BoxStream<'s, _> = Box::pin(results);
            Ok(results)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<Types>> {
        match self.call(RaftCall::Vote(request), option.hard_ttl()).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<Types>> {
        match self.call(RaftCall::PreVote(request), option.hard_ttl()).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<Types>> {
        match self.call(RaftCall::TransferLeader(request), option.hard_ttl()).await? {
            RaftAnswer::TransferLeader(Ok(())) => Ok(Ok(())),
            RaftAnswer::TransferLeader(Err(reason)) => Err(failed(&reason)),
            _ => Err(unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot) => sent.map_err(streaming),
        }
    }
}

impl Client {
    async fn send_snapshot(&self, vote: Vote, snapshot: Snapshot) -> RpcResult<SnapshotResponse<Types>> {
        let data = snapshot.snapshot;
        let (_, mut calls, mut answers) = self.open().await?;
        let head = RaftCall::Snapshot {
            vote,
            meta: snapshot.meta,
            length: data.len() as u64,
            crc: crc32fast::hash(&data),
        };
        calls.send(&head).await.map_err(|e| NetworkError::new(&e))?;
        for chunk in data.chunks(CHUNK) {
            calls.send(&RaftCall::Chunk(chunk.to_vec())).await.map_err(|e| NetworkError::new(&e))?;
        }
        calls.finish();
        match next_answer(&mut answers).await? {
            RaftAnswer::Snapshot(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }
}

fn streaming(error: RPCError<Types>) -> StreamingError<Types> {
    match error {
        RPCError::Timeout(error) => StreamingError::Timeout(error),
        RPCError::Unreachable(error) => StreamingError::Unreachable(error),
        RPCError::Network(error) => StreamingError::Network(error),
        RPCError::RemoteError(error) => StreamingError::Network(NetworkError::new(&error)),
    }
}
