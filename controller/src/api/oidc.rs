//! `/oidc`: the OpenID provider; and signing in through it.

use super::answer::{Answer, Gone};
use super::cookies;
use super::error::ApiError;
use super::extract::{Fresh, Guest, Params, Write, visitor};
use super::guard::remote_of;
use super::sessions::entered;
use super::{Api, Shared};
use crate::app::{AppError, Denied, DeviceStep, UNDER_WAY, View};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use omni_common::api::v1::{DeviceAnswer, DevicePoll, DeviceStarted, OidcView, Problem, ReadQuery, SetOidc};
use serde::Deserialize;
use std::sync::Arc;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(get, set, remove))
        .routes(routes!(leave))
        .routes(routes!(back))
        .routes(routes!(start_device))
        .routes(routes!(poll_device))
}

/// Show the OpenID provider
#[utoipa::path(get, path = "/api/v1/oidc", operation_id = "getOidc", tag = "session", params(ReadQuery),
    responses((status = 200, body = OidcView), (status = 404, description = "There is none.", body = Problem)))]
async fn get(api: Shared, Fresh(state): Fresh) -> Result<Answer<OidcView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_oidc(&state)?))
}

/// Set the OpenID provider
///
/// It is asked at once; `problem` says when it does not answer as it should. Sessions that began through another one end.
#[utoipa::path(put, path = "/api/v1/oidc", operation_id = "setOidc", tag = "session", request_body = SetOidc,
    responses((status = 200, body = OidcView), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn set(api: Shared, Write { call, body, .. }: Write<SetOidc>) -> Result<Answer<OidcView>, ApiError> {
    Ok(Answer::from(api.app.set_oidc(&call, body).await?))
}

/// Take the OpenID provider away
///
/// Sessions that began through it end. The people stay, and can sign in no more until there is a provider again.
#[utoipa::path(delete, path = "/api/v1/oidc", operation_id = "removeOidc", tag = "session",
    responses((status = 204, description = "There is none any more."), (status = 404, body = Problem)))]
async fn remove(api: Shared, Write { call, .. }: Write<()>) -> Result<Gone, ApiError> {
    Ok(api.app.delete_oidc(&call).await?.into())
}

/// Sign in through the OpenID provider
///
/// For a browser: sends it to the provider's page.
#[utoipa::path(get, path = "/api/v1/session/oidc", operation_id = "leaveForProvider", tag = "session",
    responses((status = 303, description = "To the provider."), (status = 404, description = "There is none.", body = Problem),
        (status = 409, description = "The provider does not know this address.", body = Problem)))]
async fn leave(api: Shared, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let host = cookies::called(&parts)
        .ok_or_else(|| ApiError::parameter("host", "a browser names the host that it calls"))?;
    api.sign_ins.visit(remote_of(&parts), Instant::now()).map_err(ApiError::Throttled)?;
    let left = match api.app.leave_for_provider(host).await {
        Ok(left) => left,
        Err(error @ (AppError::NotFound { .. } | AppError::NotHere(_))) => return Err(error.into()),
        Err(error) => return Ok(failed(&error)),
    };
    let name = cookie_name(&api)?;
    let set = cookies::set(&name, &left.sealed, UNDER_WAY, true);
    let to = HeaderValue::from_str(&left.url)
        .map_err(|_| ApiError::Bug("the provider's address is no address"))?;
    Ok((StatusCode::SEE_OTHER, AppendHeaders([(header::SET_COOKIE, set), (header::LOCATION, to)]))
        .into_response())
}

/// What a provider adds to its answer; other parameters of its are of no interest.
#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Come back from the OpenID provider
///
/// For a browser: ends at the dashboard, signed in or with the reason why not.
#[utoipa::path(get, path = "/api/v1/session/oidc/callback", operation_id = "backFromProvider", tag = "session",
    responses((status = 303, description = "To the dashboard.")))]
async fn back(api: Shared, Params(told): Params<Back>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let name = cookie_name(&api)?;
    let mut visitor = visitor(&parts);
    visitor.browser = true;
    let sealed = cookies::read(&parts.headers, &name).unwrap_or_default();
    let began = match (&told.code, &told.state, &told.error) {
        (Some(code), Some(state), None) => {
            api.app.back_from_provider(&visitor, sealed, state, told.iss.as_deref(), code).await
        }
        (_, _, Some(error)) => Err(AppError::Provider(error.chars().take(64).collect())),
        _ => Err(Denied::Foreign.into()),
    };
    let mut response = match began {
        Ok(View { index, body }) => {
            let mut entered = entered(&api, View { index, body })?;
            let cookie = entered.headers_mut().remove(header::SET_COOKIE);
            let cookie = cookie.ok_or(ApiError::Bug("a browser got no cookie"))?;
            to_dashboard("/", Some(cookie))
        }
        Err(error) => {
            api.note_stranger(
                "oidc",
                remote_of(&parts),
                "GET /api/v1/session/oidc/callback",
                "the OpenID provider",
            );
            failed(&error)
        }
    };
    response.headers_mut().append(header::SET_COOKIE, cookies::forget(&name));
    Ok(response)
}

/// Sends a browser to the sign-in page with a word that the page has a sentence for. Details are for the log: what a
/// provider says may hold what a stranger put there.
fn failed(error: &AppError) -> Response {
    let word = match error {
        AppError::NotAdmitted(_) => "not-admitted",
        AppError::Provider(word) if word == "access_denied" => "denied",
        AppError::Denied(Denied::SignedOut) => "late",
        AppError::Denied(_) => "foreign",
        _ => "provider",
    };
    tracing::warn!(%error, "somebody did not come in through the OpenID provider");
    to_dashboard(&format!("/#/sign-in/{word}"), None)
}

fn to_dashboard(place: &str, cookie: Option<HeaderValue>) -> Response {
    let to = HeaderValue::from_str(place).expect("a path of ours");
    let mut response = (StatusCode::SEE_OTHER, AppendHeaders([(header::LOCATION, to)])).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Name of the cookie that holds a sign-in under way. `Lax`, because the way back is a link from the provider's page.
fn cookie_name(api: &Api) -> Result<String, ApiError> {
    let name = cookies::session_name(&api.app.store.current()).ok_or(AppError::NoCluster)?;
    Ok(format!("{name}-oidc"))
}

/// Begin a program's sign-in through the OpenID provider
///
/// The person opens the address and types the code; the program asks meanwhile whether it is done.
#[utoipa::path(post, path = "/api/v1/session/oidc/device", operation_id = "startDevice", tag = "session",
    responses((status = 201, body = DeviceStarted), (status = 404, description = "There is no provider.", body = Problem),
        (status = 502, description = "The provider did not do its part.", body = Problem)))]
async fn start_device(api: Shared, guest: Guest<()>) -> Result<Answer<DeviceStarted>, ApiError> {
    api.sign_ins.visit(guest.from, Instant::now()).map_err(ApiError::Throttled)?;
    let started = api.app.start_device().await?;
    Ok(Answer::at(api.app.store.current().index, started).created())
}

/// Ask whether a program's sign-in is done
#[utoipa::path(post, path = "/api/v1/session/oidc/device/poll", operation_id = "pollDevice", tag = "session",
    request_body = DevicePoll,
    responses((status = 200, body = DeviceAnswer), (status = 404, description = "There is no provider.", body = Problem),
        (status = 502, description = "The provider did not do its part, or the person said no.", body = Problem)))]
async fn poll_device(api: Shared, guest: Guest<DevicePoll>) -> Result<Answer<DeviceAnswer>, ApiError> {
    api.sign_ins.poll(guest.from, Instant::now()).map_err(ApiError::Throttled)?;
    let index = api.app.store.current().index;
    Ok(match api.app.poll_device(&guest.visitor, &guest.body.handle).await? {
        DeviceStep::Wait(interval_secs) => Answer::at(index, DeviceAnswer { started: None, interval_secs }),
        DeviceStep::Began(began) => {
            let answer = DeviceAnswer { started: Some(began.body.body), interval_secs: 0 };
            Answer::at(began.index, answer)
        }
    })
}
