//! `/session` and `/account`: signing in and out, and one's own account.

use super::answer::{Answer, Gone};
use super::cookies;
use super::error::ApiError;
use super::extract::{Fresh, Guest, Named, Write};
use super::guard::{ByCookie, Caller};
use super::{Api, Shared};
use crate::app::{AppError, Began, Denied, View};
use axum::Extension;
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Response};
use omni_common::api::v1::{
    AcceptInvitation, ChangePassword, Page, PagePass, Problem, ReadQuery, SessionStarted, SessionView,
    StartSession, UserView, WaysIn,
};
use omni_common::ids::TokenId;
use std::sync::Arc;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(ways))
        .routes(routes!(start, end))
        .routes(routes!(accept))
        .routes(routes!(pass))
        .routes(routes!(account))
        .routes(routes!(change_password))
        .routes(routes!(own_sessions, end_all))
        .routes(routes!(end_one))
}

/// Show how one can sign in
#[utoipa::path(get, path = "/api/v1/session/ways", operation_id = "waysIn", tag = "session",
    responses((status = 200, body = WaysIn)))]
async fn ways(api: Shared) -> Answer<WaysIn> {
    let state = api.app.store.current();
    Answer::at(state.index, api.app.ways_in(&state))
}

/// Sign in with a password
///
/// A program gets a token to send as a bearer. A page of the dashboard gets a cookie, which is out of its reach, and a
/// pass.
#[utoipa::path(post, path = "/api/v1/session", operation_id = "startSession", tag = "session",
    request_body = StartSession, responses((status = 201, body = SessionStarted)))]
async fn start(api: Shared, guest: Guest<StartSession>) -> Result<Response, ApiError> {
    let Guest { mut visitor, from, own_page, body } = guest;
    if body.browser {
        own_page?;
        visitor.browser = true;
    }
    let attempt = api.sign_ins.attempt(&body.name, from, Instant::now()).map_err(ApiError::Throttled)?;
    let began = api.app.sign_in(&visitor, &body).await;
    match &began {
        Err(AppError::Denied(Denied::SignIn)) => {
            // A password that was typed into the wrong field must not end up in the audit trail.
            let known = api.app.store.current().users.contains_key(&body.name);
            let target = if known { body.name.as_str() } else { "an unknown name" };
            api.note_stranger("sign_in", from, "POST /api/v1/session", target);
        }
        _ => attempt.forgive(),
    }
    entered(&api, began?)
}

/// Take an invitation
///
/// Whoever holds a join token for an admin becomes one, with a name and password of their choice, and is signed in.
#[utoipa::path(post, path = "/api/v1/session/invitation", operation_id = "acceptInvitation", tag = "session",
    request_body = AcceptInvitation,
    responses((status = 201, body = SessionStarted), (status = 409, description = "The token is used up, or the name is taken.", body = Problem),
        (status = 422, body = Problem)))]
async fn accept(api: Shared, guest: Guest<AcceptInvitation>) -> Result<Response, ApiError> {
    let Guest { mut visitor, from, own_page, body } = guest;
    if body.browser {
        own_page?;
        visitor.browser = true;
    }
    let attempt = api.sign_ins.attempt("", from, Instant::now()).map_err(ApiError::Throttled)?;
    let began = api.app.accept_invitation(&visitor, body).await;
    if began.is_ok() {
        attempt.forgive();
    }
    entered(&api, began?)
}

/// The answer to somebody who has come in.
pub(super) fn entered(
    api: &Api,
    View { index, body: Began { body, cookie } }: View<Began>,
) -> Result<Response, ApiError> {
    let answer = Answer::at(index, body).created();
    let Some((text, age)) = cookie else { return Ok(answer.into_response()) };
    let name = cookies::session_name(&api.app.store.current()).ok_or(AppError::NoCluster)?;
    let set = AppendHeaders([(header::SET_COOKIE, cookies::set(&name, &text, age, false))]);
    Ok((set, answer).into_response())
}

/// Get a pass for a page
///
/// With the session's cookie, from a page of the controller's own; or, for an hour after that, with the pass before.
#[utoipa::path(post, path = "/api/v1/session/pass", operation_id = "pagePass", tag = "session",
    responses((status = 200, body = PagePass), (status = 409, body = Problem)))]
async fn pass(
    api: Shared,
    Extension(caller): Extension<Caller>,
    cookie: Option<Extension<ByCookie>>,
) -> Result<Answer<PagePass>, ApiError> {
    let pass = api.app.page_pass(&caller.principal, cookie.is_some())?;
    Ok(Answer::at(api.app.store.current().index, pass))
}

/// Sign out
#[utoipa::path(delete, path = "/api/v1/session", operation_id = "endSession", tag = "session",
    responses((status = 204, description = "Signed out."), (status = 409, description = "It is no session.", body = Problem)))]
async fn end(
    api: Shared,
    Extension(caller): Extension<Caller>,
    Write { call, .. }: Write<()>,
) -> Result<Response, ApiError> {
    let gone: Gone = api.app.sign_out(&call, &caller.principal).await?.into();
    let name = cookies::session_name(&api.app.store.current()).ok_or(AppError::NoCluster)?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookies::forget(&name))]), gone).into_response())
}

/// Show one's own account
#[utoipa::path(get, path = "/api/v1/account", operation_id = "getAccount", tag = "session", params(ReadQuery),
    responses((status = 200, body = UserView), (status = 409, description = "A token has no account.", body = Problem)))]
async fn account(
    api: Shared,
    Fresh(state): Fresh,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<UserView>, ApiError> {
    Ok(Answer::at(state.index, api.app.account(&state, &caller.principal)?))
}

/// Change one's own password
///
/// One's other sessions end.
#[utoipa::path(put, path = "/api/v1/account/password", operation_id = "changePassword", tag = "session",
    request_body = ChangePassword,
    responses((status = 200, body = UserView), (status = 409, description = "A token has no account.", body = Problem)))]
async fn change_password(
    api: Shared,
    Extension(caller): Extension<Caller>,
    Write { call, body, .. }: Write<ChangePassword>,
) -> Result<Answer<UserView>, ApiError> {
    let name = caller.principal.name.as_str();
    let attempt = api.sign_ins.attempt(name, caller.from, Instant::now()).map_err(ApiError::Throttled)?;
    let changed = api.app.change_password(&call, &caller.principal, &body).await;
    match changed {
        // The caller is known; it is the body that is wrong.
        Err(AppError::Denied(Denied::SignIn)) => {
            Err(AppError::invalid("/current", "this is not the password that holds").into())
        }
        other => {
            attempt.forgive();
            Ok(Answer::from(other?))
        }
    }
}

/// List one's own sessions
#[utoipa::path(get, path = "/api/v1/account/sessions", operation_id = "listOwnSessions", tag = "session", params(ReadQuery),
    responses((status = 200, body = Page<SessionView>), (status = 409, description = "A token has none.", body = Problem)))]
async fn own_sessions(
    api: Shared,
    Fresh(state): Fresh,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<SessionView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.own_sessions(&state, &caller.principal)?))
}

/// Sign out everywhere
///
/// The caller's own session ends too.
#[utoipa::path(delete, path = "/api/v1/account/sessions", operation_id = "endOwnSessions", tag = "session",
    responses((status = 204, description = "All are over."), (status = 409, description = "A token has none.", body = Problem)))]
async fn end_all(
    api: Shared,
    Extension(caller): Extension<Caller>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.end_own(&call, &caller.principal, None).await?.into())
}

/// End one of one's own sessions
#[utoipa::path(delete, path = "/api/v1/account/sessions/{id}", operation_id = "endOwnSession", tag = "session",
    params(("id" = TokenId, Path, description = "Session id.")),
    responses((status = 204, description = "It is over."), (status = 404, body = Problem),
        (status = 409, description = "A token has none.", body = Problem)))]
async fn end_one(
    api: Shared,
    Named(id): Named<TokenId>,
    Extension(caller): Extension<Caller>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.end_own(&call, &caller.principal, Some(id)).await?.into())
}
