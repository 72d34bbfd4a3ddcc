//! `/containers`: all hosts in one list.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Named, Params};
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{ContainerView, ContainersQuery, Page, Problem, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// List containers
///
/// Of all hosts, by host and id. Each says how old the observation is: that of a host that went away stays.
#[utoipa::path(get, path = "/api/v1/containers", operation_id = "listContainers", tag = "containers",
    params(ContainersQuery, ReadQuery),
    responses((status = 200, body = Page<ContainerView>), (status = 400, body = Problem),
        (status = 404, description = "A host in the filter does not exist.", body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<ContainersQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<ContainerView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_containers(&state, &query, caller.principal.reach())?))
}

/// Show a container
#[utoipa::path(get, path = "/api/v1/containers/{host}/{container}", operation_id = "getContainer", tag = "containers",
    params(("host" = String, Path, description = "Name or id."),
        ("container" = String, Path, description = "Name, id, or the beginning of an id."), ReadQuery),
    responses((status = 200, body = ContainerView), (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named((host, container)): Named<(String, String)>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<ContainerView>, ApiError> {
    let found = api.app.get_container(&state, &host, &container, caller.principal.reach())?;
    Ok(Answer::at(state.index, found))
}
