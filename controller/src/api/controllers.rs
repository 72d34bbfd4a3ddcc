//! `/controllers`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Write};
use super::{Api, Shared};
use omni_common::api::v1::{ControllerView, Leadership, Page, Problem, ReadQuery, TransferLeadership};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, remove)).routes(routes!(transfer))
}

/// List controllers
///
/// Each is asked how it is; one that does not answer within a second is shown as unreachable. To add one, make
/// a join token with the role `controller` and run `omni-controller join` on the machine.
#[utoipa::path(get, path = "/api/v1/controllers", operation_id = "listControllers", tag = "controllers",
    params(ReadQuery), responses((status = 200, body = Page<ControllerView>)))]
async fn list(api: Shared, Fresh(state): Fresh) -> Answer<Page<ControllerView>> {
    Answer::at(state.index, api.app.list_controllers(&state).await)
}

/// Show a controller
#[utoipa::path(get, path = "/api/v1/controllers/{controller}", operation_id = "getController", tag = "controllers",
    params(("controller" = String, Path, description = "Name or number."), ReadQuery),
    responses((status = 200, body = ControllerView), (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(controller): Named<String>,
) -> Result<Answer<ControllerView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_controller(&state, &controller).await?))
}

/// Remove a controller
///
/// It leaves the Raft group, then its certificate is revoked. Its number is never used again.
#[utoipa::path(delete, path = "/api/v1/controllers/{controller}", operation_id = "removeController", tag = "controllers",
    params(("controller" = String, Path, description = "Name or number.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem),
        (status = 409, description = "The group cannot do without it.", body = Problem)))]
async fn remove(
    api: Shared,
    Named(controller): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.remove_controller(&call, &controller).await?.into())
}

/// Hand leadership over
#[utoipa::path(post, path = "/api/v1/controllers/transfer", operation_id = "transferLeadership", tag = "controllers",
    request_body = TransferLeadership,
    responses((status = 200, body = Leadership), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "That controller cannot lead.", body = Problem)))]
async fn transfer(
    api: Shared,
    Write { call, body, .. }: Write<TransferLeadership>,
) -> Result<Answer<Leadership>, ApiError> {
    let leadership = api.app.transfer_leadership(&call, body).await?;
    Ok(Answer::at(api.app.store.current().index, leadership))
}
