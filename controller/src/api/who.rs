//! `/whoami` and `/version`.

use super::answer::Answer;
use super::error::ApiError;
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{VersionInfo, WhoAmI};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(whoami)).routes(routes!(version))
}

/// Show the caller as the controller sees it
///
/// From the answering controller's own copy of the state, so that a login works without a leader.
#[utoipa::path(get, path = "/api/v1/whoami", operation_id = "whoAmI", tag = "caller",
    responses((status = 200, body = WhoAmI)))]
async fn whoami(api: Shared, Extension(caller): Extension<Caller>) -> Result<Answer<WhoAmI>, ApiError> {
    let who = api.app.who_am_i(&caller.principal)?;
    Ok(Answer::at(api.app.store.current().index, who))
}

/// Show what answers
#[utoipa::path(get, path = "/api/v1/version", operation_id = "getVersion", tag = "caller",
    responses((status = 200, body = VersionInfo)))]
async fn version(api: Shared) -> Result<Answer<VersionInfo>, ApiError> {
    Ok(Answer::at(api.app.store.current().index, api.app.version()?))
}
