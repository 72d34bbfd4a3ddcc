//! `/alerts`, and where Alertmanager reports them.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::{Api, Shared};
use omni_common::api::v1::{
    AlertView, AlertmanagerMessage, AlertsQuery, AlertsTaken, Page, Problem, ReadQuery,
};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(dismiss)).routes(routes!(take))
}

/// List alerts
///
/// What Alertmanager reported and has not taken back, the worst first.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "listAlerts", tag = "alerts",
    params(AlertsQuery, ReadQuery), responses((status = 200, body = Page<AlertView>), (status = 400, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<AlertsQuery>,
) -> Answer<Page<AlertView>> {
    Answer::at(state.index, api.app.list_alerts(&state, &query))
}

/// Dismiss an alert
///
/// It comes back when it is reported again. For what nobody takes back any more.
#[utoipa::path(delete, path = "/api/v1/alerts/{fingerprint}", operation_id = "dismissAlert", tag = "alerts",
    params(("fingerprint" = String, Path, description = "Fingerprint.")),
    responses((status = 204, description = "Out of view."), (status = 404, body = Problem)))]
async fn dismiss(
    api: Shared,
    Named(fingerprint): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.dismiss_alert(&call, &fingerprint).await?.into())
}

/// Report alerts
///
/// The address for `webhook_configs` of Alertmanager (webhook version 4), with an operator's token as bearer. It
/// may be sent again. Alertmanager tries again after a 5xx and drops what got a 4xx.
#[utoipa::path(post, path = "/api/v1/hooks/alertmanager", operation_id = "reportAlerts", tag = "alerts",
    request_body = AlertmanagerMessage,
    responses((status = 200, body = AlertsTaken), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn take(
    api: Shared,
    Write { call, body, .. }: Write<AlertmanagerMessage>,
) -> Result<Answer<AlertsTaken>, ApiError> {
    Ok(Answer::from(api.app.take_alerts(&call, body).await?))
}
