//! `/images`: which host has which image; and images from a workstation.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Params};
use super::socket::{End, Incoming, Socket, SocketRx, SocketTx, Upgrade};
use super::{Api, Shared};
use crate::app::{ImagePush, Pushed};
use axum::response::Response;
use bytes::Bytes;
use omni_common::api::v1::{
    ImageView, ImagesQuery, Page, Problem, PushInput, PushOutcome, PushOutput, PushQuery, ReadQuery,
};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(push))
}

/// An image is handed on in pieces of at most this many bytes, well below the frame limit.
const PIECE: usize = 256 << 10;

/// List images
///
/// Of all hosts, by name and id, each with the hosts that have it. Images without a name are left out.
#[utoipa::path(get, path = "/api/v1/images", operation_id = "listImages", tag = "images",
    params(ImagesQuery, ReadQuery),
    responses((status = 200, body = Page<ImageView>), (status = 400, body = Problem),
        (status = 404, description = "A host in the filter does not exist.", body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<ImagesQuery>,
) -> Result<Answer<Page<ImageView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_images(&state, &query)?))
}

/// Send an image to hosts
///
/// A WebSocket. The server sends `PushOutput`s as text; after `started` the client sends a saved image (what `docker save`
/// writes) as binary messages and then `eof`. Each host's engine loads it as it comes; a host that fails is left behind.
/// A client that sends faster than the slowest host takes is held back. Without an `authorization` header the client's
/// very first message is `{"op":"auth","token":…}`. Every push is audited before it happens.
#[utoipa::path(get, path = "/api/v1/images/push", operation_id = "pushImage", tag = "images", params(PushQuery),
    responses((status = 101, description = "A WebSocket."), (status = 400, body = Problem),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn push(upgrade: Upgrade, Params(query): Params<PushQuery>) -> Result<Response, ApiError> {
    Ok(upgrade.serve(async move |mut socket| {
        let call = socket.tx.call();
        let end = match socket.tx.app().push_image(&call, &query).await {
            Ok(push) => carry(&mut socket, push).await,
            Err(error) => error.into(),
        };
        if let End::Failed(error) = &end {
            let problem = socket.tx.problem(error);
            socket.tx.json(&PushOutput::Error { problem }).await.ok();
        }
        (socket, end)
    }))
}

async fn carry(socket: &mut Socket, mut push: ImagePush) -> End {
    let Socket { tx, rx } = socket;
    if let Err(end) = tx.json(&PushOutput::Started { hosts: push.hosts() }).await {
        return end;
    }
    let taken = tokio::select! {
        taken = take_all(rx, &mut push) => taken,
        end = tx.beat() => Err(end),
    };
    if let Err(end) = taken {
        return end;
    }
    loop {
        let outcome = tokio::select! {
            outcome = push.outcome() => outcome,
            end = rx.drained() => return end,
            end = tx.beat() => return end,
        };
        let message = match outcome {
            Some(pushed) => PushOutput::Host(told(tx, pushed)),
            None => PushOutput::End,
        };
        let over = matches!(message, PushOutput::End);
        if let Err(end) = tx.json(&message).await {
            return end;
        }
        if over {
            return End::Done;
        }
    }
}

/// Hands on all that the client sends, until it is all or nobody is left to take it.
async fn take_all(rx: &mut SocketRx, push: &mut ImagePush) -> Result<(), End> {
    loop {
        match rx.next().await? {
            Incoming::Binary(bytes) => {
                if !send(push, bytes).await {
                    return Ok(());
                }
            }
            text @ Incoming::Text(_) => match text.json::<PushInput>()? {
                PushInput::Eof => {
                    push.finish().await;
                    return Ok(());
                }
            },
        }
    }
}

async fn send(push: &mut ImagePush, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        if !push.send(bytes.split_to(bytes.len().min(PIECE))).await {
            return false;
        }
    }
    true
}

fn told(tx: &SocketTx, pushed: Pushed) -> PushOutcome {
    let (images, problem) = match pushed.loaded {
        Ok(images) => (images, None),
        Err(error) => (Vec::new(), Some(tx.problem(&error.into()))),
    };
    PushOutcome { host: pushed.host, images, problem }
}
