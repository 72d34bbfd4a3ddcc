//! `/environments`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Write};
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{CreateEnvironment, EnvironmentView, Page, Problem, ReadQuery};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(remove))
}

/// List environments
#[utoipa::path(get, path = "/api/v1/environments", operation_id = "listEnvironments", tag = "environments",
    params(ReadQuery), responses((status = 200, body = Page<EnvironmentView>)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Extension(caller): Extension<Caller>,
) -> Answer<Page<EnvironmentView>> {
    Answer::at(state.index, api.app.list_environments(&state, caller.principal.reach()))
}

/// Make an environment
#[utoipa::path(post, path = "/api/v1/environments", operation_id = "createEnvironment", tag = "environments",
    request_body = CreateEnvironment,
    responses((status = 201, body = EnvironmentView), (status = 400, body = Problem),
        (status = 409, description = "The name is taken.", body = Problem), (status = 422, body = Problem)))]
async fn create(
    api: Shared,
    Write { call, body, .. }: Write<CreateEnvironment>,
) -> Result<Answer<EnvironmentView>, ApiError> {
    Ok(Answer::from(api.app.create_environment(&call, body).await?).created())
}

/// Remove an environment
#[utoipa::path(delete, path = "/api/v1/environments/{name}", operation_id = "removeEnvironment", tag = "environments",
    params(("name" = String, Path, description = "Name.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    api: Shared,
    Named(name): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.delete_environment(&call, &name).await?.into())
}
