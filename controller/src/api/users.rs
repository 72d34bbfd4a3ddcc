//! `/users`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{
    CreateUser, Page, Problem, ReadQuery, SessionView, UpdateUser, UserView, UsersQuery,
};
use omni_common::ids::TokenId;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, remove))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
}

/// List people
///
/// By name.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "listUsers", tag = "users", params(UsersQuery, ReadQuery),
    responses((status = 200, body = Page<UserView>), (status = 400, body = Problem)))]
async fn list(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<UsersQuery>,
) -> Result<Answer<Page<UserView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_users(&state, &query)?))
}

/// Add a person
#[utoipa::path(post, path = "/api/v1/users", operation_id = "createUser", tag = "users", request_body = CreateUser,
    responses((status = 201, body = UserView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 409, description = "The name is taken.", body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    api: Shared,
    Write { call, body, .. }: Write<CreateUser>,
) -> Result<Answer<UserView>, ApiError> {
    let view = api.app.create_user(&call, body).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).created().revision(revision))
}

/// Show a person
#[utoipa::path(get, path = "/api/v1/users/{user}", operation_id = "getUser", tag = "users",
    params(("user" = String, Path, description = "Name."), ReadQuery),
    responses((status = 200, body = UserView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(user): Named<String>,
) -> Result<Answer<UserView>, ApiError> {
    let view = api.app.get_user(&state, &user)?;
    let revision = view.revision;
    Ok(Answer::at(state.index, view).revision(revision))
}

/// Change a person
///
/// What the provider says of somebody who signs in through it cannot be changed here. Somebody who is disabled, or given
/// a new password, is signed out everywhere.
#[utoipa::path(patch, path = "/api/v1/users/{user}", operation_id = "updateUser", tag = "users",
    params(("user" = String, Path, description = "Name."),
        ("if-match" = Option<String>, Header, description = "`etag` of the person: change them only if nobody else has.")),
    request_body = UpdateUser,
    responses((status = 200, body = UserView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "It would leave nobody who may do everything, or the provider decides.", body = Problem),
        (status = 412, description = "They were changed meanwhile.", body = Problem), (status = 422, body = Problem)))]
async fn update(
    api: Shared,
    Named(user): Named<String>,
    Write { call, expect, body }: Write<UpdateUser>,
) -> Result<Answer<UserView>, ApiError> {
    let view = api.app.update_user(&call, &user, body, expect).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).revision(revision))
}

/// Remove a person
///
/// Their sessions end. API tokens that they made stay.
#[utoipa::path(delete, path = "/api/v1/users/{user}", operation_id = "removeUser", tag = "users",
    params(("user" = String, Path, description = "Name.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem),
        (status = 409, description = "It would leave nobody who may do everything.", body = Problem)))]
async fn remove(
    api: Shared,
    Named(user): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.remove_user(&call, &user).await?.into())
}

/// List a person's sessions
#[utoipa::path(get, path = "/api/v1/users/{user}/sessions", operation_id = "listSessions", tag = "users",
    params(("user" = String, Path, description = "Name."), ReadQuery),
    responses((status = 200, body = Page<SessionView>), (status = 404, body = Problem)))]
async fn sessions(
    api: Shared,
    Fresh(state): Fresh,
    Named(user): Named<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<SessionView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_sessions(&state, &user, &caller.principal)?))
}

/// Sign a person out everywhere
#[utoipa::path(delete, path = "/api/v1/users/{user}/sessions", operation_id = "endSessions", tag = "users",
    params(("user" = String, Path, description = "Name.")),
    responses((status = 204, description = "All are over."), (status = 404, body = Problem)))]
async fn end_sessions(
    api: Shared,
    Named(user): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.end_sessions(&call, &user).await?.into())
}

/// End a person's session
#[utoipa::path(delete, path = "/api/v1/users/{user}/sessions/{id}", operation_id = "endUserSession", tag = "users",
    params(("user" = String, Path, description = "Name."), ("id" = TokenId, Path, description = "Session id.")),
    responses((status = 204, description = "It is over."), (status = 404, body = Problem)))]
async fn end_session(
    api: Shared,
    Named((user, id)): Named<(String, TokenId)>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.end_session(&call, &user, id).await?.into())
}
