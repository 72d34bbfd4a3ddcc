//! `/status`, `/health`, `/liveness`: the cluster as a whole.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Write};
use super::{Api, Shared};
use omni_common::api::v1::{ClusterHealth, ClusterKeyView, ClusterStatus, LivenessTimes, Problem, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(health))
        .routes(routes!(liveness, set_liveness))
        .routes(routes!(reveal_key))
}

/// Show the cluster in a few numbers
#[utoipa::path(get, path = "/api/v1/status", operation_id = "getStatus", tag = "cluster", params(ReadQuery),
    responses((status = 200, body = ClusterStatus)))]
async fn status(api: Shared, Fresh(state): Fresh) -> Result<Answer<ClusterStatus>, ApiError> {
    Ok(Answer::at(state.index, api.app.cluster_status(&state).await?))
}

/// Show the cluster's health, look by look
///
/// Answers 200 also when the cluster is not well; `state` says how it is.
#[utoipa::path(get, path = "/api/v1/health", operation_id = "getHealth", tag = "cluster", params(ReadQuery),
    responses((status = 200, body = ClusterHealth)))]
async fn health(api: Shared, Fresh(state): Fresh) -> Answer<ClusterHealth> {
    Answer::at(state.index, api.app.cluster_health(&state).await)
}

/// Show how host failure is detected
#[utoipa::path(get, path = "/api/v1/liveness", operation_id = "getLiveness", tag = "cluster", params(ReadQuery),
    responses((status = 200, body = LivenessTimes)))]
async fn liveness(api: Shared, Fresh(state): Fresh) -> Result<Answer<LivenessTimes>, ApiError> {
    Ok(Answer::at(state.index, api.app.liveness(&state)?))
}

/// Set how host failure is detected
///
/// For all hosts that have no times of their own.
#[utoipa::path(put, path = "/api/v1/liveness", operation_id = "setLiveness", tag = "cluster",
    request_body = LivenessTimes,
    responses((status = 200, body = LivenessTimes), (status = 400, body = Problem),
        (status = 422, description = "The times cannot work together.", body = Problem)))]
async fn set_liveness(
    api: Shared,
    Write { call, body, .. }: Write<LivenessTimes>,
) -> Result<Answer<LivenessTimes>, ApiError> {
    Ok(api.app.set_liveness(&call, body).await?.into())
}

/// Reveal the cluster's key
///
/// For escrow: without it, copies of the controllers' state cannot be opened. That it was asked for is written to the audit
/// trail first.
#[utoipa::path(post, path = "/api/v1/cluster/key/reveal", operation_id = "revealClusterKey", tag = "cluster",
    responses((status = 200, body = ClusterKeyView)))]
async fn reveal_key(api: Shared, Write { call, .. }: Write<()>) -> Result<Answer<ClusterKeyView>, ApiError> {
    Ok(Answer::from(api.app.reveal_cluster_key(&call).await?))
}
