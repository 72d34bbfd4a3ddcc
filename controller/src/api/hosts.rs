//! `/hosts`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::{Api, Shared};
use omni_common::api::v1::{
    DrainHost, HostMetrics, HostView, HostsQuery, MetricsQuery, Page, Problem, Processes, ReadQuery,
    UpdateHost,
};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, update, remove))
        .routes(routes!(metrics))
        .routes(routes!(processes))
        .routes(routes!(drain))
}

/// List hosts
///
/// In the order they joined.
#[utoipa::path(get, path = "/api/v1/hosts", operation_id = "listHosts", tag = "hosts", params(HostsQuery, ReadQuery),
    responses((status = 200, body = Page<HostView>), (status = 400, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<HostsQuery>,
) -> Result<Answer<Page<HostView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_hosts(&state, &query)?))
}

/// Show a host
#[utoipa::path(get, path = "/api/v1/hosts/{host}", operation_id = "getHost", tag = "hosts",
    params(("host" = String, Path, description = "Name or id."), ReadQuery),
    responses((status = 200, body = HostView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(host): Named<String>,
) -> Result<Answer<HostView>, ApiError> {
    let host = api.app.get_host(&state, &host)?;
    let revision = host.revision;
    Ok(Answer::at(state.index, host).revision(revision))
}

/// Change a host
///
/// Sets and removes labels, cordons and uncordons, sets its own failure detection. What the body does not name
/// stays as it is.
#[utoipa::path(patch, path = "/api/v1/hosts/{host}", operation_id = "updateHost", tag = "hosts",
    params(("host" = String, Path, description = "Name or id."),
        ("if-match" = Option<String>, Header, description = "`etag` of the host: change it only if nobody else has.")),
    request_body = UpdateHost,
    responses((status = 200, body = HostView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 412, description = "It has changed meanwhile.", body = Problem),
        (status = 422, body = Problem)))]
async fn update(
    api: Shared,
    Named(host): Named<String>,
    Write { call, expect, body }: Write<UpdateHost>,
) -> Result<Answer<HostView>, ApiError> {
    let view = api.app.update_host(&call, &host, body, expect).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).revision(revision))
}

/// Remove a host
///
/// Its certificate is revoked and its session cut within a second. It can only come back with a new join token.
#[utoipa::path(delete, path = "/api/v1/hosts/{host}", operation_id = "removeHost", tag = "hosts",
    params(("host" = String, Path, description = "Name or id.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    api: Shared,
    Named(host): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.remove_host(&call, &host).await?.into())
}

/// Show what a host measured
///
/// The newest sample and recent history: from the host's own ring of 24 hours, or, when it does not answer, the
/// one-minute means that the controllers have kept.
#[utoipa::path(get, path = "/api/v1/hosts/{host}/metrics", operation_id = "getHostMetrics", tag = "metrics",
    params(("host" = String, Path, description = "Name or id."), MetricsQuery, ReadQuery),
    responses((status = 200, body = HostMetrics), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 502, description = "The host cannot be asked.", body = Problem)))]
async fn metrics(
    api: Shared,
    Fresh(state): Fresh,
    Named(host): Named<String>,
    Params(query): Params<MetricsQuery>,
) -> Result<Answer<HostMetrics>, ApiError> {
    Ok(Answer::at(state.index, api.app.host_metrics(&state, &host, &query).await?))
}

/// List a host's processes
///
/// Read when asked for; takes about a second.
#[utoipa::path(get, path = "/api/v1/hosts/{host}/processes", operation_id = "listProcesses", tag = "metrics",
    params(("host" = String, Path, description = "Name or id."), ReadQuery),
    responses((status = 200, body = Processes), (status = 404, body = Problem),
        (status = 502, description = "The host cannot be asked.", body = Problem)))]
async fn processes(
    api: Shared,
    Fresh(state): Fresh,
    Named(host): Named<String>,
) -> Result<Answer<Processes>, ApiError> {
    Ok(Answer::at(state.index, api.app.processes(&state, &host).await?))
}

/// Empty a host
///
/// What runs there is moved elsewhere, a few at a time and never below what its apps need; what cannot be moved waits
/// and says why. Nothing new is placed there until `drain` is `false` again.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/drain", operation_id = "drainHost", tag = "hosts",
    params(("host" = String, Path, description = "Name or id.")), request_body = DrainHost,
    responses((status = 200, body = HostView), (status = 404, body = Problem)))]
async fn drain(
    api: Shared,
    Named(host): Named<String>,
    Write { call, body, .. }: Write<DrainHost>,
) -> Result<Answer<HostView>, ApiError> {
    Ok(Answer::from(api.app.drain_host(&call, &host, body).await?))
}
