//! Calls from the other controllers.

use super::accept::Gateway;
use super::agents::OUTDATED;
use crate::peer::wire::{MemberChange, Observed, PeerStatus};
use crate::peer::{PeerAnswer, PeerCall};
use crate::raft::NodeError;
use omni_common::codec::MAX_PEER_FRAME;
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{AgentRequest, GatewayFrame};
use omni_transport::{
    Connection, FrameError, FrameReader, FrameWriter, RecvStream, SendStream, TransportError,
};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

type Calls = FrameReader<PeerCall>;
type Answers = FrameWriter<PeerAnswer>;

/// A call could not be served.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Serves one controller's connection until it closes.
pub(super) async fn serve(gateway: &Arc<Gateway>, connection: Connection, from: ControllerId) {
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (gateway, connection) = (Arc::clone(gateway), connection.clone());
        tokio::spawn(async move {
            let calls = FrameReader::with_limit::<MAX_PEER_FRAME>(receive);
            let answers = FrameWriter::with_limit::<MAX_PEER_FRAME>(send);
            match call(&gateway, from, calls, answers).await {
                Ok(()) | Err(ServeError::Transport(_)) => {}
                Err(ServeError::Frame(error)) => connection.close(error.close_code(), &error.to_string()),
            }
        });
    }
}

async fn call(
    gateway: &Arc<Gateway>,
    from: ControllerId,
    mut calls: Calls,
    mut answers: Answers,
) -> Result<(), ServeError> {
    let Some(call) = calls.next().await? else {
        return Ok(());
    };
    let answer = match call {
        PeerCall::Observe => return observe(gateway, from, calls).await,
        PeerCall::Agent { host, request } => return agent(gateway, host, &request, calls, answers).await,
        PeerCall::Observed(_) => refused("invalid", "an observation outside of its stream"),
        call => single(gateway, call).await,
    };
    answers.send(&answer).await?;
    answers.finish();
    Ok(())
}

async fn single(gateway: &Gateway, call: PeerCall) -> PeerAnswer {
    let node = &gateway.link.node;
    match call {
        PeerCall::Propose(proposal) => match node.write(Arc::new(*proposal)).await {
            Ok((index, outcome)) => PeerAnswer::Applied { index, outcome },
            Err(error) => failed(error),
        },
        PeerCall::ReadIndex => node.read_index().await.map_or_else(failed, PeerAnswer::ReadIndex),
        PeerCall::Heartbeats(beats) => {
            gateway.duty.heartbeats(&beats).await.map_or_else(failed, PeerAnswer::Grants)
        }
        PeerCall::Status => PeerAnswer::Status(Box::new(status(gateway))),
        PeerCall::Members(MemberChange::Add { id, quic }) => done(node.add_voter(id, quic).await),
        PeerCall::Members(MemberChange::Remove(id)) => done(node.remove_member(id).await),
        PeerCall::TransferLeader(to) => done(crate::mesh::hand_over(node, to).await),
        PeerCall::Watch { hosts, interval_ms, for_ms } => {
            for session in hosts.iter().filter_map(|host| gateway.sessions.get(*host)) {
                // A full queue means that the agent is told already, or does not read and will be cut.
                session.control.try_send(GatewayFrame::Watch { interval_ms, for_ms }).ok();
            }
            PeerAnswer::Done
        }
        PeerCall::Observe | PeerCall::Observed(_) | PeerCall::Agent { .. } => {
            refused("invalid", "this call needs a stream of its own")
        }
    }
}

fn done(result: Result<(), NodeError>) -> PeerAnswer {
    result.map_or_else(failed, |()| PeerAnswer::Done)
}

fn failed(error: NodeError) -> PeerAnswer {
    match error {
        NodeError::NotLeader(hint) => PeerAnswer::NotLeader(hint),
        NodeError::Disk(reason) => PeerAnswer::Disk(reason),
        NodeError::Stopped(_) => PeerAnswer::NotLeader(None),
        NodeError::Refused(message) => refused("refused", &message),
    }
}

fn refused(code: &str, message: &str) -> PeerAnswer {
    PeerAnswer::Refused { code: code.to_owned(), message: message.to_owned() }
}

/// How this controller is.
pub(crate) fn status(gateway: &Gateway) -> PeerStatus {
    PeerStatus {
        raft: gateway.link.node.status(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sessions: u32::try_from(gateway.sessions.len()).unwrap_or(u32::MAX),
        started: gateway.started,
    }
}

/// Takes in what another gateway's agents report, until its stream ends.
async fn observe(gateway: &Gateway, from: ControllerId, mut calls: Calls) -> Result<(), ServeError> {
    let observed = &gateway.observed;
    let result = loop {
        match calls.next().await {
            Ok(Some(PeerCall::Observed(seen))) => {
                let now = gateway.clock.now();
                match seen {
                    Observed::Session { host, session } => observed.session_opened(host, from, session, now),
                    Observed::Gone { host, session } => observed.session_closed(host, session),
                    Observed::Frame { host, frame } => drop(observed.take(host, &frame, now)),
                }
            }
            Ok(Some(_) | None) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    observed.gateway_lost(from);
    result
}

/// Joins another controller's stream to one of this gateway's agents. Bytes go through as they are, and
/// flow control reaches from end to end.
async fn agent(
    gateway: &Gateway,
    host: HostId,
    request: &AgentRequest,
    calls: Calls,
    mut answers: Answers,
) -> Result<(), ServeError> {
    let Some(session) = gateway.sessions.get(host) else {
        answers.send(&refused("not_connected", "the host has no session here")).await?;
        answers.finish();
        return Ok(());
    };
    if !session.answers(request) {
        answers.send(&refused(OUTDATED, "the host's agent does not know this request")).await?;
        answers.finish();
        return Ok(());
    }
    let (send, receive) = session.connection.open_bi().await?;
    let mut requests = FrameWriter::new(send);
    requests.send(request).await?;
    answers.send(&PeerAnswer::Open).await?;
    let (from_peer, already_read) = calls.into_inner();
    let mut to_agent = requests.into_inner();
    to_agent.write_all(&already_read).await?;
    splice(from_peer, to_agent, receive, answers.into_inner()).await;
    Ok(())
}

/// Copies both ways until the agent's side ends, or the peer is gone.
pub(super) async fn splice(
    mut from_peer: RecvStream,
    mut to_agent: SendStream,
    mut from_agent: RecvStream,
    mut to_peer: SendStream,
) {
    let upward = async {
        // An error means that one side is gone; the end of the other direction tells the rest.
        tokio::io::copy(&mut from_peer, &mut to_agent).await.ok();
        to_agent.shutdown().await.ok();
    };
    let downward = async {
        tokio::io::copy(&mut from_agent, &mut to_peer).await.ok();
        to_peer.shutdown().await.ok();
    };
    let mut downward = std::pin::pin!(downward);
    tokio::select! {
        () = &mut downward => {}
        () = upward => downward.await,
    }
}
