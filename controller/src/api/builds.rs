//! `/apps/{environment}/{app}/build`: an image for a service, built on a host.

use super::Api;
use super::error::ApiError;
use super::extract::Named;
use super::socket::{End, Incoming, Socket, SocketRx, SocketTx, Upgrade};
use crate::app::{AppError, BuildInputs, BuildOutputs, ImageBuild};
use axum::response::Response;
use bytes::Bytes;
use omni_common::api::v1::{BuildInput, BuildOutput, Problem};
use omni_common::wire::ImageReply;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A client says what to build within this time.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// A tar file is handed on in pieces of at most this many bytes, well below the frame limit.
const PIECE: usize = 256 << 10;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(build))
}

/// Build an image
///
/// A WebSocket. The client sends `BuildInput`s as text, the first of them `start`; after `started` came, what is built from
/// as binary messages, a tar file; and then `eof`. The server sends `BuildOutput`s as text. A client that sends faster than
/// the builder takes is held back, and one that leaves ends the build. Without an `authorization` header the client's very
/// first message is `{"op":"auth","token":…}`. Every build is audited before it happens.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}/build", operation_id = "buildImage", tag = "apps",
    params(("environment" = String, Path, description = "Its environment."),
        ("app" = String, Path, description = "The app that it is for; it need not be there yet.")),
    responses((status = 101, description = "A WebSocket."),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn build(
    upgrade: Upgrade,
    Named((environment, app)): Named<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(upgrade.serve(async move |mut socket| {
        let end = match start(&mut socket, &environment, &app).await {
            Ok(build) => serve(&mut socket, build).await,
            Err(end) => end,
        };
        if let End::Failed(error) = &end {
            let problem = socket.tx.problem(error);
            socket.tx.json(&BuildOutput::Error { problem }).await.ok();
        }
        (socket, end)
    }))
}

/// Waits for the first message and starts what it names.
async fn start(socket: &mut Socket, environment: &str, app: &str) -> Result<ImageBuild, End> {
    let first = timeout(START_DEADLINE, socket.rx.next()).await;
    let first = first.map_err(|_| ApiError::Message("nothing was started in time".to_owned()))??;
    let BuildInput::Start(start) = first.json::<BuildInput>()? else {
        return Err(ApiError::Message("the first message is `start`".to_owned()).into());
    };
    let call = socket.tx.call();
    let build = socket.tx.app().build_image(&call, environment, app, *start).await?;
    socket.tx.json(&BuildOutput::Started { host: build.host().to_owned() }).await?;
    Ok(build)
}

/// Both directions at once: a builder that fails says so while the client still sends.
async fn serve(socket: &mut Socket, build: ImageBuild) -> End {
    let (inputs, outputs) = build.split();
    let Socket { tx, rx } = socket;
    tokio::select! {
        end = forward_context(rx, inputs) => end,
        end = forward_output(tx, outputs) => end,
    }
}

/// Never ends because of the builder: what became of it comes on the other direction.
async fn forward_context(rx: &mut SocketRx, mut inputs: BuildInputs) -> End {
    let mut open = true;
    loop {
        let incoming = match rx.next().await {
            Ok(incoming) => incoming,
            Err(end) => return end,
        };
        let sent = match incoming {
            Incoming::Binary(_) if !open => Ok(()),
            Incoming::Binary(bytes) => send(&mut inputs, bytes).await,
            text @ Incoming::Text(_) => match text.json::<BuildInput>() {
                Ok(BuildInput::Eof) => inputs.finish().await,
                Ok(BuildInput::Start(_)) => return ApiError::Message("one build a socket".to_owned()).into(),
                Err(error) => return error.into(),
            },
        };
        match sent {
            Ok(()) => {}
            Err(error @ AppError::Invalid(_)) => return error.into(),
            Err(_) => open = false,
        }
    }
}

async fn send(inputs: &mut BuildInputs, mut bytes: Bytes) -> Result<(), AppError> {
    while !bytes.is_empty() {
        inputs.send(bytes.split_to(bytes.len().min(PIECE))).await?;
    }
    Ok(())
}

async fn forward_output(tx: &mut SocketTx, mut outputs: BuildOutputs) -> End {
    loop {
        let reply = tokio::select! {
            reply = outputs.next() => reply,
            end = tx.beat() => return end,
        };
        let (message, over) = match reply {
            Ok(ImageReply::BuildOutput(text)) => (BuildOutput::Output { text }, false),
            Ok(ImageReply::Built { id }) => (BuildOutput::Built { id }, true),
            Ok(_) => return ApiError::Bug("a builder's word that is none").into(),
            Err(error) => return error.into(),
        };
        match tx.json(&message).await {
            Err(end) => return end,
            Ok(()) if over => return End::Done,
            Ok(()) => {}
        }
    }
}
