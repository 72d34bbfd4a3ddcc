//! `/systems`: the platform's catalogue beside what runs.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Named};
use super::{Api, Shared};
use omni_common::api::v1::{Page, Problem, ReadQuery, SystemView};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// List systems
///
/// All systems of the catalogue with their components, and the containers that carry their label on any host.
#[utoipa::path(get, path = "/api/v1/systems", operation_id = "listSystems", tag = "systems",
    params(ReadQuery), responses((status = 200, body = Page<SystemView>)))]
async fn list(api: Shared, Fresh(state): Fresh) -> Answer<Page<SystemView>> {
    Answer::at(state.index, api.app.list_systems(&state))
}

/// Show a system
#[utoipa::path(get, path = "/api/v1/systems/{system}", operation_id = "getSystem", tag = "systems",
    params(("system" = String, Path, description = "Number or codename."), ReadQuery),
    responses((status = 200, body = SystemView), (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(system): Named<String>,
) -> Result<Answer<SystemView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_system(&state, &system)?))
}
