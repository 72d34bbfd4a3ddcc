//! People at the fake controller.

use super::{Fake, problem};
use crate::fixtures;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use omni_common::api::v1::*;

/// The one password that is right.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(super) fn router() -> Router<Fake> {
    Router::new()
        .route("/api/v1/session", post(sign_in).delete(gone))
        .route("/api/v1/session/oidc/device", post(start_device))
        .route("/api/v1/session/oidc/device/poll", post(poll_device))
        .route("/api/v1/account", get(|| async { Json(fixtures::users().remove(0)) }))
        .route("/api/v1/account/password", put(change_password))
        .route("/api/v1/account/sessions", get(sessions).delete(gone))
        .route("/api/v1/account/sessions/{id}", delete(gone))
        .route("/api/v1/users", get(users).post(create))
        .route("/api/v1/users/{user}", get(user).patch(update).delete(gone))
        .route("/api/v1/users/{user}/sessions", get(sessions).delete(gone))
        .route("/api/v1/users/{user}/sessions/{id}", delete(gone))
        .route("/api/v1/oidc", get(oidc).put(set_oidc).delete(gone))
}

async fn gone() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn started(fake: &Fake) -> SessionStarted {
    SessionStarted { user: "ann".to_owned(), token: Some(fake.session.clone()), pass: None }
}

async fn sign_in(State(fake): State<Fake>, Json(body): Json<StartSession>) -> Response {
    if body.browser || (body.name.as_str(), body.password.as_str()) != ("ann", PASSWORD) {
        return problem(StatusCode::UNAUTHORIZED, "unauthenticated", "name or password is wrong");
    }
    (StatusCode::CREATED, Json(started(&fake))).into_response()
}

async fn start_device() -> (StatusCode, Json<DeviceStarted>) {
    let device = DeviceStarted {
        verification_uri: "https://auth.lan/device".to_owned(),
        verification_uri_complete: None,
        user_code: "123456789".to_owned(),
        handle: "sealed".to_owned(),
        interval_secs: 1,
        ttl_secs: 60,
    };
    (StatusCode::CREATED, Json(device))
}

/// The first question comes too early, the second one does not.
async fn poll_device(State(fake): State<Fake>, Json(body): Json<DevicePoll>) -> Response {
    if body.handle != "sealed" {
        return problem(StatusCode::UNAUTHORIZED, "unauthenticated", "this is not a handle");
    }
    let asked =
        fake.written.lock().expect("not poisoned").iter().filter(|one| one.call.ends_with("/poll")).count();
    let started = (asked > 1).then(|| started(&fake));
    Json(DeviceAnswer { started, interval_secs: 1 }).into_response()
}

async fn change_password(Json(body): Json<ChangePassword>) -> Response {
    if body.current != PASSWORD {
        return problem(StatusCode::BAD_REQUEST, "invalid", "this is not the password that holds");
    }
    Json(fixtures::users().remove(0)).into_response()
}

async fn sessions() -> Json<Page<SessionView>> {
    Json(Page::whole(fixtures::sessions()))
}

async fn users() -> Json<Page<UserView>> {
    Json(Page::whole(fixtures::users()))
}

async fn user(Path(name): Path<String>) -> Response {
    let found = fixtures::users().into_iter().find(|user| user.name == name);
    found.map_or_else(|| super::not_found("user", &name), |user| Json(user).into_response())
}

async fn create(Json(body): Json<CreateUser>) -> (StatusCode, Json<UserView>) {
    let user =
        UserView { name: body.name, role: body.role, scope: body.scope, ..fixtures::users().remove(0) };
    (StatusCode::CREATED, Json(user))
}

async fn update(Path(name): Path<String>, Json(body): Json<UpdateUser>) -> Response {
    let Some(user) = fixtures::users().into_iter().find(|user| user.name == name) else {
        return super::not_found("user", &name);
    };
    Json(UserView {
        role: body.role.unwrap_or(user.role),
        scope: body.scope.unwrap_or_else(|| user.scope.clone()),
        disabled: body.disabled.unwrap_or(user.disabled),
        ..user
    })
    .into_response()
}

async fn oidc() -> Json<OidcView> {
    Json(fixtures::oidc())
}

async fn set_oidc(Json(body): Json<SetOidc>) -> Json<OidcView> {
    let problem = body.issuer.contains("gone").then(|| "the OpenID provider cannot be asked".to_owned());
    Json(OidcView { issuer: body.issuer, groups: body.groups, problem, ..fixtures::oidc() })
}
