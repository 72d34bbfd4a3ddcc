//! `/audit`.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Params};
use super::{Api, Shared};
use omni_common::api::v1::{AuditEntry, AuditQuery, Page, Problem, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Show the audit trail
///
/// Every change and every refused call, newest first. Equal refusals within a second are one entry that says
/// how many there were.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "listAudit", tag = "audit", params(AuditQuery, ReadQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = 400, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<AuditQuery>,
) -> Result<Answer<Page<AuditEntry>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_audit(&state, &query)?))
}
