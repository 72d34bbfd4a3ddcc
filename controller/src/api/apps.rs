//! `/apps`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{
    AcceptLoss, AppView, AppsQuery, Change, Deploy, DeployPlan, DiffQuery, Explanation, Page, Problem,
    ProjectReading, ReadProject, ReadQuery, ReleaseView, RemoveAppQuery, Rollback, SteerDeployment,
    UpdateApp,
};
use omni_common::domain::app::AppSpec;
use omni_common::ids::DeploymentId;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list, deploy))
        .routes(routes!(read))
        .routes(routes!(plan))
        .routes(routes!(get, update, remove))
        .routes(routes!(restart))
        .routes(routes!(rollback))
        .routes(routes!(accept_loss))
        .routes(routes!(explain))
        .routes(routes!(releases))
        .routes(routes!(release))
        .routes(routes!(diff))
        .routes(routes!(steer))
}

/// List apps
///
/// By environment and name.
#[utoipa::path(get, path = "/api/v1/apps", operation_id = "listApps", tag = "apps", params(AppsQuery, ReadQuery),
    responses((status = 200, body = Page<AppView>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<AppsQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<AppView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_apps(&state, &query, caller.principal.reach())?))
}

/// Deploy a project
///
/// Makes a release of it and moves the app there, which comes into being with its first. Answers at once; the app's
/// `deployment` and its events tell how it goes. With `if-match`, only when the app is as it was planned for.
#[utoipa::path(post, path = "/api/v1/apps", operation_id = "deployApp", tag = "apps",
    params(("if-match" = Option<String>, Header, description = "`revision` of the plan, as an etag; `\"0\"` for a new app.")),
    request_body = Deploy,
    responses((status = 201, body = AppView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 404, description = "No such environment.", body = Problem),
        (status = 409, body = Problem), (status = 412, description = "It has changed meanwhile.", body = Problem),
        (status = 422, description = "The project does not read; `errors` says where.", body = Problem)))]
async fn deploy(
    api: Shared,
    Write { call, expect, body }: Write<Deploy>,
) -> Result<Answer<AppView>, ApiError> {
    let view = api.app.deploy(&call, &body, expect).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).created().revision(revision))
}

/// Read a project
///
/// Resolves everything and says what it comes to, changing nothing.
#[utoipa::path(post, path = "/api/v1/apps/read", operation_id = "readProject", tag = "apps", request_body = ReadProject,
    responses((status = 200, body = ProjectReading), (status = 400, body = Problem),
        (status = 422, description = "The project does not read; `errors` says where.", body = Problem)))]
async fn read(
    api: Shared,
    Fresh(state): Fresh,
    Write { body, .. }: Write<ReadProject>,
) -> Result<Answer<ProjectReading>, ApiError> {
    Ok(Answer::at(state.index, api.app.read_project(&body)?))
}

/// Plan a deployment
///
/// Says what deploying a project would change, place and stop, changing nothing.
#[utoipa::path(post, path = "/api/v1/apps/plan", operation_id = "planDeploy", tag = "apps", request_body = Deploy,
    responses((status = 200, body = DeployPlan), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem),
        (status = 422, description = "The project does not read; `errors` says where.", body = Problem)))]
async fn plan(
    api: Shared,
    Fresh(state): Fresh,
    Write { call, body, .. }: Write<Deploy>,
) -> Result<Answer<DeployPlan>, ApiError> {
    let taking = api.app.taking(&state, &call, body.adopt.as_ref()).await?;
    Ok(Answer::at(state.index, api.app.plan_deploy(&state, &call, &body, taking.as_ref())?))
}

/// Show an app
///
/// With what runs where, the newest deployment, and what waits and why.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}", operation_id = "getApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ReadQuery),
    responses((status = 200, body = AppView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name)): Named<(String, String)>,
) -> Result<Answer<AppView>, ApiError> {
    let app = api.app.get_app(&state, &environment, &name)?;
    let revision = app.revision;
    Ok(Answer::at(state.index, app).revision(revision))
}

/// Change an app
///
/// Starts or stops it, or sets how many instances of its groups there are.
#[utoipa::path(patch, path = "/api/v1/apps/{environment}/{app}", operation_id = "updateApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ("if-match" = Option<String>, Header, description = "`etag` of the app: change it only if nobody else has.")),
    request_body = UpdateApp,
    responses((status = 200, body = AppView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, description = "It has changed meanwhile.", body = Problem), (status = 422, body = Problem)))]
async fn update(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, expect, body }: Write<UpdateApp>,
) -> Result<Answer<AppView>, ApiError> {
    let view = api.app.update_app(&call, &environment, &name, body, expect).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).revision(revision))
}

/// Remove an app
///
/// Its containers are stopped and removed. Volumes stay, unless `volumes=true` says that their data may be lost.
#[utoipa::path(delete, path = "/api/v1/apps/{environment}/{app}", operation_id = "removeApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        RemoveAppQuery),
    responses((status = 204, description = "It is on its way out."), (status = 404, body = Problem)))]
async fn remove(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Params(query): Params<RemoveAppQuery>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.remove_app(&call, &environment, &name, query.volumes.unwrap_or(false)).await?.into())
}

/// Restart an app
///
/// Replaces its instances by fresh ones of the same release, under the release's own rules.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/restart", operation_id = "restartApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    responses((status = 200, body = AppView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn restart(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, .. }: Write<()>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.restart_app(&call, &environment, &name).await?))
}

/// Accept older data than an app allows
///
/// For an instance whose host is down, with `failover: restore`: it comes back from the newest usable snapshot though that is
/// older than `max_data_age`. It holds for this loss only.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/accept-loss", operation_id = "acceptLoss", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    request_body = AcceptLoss,
    responses((status = 200, body = AppView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn accept_loss(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, body, .. }: Write<AcceptLoss>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.accept_loss(&call, &environment, &name, &body).await?))
}

/// Move an app to a release it has
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/rollback", operation_id = "rollbackApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ("if-match" = Option<String>, Header, description = "`etag` of the app: change it only if nobody else has.")),
    request_body = Rollback,
    responses((status = 200, body = AppView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, description = "It has changed meanwhile.", body = Problem), (status = 422, body = Problem)))]
async fn rollback(
    api: Shared,
    Named((environment, name)): Named<(String, String)>,
    Write { call, expect, body }: Write<Rollback>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.rollback_app(&call, &environment, &name, &body, expect).await?))
}

/// Explain where an app runs
///
/// Says for each host why the app runs there, or why not.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}/explain", operation_id = "explainApp", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ReadQuery),
    responses((status = 200, body = Explanation), (status = 404, body = Problem)))]
async fn explain(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name)): Named<(String, String)>,
) -> Result<Answer<Explanation>, ApiError> {
    Ok(Answer::at(state.index, api.app.explain_app(&state, &environment, &name)?))
}

/// List an app's releases
///
/// Newest first. The oldest beyond twenty are forgotten.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}/releases", operation_id = "listReleases", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ReadQuery),
    responses((status = 200, body = Page<ReleaseView>), (status = 404, body = Problem)))]
async fn releases(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name)): Named<(String, String)>,
) -> Result<Answer<Page<ReleaseView>>, ApiError> {
    Ok(Answer::at(state.index, Page::whole(api.app.list_releases(&state, &environment, &name)?)))
}

/// Show a release's specification
///
/// With the values of its variables, so it takes an operator.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}/releases/{release}", operation_id = "getRelease", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ("release" = u64, Path, description = "Number."), ReadQuery),
    responses((status = 200, body = AppSpec), (status = 404, body = Problem)))]
async fn release(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name, number)): Named<(String, String, u64)>,
) -> Result<Answer<AppSpec>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_release(&state, &environment, &name, number)?))
}

/// Compare two releases
///
/// Values of variables and secrets are told as changed, not shown.
#[utoipa::path(get, path = "/api/v1/apps/{environment}/{app}/diff", operation_id = "diffReleases", tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        DiffQuery, ReadQuery),
    responses((status = 200, body = Page<Change>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn diff(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, name)): Named<(String, String)>,
    Params(query): Params<DiffQuery>,
) -> Result<Answer<Page<Change>>, ApiError> {
    let changes = api.app.diff_releases(&state, &environment, &name, query.from, query.to)?;
    Ok(Answer::at(state.index, Page::whole(changes)))
}

/// Take a hand in a deployment
///
/// Pauses it, lets it go on, lets it go on without waiting for health, or gives it up and goes back.
#[utoipa::path(post, path = "/api/v1/apps/{environment}/{app}/deployments/{deployment}", operation_id = "steerDeployment",
    tag = "apps",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ("deployment" = DeploymentId, Path, description = "Id.")),
    request_body = SteerDeployment,
    responses((status = 200, body = AppView), (status = 404, body = Problem),
        (status = 409, description = "It is over.", body = Problem)))]
async fn steer(
    api: Shared,
    Named((environment, name, deployment)): Named<(String, String, DeploymentId)>,
    Write { call, body, .. }: Write<SteerDeployment>,
) -> Result<Answer<AppView>, ApiError> {
    Ok(Answer::from(api.app.steer_deployment(&call, &environment, &name, deployment, body).await?))
}
