//! `/apps/{environment}/{app}/move`.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Named, Write};
use super::{Api, Shared};
use omni_common::api::v1::{AppView, ConfirmMove, MovePlan, Problem, StartMove};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(start)).routes(routes!(confirm)).routes(routes!(back))
}

/// Move an app to another host
///
/// With its data, which is brought through a repository: most of it while the app runs, the rest while it is stopped. Answers
/// at once; the app's `moving` and its events tell how it goes. With `dry_run`, only says what would be done.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/move", operation_id = "moveApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    request_body = StartMove,
    responses((status = 200, body = MovePlan), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "It cannot move there, or not now.", body = Problem),
        (status = 422, body = Problem)))]
async fn start(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name)): Named<(String, String)>,
    Write { call, body, .. }: Write<StartMove>,
) -> Result<Answer<MovePlan>, ApiError> {
    if body.dry_run {
        return Ok(Answer::at(state.index, api.app.plan_move(&state, &environment, &name, &body)?));
    }
    Ok(Answer::from(api.app.start_move(&call, &environment, &name, &body).await?))
}

/// Remove what an app has left behind
///
/// The volumes of its instances on these hosts, where they do not live any more: after a move, or because a lost host came
/// back. After that the move cannot be taken back.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/move/confirm", operation_id = "confirmMove", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    request_body = ConfirmMove,
    responses((status = 200, body = AppView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn confirm(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, body, .. }: Write<ConfirmMove>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.confirm_move(&call, &environment, &name, &body).await?))
}

/// Give a move up, or take it back
///
/// The app goes on where it was. What it wrote on the new host is not brought along, and stays there.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/move/back", operation_id = "returnMove", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    responses((status = 200, body = AppView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn back(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, .. }: Write<()>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.return_move(&call, &environment, &name).await?))
}
