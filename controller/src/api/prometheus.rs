//! What Prometheus asks for: `/metrics`, and where to find containers that want to be scraped.

use super::answer::Answer;
use super::extract::Fresh;
use super::{Api, Shared};
use crate::app::{EXPOSITION_TYPE, TargetGroup};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use omni_common::api::v1::ReadQuery;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(metrics)).routes(routes!(discovery))
}

/// Metrics of this controller and of the hosts connected to it
///
/// Scrape every controller: each shows the hosts whose sessions it holds.
#[utoipa::path(get, path = "/metrics", operation_id = "scrape", tag = "prometheus",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
async fn metrics(api: Shared) -> impl IntoResponse {
    ([(CONTENT_TYPE, EXPOSITION_TYPE)], api.app.exposition())
}

/// Containers to scrape
///
/// For `http_sd_configs`: every running container labelled `prometheus.scrape=true`, on every host, as one whole
/// list. Use `consistency=stale` so that discovery goes on while no controller leads.
#[utoipa::path(get, path = "/api/v1/prometheus/sd", operation_id = "discoverTargets", tag = "prometheus",
    params(ReadQuery), responses((status = 200, body = Vec<TargetGroup>)))]
async fn discovery(api: Shared, Fresh(state): Fresh) -> Answer<Vec<TargetGroup>> {
    Answer::at(state.index, api.app.scrape_targets(&state))
}
