//! Requests that the gateway sends: one stream each, so many at a time and no more.

use super::Agent;
use crate::executors::{Ended, Failure, Reply, RequestStream};
use omni_common::wire::{AgentRequest, CloseCode};
use omni_transport::{Connection, FrameReader, FrameWriter, RecvStream, SendStream, TransportError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Requests under way at once. Each holds a few hundred KiB at most, so this bounds their memory too.
pub const MAX_REQUESTS: usize = 64;
/// The gateway opens a stream to ask something; it has this long to do so.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// A refusal that is not read within this time is dropped.
const REFUSAL: Duration = Duration::from_secs(1);
/// Refusals under way at once; beyond, streams are reset without a word.
pub(super) const MAX_REFUSALS: usize = 64;

/// Takes in requests until the connection is over. `over` ends those of this session.
pub(super) async fn run(agent: &Agent, connection: &Connection, over: &CancellationToken) -> TransportError {
    loop {
        match connection.accept_bi().await {
            Ok((send, recv)) => accept(agent, send, recv, over),
            Err(error) => return error,
        }
    }
}

fn accept(agent: &Agent, mut send: SendStream, recv: RecvStream, over: &CancellationToken) {
    if let Ok(slot) = agent.request_slots.clone().try_acquire_owned() {
        let (machine, over) = (agent.machine.clone(), over.clone());
        agent.background.spawn(async move {
            if let Some((request, stream)) = first_frame(send, recv, over).await {
                machine.serve(request, stream).await;
            }
            drop(slot);
        });
        return;
    }
    match agent.refusal_slots.clone().try_acquire_owned() {
        Ok(slot) => drop(agent.background.spawn(async move {
            tokio::time::timeout(REFUSAL, refuse(send)).await.ok();
            drop(slot);
        })),
        Err(_) => send.reset(CloseCode::Flood),
    }
}

async fn first_frame(
    send: SendStream,
    recv: RecvStream,
    over: CancellationToken,
) -> Option<(AgentRequest, RequestStream)> {
    let mut reader = FrameReader::<AgentRequest>::new(recv);
    let mut reply = Reply::new(FrameWriter::new(send));
    let message = match tokio::time::timeout(FIRST_FRAME, reader.next()).await {
        Ok(Ok(Some(request))) => {
            let input = reader.followed_by();
            return Some((request, RequestStream { input, reply, over }));
        }
        // The gateway thought better of it.
        Ok(Ok(None)) => return None,
        // An unknown request comes from a newer gateway: say so on its stream, and leave the session alone.
        Ok(Err(error)) => format!("this agent does not understand the request: {error}"),
        Err(_) => "no request arrived".to_owned(),
    };
    tracing::warn!(error = message, "request refused");
    reply.conclude(Err(Ended::Failed(Failure::invalid(message)))).await;
    None
}

async fn refuse(send: SendStream) {
    let failure = Failure {
        code: "busy",
        message: format!("this host already answers {MAX_REQUESTS} requests; try again when some have ended"),
    };
    Reply::new(FrameWriter::new(send)).conclude(Err(Ended::Failed(failure))).await;
}
