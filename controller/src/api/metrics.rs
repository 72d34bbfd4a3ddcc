//! `/metrics/live`: samples as they arrive.

use super::Api;
use super::extract::{Fresh, Params};
use super::socket::{End, Socket, Upgrade};
use crate::api::error::ApiError;
use crate::app::LiveTail;
use axum::response::Response;
use omni_common::api::v1::{LiveMetricsMessage, LiveMetricsQuery, Problem, ReadQuery};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// New samples are looked for this often: agents do not sample more often.
const PERIOD: Duration = Duration::from_secs(1);
/// Agents are asked again this often to keep sampling each second; each time it holds for longer than that.
const KEEP_AWAKE_TICKS: u32 = 5;
/// Samples in one message.
const BATCH: usize = 50;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Follow what hosts measure
///
/// A WebSocket. The server sends `LiveMetricsMessage`s, at most one sample a host and second. Without an
/// `authorization` header the client's first message is `{"op":"auth","token":…}`.
#[utoipa::path(get, path = "/api/v1/metrics/live", operation_id = "watchMetrics", tag = "metrics",
    params(LiveMetricsQuery, ReadQuery),
    responses((status = 101, description = "A WebSocket."), (status = 404, body = Problem),
        (status = 426, description = "This is a WebSocket.", body = Problem)))]
async fn live(
    upgrade: Upgrade,
    Fresh(state): Fresh,
    Params(query): Params<LiveMetricsQuery>,
) -> Result<Response, ApiError> {
    Ok(upgrade.serve(async move |mut socket| {
        let watching = socket.tx.app().watch_hosts(&state, &query);
        drop(state);
        let end = match watching {
            Ok(tail) => serve(&mut socket, tail).await,
            Err(error) => error.into(),
        };
        if let End::Failed(error) = &end {
            let problem = socket.tx.problem(error);
            socket.tx.json(&LiveMetricsMessage::Error { problem }).await.ok();
        }
        (socket, end)
    }))
}

async fn serve(socket: &mut Socket, mut tail: LiveTail) -> End {
    let app = socket.tx.app();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            end = socket.rx.drained() => return end,
            end = socket.tx.beat() => return end,
        }
        if count.is_multiple_of(KEEP_AWAKE_TICKS) {
            tail.keep_awake(&app);
        }
        count = count.wrapping_add(1);
        for samples in tail.step(&app).chunks(BATCH) {
            let message = LiveMetricsMessage::Samples { samples: samples.to_vec() };
            if let Err(end) = socket.tx.json(&message).await {
                return end;
            }
        }
    }
}
