//! `/logs`: several containers at once, across hosts, merged by time.

use super::Api;
use super::error::ApiError;
use super::extract::{Fresh, Params};
use super::socket::{End, Socket, Upgrade};
use crate::app::{LogStep, LogTail};
use axum::response::Response;
use omni_common::api::v1::{LogsMessage, LogsQuery, Problem, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Read logs of containers
///
/// A WebSocket. The server sends `LogsMessage`s: first the containers, then their lines, merged by time; while
/// following, lines of different hosts are put in order within a fifth of a second. A client that reads slowly
/// slows the containers' reading down, not the containers. Without an `authorization` header the client's first
/// message is `{"op":"auth","token":…}`.
#[utoipa::path(get, path = "/api/v1/logs", operation_id = "readLogs", tag = "containers", params(LogsQuery, ReadQuery),
    responses((status = 101, description = "A WebSocket."), (status = 400, body = Problem),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn read(
    upgrade: Upgrade,
    Fresh(state): Fresh,
    Params(query): Params<LogsQuery>,
) -> Result<Response, ApiError> {
    Ok(upgrade.serve(async move |mut socket| {
        let found = socket.tx.app().tail_logs(&state, query, socket.tx.reach());
        drop(state);
        let end = match found {
            Ok(tail) => serve(&mut socket, tail).await,
            Err(error) => error.into(),
        };
        if let End::Failed(error) = &end {
            let problem = socket.tx.problem(error);
            socket.tx.json(&LogsMessage::Error { problem }).await.ok();
        }
        (socket, end)
    }))
}

async fn serve(socket: &mut Socket, mut tail: LogTail) -> End {
    let mut message = LogsMessage::Sources { sources: tail.sources().to_vec() };
    loop {
        if let Err(end) = socket.tx.json(&message).await {
            return end;
        }
        if matches!(message, LogsMessage::End) {
            return End::Done;
        }
        let step = tokio::select! {
            step = tail.next() => step,
            end = socket.rx.drained() => return end,
            end = socket.tx.beat() => return end,
        };
        message = match step {
            LogStep::Lines(lines) => LogsMessage::Lines { lines },
            LogStep::Ended(source, why) => {
                let problem = why.map(|error| socket.tx.problem(&error.into()));
                LogsMessage::SourceEnded { source, problem }
            }
            LogStep::End => LogsMessage::End,
        };
    }
}
