//! `/hosts/{host}/projects`: compose projects that run on a host and can become apps.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Named, Params};
use super::{Api, Shared};
use omni_common::api::v1::{DefinitionQuery, HostProject, Page, Problem, ProjectDefinition, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(define))
}

/// List the compose projects of a host
///
/// Those that docker compose has started, with those that became apps.
#[utoipa::path(get, path = "/api/v1/hosts/{host}/projects", operation_id = "listProjects", tag = "hosts",
    params(("host" = String, Path, description = "Name or id."), ReadQuery),
    responses((status = 200, body = Page<HostProject>), (status = 404, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Named(host): Named<String>,
) -> Result<Answer<Page<HostProject>>, ApiError> {
    Ok(Answer::at(state.index, Page::whole(api.app.list_projects(&state, &host)?)))
}

/// Show the definition of a compose project
///
/// The files that its containers name, read on the host, or a file written from what the engine says of the containers. A
/// deploy of it with `adopt` takes the containers over as they run. With the values of its variables, so it takes an operator.
#[utoipa::path(get, path = "/api/v1/hosts/{host}/projects/{project}", operation_id = "getProject", tag = "hosts",
    params(("host" = String, Path, description = "Name or id."), ("project" = String, Path, description = "Name."),
        DefinitionQuery, ReadQuery),
    responses((status = 200, body = ProjectDefinition), (status = 404, body = Problem),
        (status = 409, description = "The host is not up, its agent is too old, or the files are of no use.", body = Problem),
        (status = 502, description = "The host cannot be asked.", body = Problem)))]
async fn define(
    api: Shared,
    Fresh(state): Fresh,
    Named((host, project)): Named<(String, String)>,
    Params(query): Params<DefinitionQuery>,
) -> Result<Answer<ProjectDefinition>, ApiError> {
    Ok(Answer::at(state.index, api.app.define_project(&state, &host, &project, query.from).await?))
}
