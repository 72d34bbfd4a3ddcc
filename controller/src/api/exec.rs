//! `/containers/{host}/{container}/exec`: a program in a container, with a terminal or without.

use super::Api;
use super::error::ApiError;
use super::extract::Named;
use super::socket::{End, Incoming, Socket, SocketRx, SocketTx, Upgrade};
use crate::app::{ExecInputs, ExecOutputs, ExecSession};
use axum::extract::ws::Message;
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use omni_common::api::v1::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecOutput, ExecStart, Problem};
use omni_common::wire::{OutputStream, ReplyFrame, RequestInput};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A client says what to run within this time.
const START_DEADLINE: Duration = Duration::from_secs(10);
/// Input is handed on in pieces of at most this many bytes, well below the frame limit.
const INPUT_CHUNK: usize = 64 << 10;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(exec))
}

/// Run a program in a container
///
/// A WebSocket. The client sends `ExecInput`s as text, the first of them `start`, and the program's input as binary
/// messages. The server sends `ExecOutput`s as text, and the program's output as binary messages whose first byte
/// is 1 for standard output and 2 for standard error. Without an `authorization` header the client's very first
/// message is `{"op":"auth","token":…}`. Every start is audited before it happens.
#[utoipa::path(get, path = "/api/v1/containers/{host}/{container}/exec", operation_id = "exec", tag = "containers",
    params(("host" = String, Path, description = "Name or id."),
        ("container" = String, Path, description = "Name, id, or the beginning of an id.")),
    responses((status = 101, description = "A WebSocket."),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn exec(
    upgrade: Upgrade,
    Named((host, container)): Named<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(upgrade.serve(async move |mut socket| {
        let end = match start(&mut socket, &host, &container).await {
            Ok(session) => serve(&mut socket, session).await,
            Err(end) => end,
        };
        if let End::Failed(error) = &end {
            let problem = socket.tx.problem(error);
            socket.tx.json(&ExecOutput::Error { problem }).await.ok();
        }
        (socket, end)
    }))
}

/// Waits for the first message and starts what it names.
async fn start(socket: &mut Socket, host: &str, container: &str) -> Result<ExecSession, End> {
    let first = timeout(START_DEADLINE, socket.rx.next()).await;
    let first = first.map_err(|_| ApiError::Message("nothing was started in time".to_owned()))??;
    let ExecInput::Start(command) = first.json::<ExecInput>()? else {
        return Err(ApiError::Message("the first message is `start`".to_owned()).into());
    };
    let session = begin(socket, host, container, command).await?;
    socket.tx.json(&ExecOutput::Started).await?;
    Ok(session)
}

async fn begin(socket: &Socket, host: &str, container: &str, command: ExecStart) -> Result<ExecSession, End> {
    let call = socket.tx.call();
    Ok(socket.tx.app().exec(&call, host, container, command).await?)
}

/// Both directions at once: a program that does not read must not keep its output from the client.
async fn serve(socket: &mut Socket, session: ExecSession) -> End {
    let (inputs, outputs) = session.split();
    let Socket { tx, rx } = socket;
    tokio::select! {
        end = forward_input(rx, inputs) => end,
        end = forward_output(tx, outputs) => end,
    }
}

/// Never ends because of the program: its exit comes on the other direction.
async fn forward_input(rx: &mut SocketRx, mut inputs: ExecInputs) -> End {
    let mut open = true;
    loop {
        let incoming = match rx.next().await {
            Ok(incoming) => incoming,
            Err(end) => return end,
        };
        let pieces = match pieces(incoming) {
            Ok(pieces) => pieces,
            Err(error) => return error.into(),
        };
        for piece in pieces {
            // On failure the program has ended, or the way to it is lost; the output says which.
            open = open && inputs.send(piece).await.is_ok();
        }
    }
}

fn pieces(incoming: Incoming) -> Result<Vec<RequestInput>, ApiError> {
    if let Incoming::Binary(bytes) = &incoming {
        return Ok(bytes.chunks(INPUT_CHUNK).map(|chunk| RequestInput::Stdin(chunk.to_vec())).collect());
    }
    match incoming.json::<ExecInput>()? {
        ExecInput::Resize { cols, rows } => Ok(vec![RequestInput::Resize { cols, rows }]),
        ExecInput::Eof => Ok(vec![RequestInput::Eof]),
        ExecInput::Start(_) => Err(ApiError::Message("one program a socket".to_owned())),
    }
}

async fn forward_output(tx: &mut SocketTx, mut outputs: ExecOutputs) -> End {
    loop {
        let frame = tokio::select! {
            frame = outputs.next() => frame,
            end = tx.beat() => return end,
        };
        let sent = match frame {
            Ok(Some(ReplyFrame::Output { stream, data })) => tx.send(output(stream, &data)).await,
            Ok(Some(ReplyFrame::Exit { code })) => {
                return tx.json(&ExecOutput::Exit { code }).await.err().unwrap_or(End::Done);
            }
            Ok(_) => return outputs.unexpected().into(),
            Err(error) => return error.into(),
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

fn output(stream: OutputStream, data: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(data.len() + 1);
    bytes.put_u8(match stream {
        OutputStream::Stdout => EXEC_STDOUT,
        OutputStream::Stderr => EXEC_STDERR,
    });
    bytes.put_slice(data);
    Message::Binary(bytes.freeze())
}
