//! `/healthz` and `/readyz`: what anyone may know.

use super::{Api, Shared};
use axum::Json;
use axum::http::StatusCode;
use omni_common::api::v1::Liveness;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Whether this process runs
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "probes",
    responses((status = 200, body = Liveness)))]
async fn healthz() -> Json<Liveness> {
    Json(Liveness { ok: true })
}

/// Whether this controller can serve
///
/// It has a state, does not stop, and knows a leader.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "probes",
    responses((status = 200, body = Liveness), (status = 503, description = "Not now.", body = Liveness)))]
async fn readyz(api: Shared) -> (StatusCode, Json<Liveness>) {
    let ok = api.app.is_ready() && !api.stop.is_cancelled();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Liveness { ok }))
}
