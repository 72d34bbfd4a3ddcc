//! Around everything: a request has an id, a deadline and a share of the load; a panic costs one request; and
//! every error leaves as one kind of document.

use super::Shared;
use super::error::{ApiError, Failure};
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use omni_common::api::v1::PROBLEM_JSON;
use omni_common::ids;
use std::any::Any;
use std::error::Error;
use std::time::Duration;
use tracing::Instrument;

/// Names the request in answers, problem documents and the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken from a caller.
const MAX_REQUEST_ID: usize = 64;
/// No handler takes longer: the slowest asks a host, which has ten seconds, after a read, which has five.
const DEADLINE: Duration = Duration::from_secs(30);

/// The request's id.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request an id, and turns a failure into a document that names it.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(chosen)
        .unwrap_or_else(|| ids::RequestId::mint().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", request_id = %id, method = %request.method(), path = %path);
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = span.in_scope(|| describe(response, path, &id));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// An id that the caller chose, when it is short and harmless in a log.
fn chosen(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'));
    (plain && (1..=MAX_REQUEST_ID).contains(&text.len())).then(|| text.to_owned())
}

fn describe(mut response: Response, path: String, id: &str) -> Response {
    let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(error = %chain(&*error), "request failed");
    }
    let problem = error.problem(Some(path), Some(id.to_owned()));
    let mut described = (response.status(), Json(problem)).into_response();
    let headers = std::mem::take(response.headers_mut());
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = headers.get(&name) {
            described.headers_mut().insert(name, value.clone());
        }
    }
    let kind = HeaderValue::from_static(PROBLEM_JSON);
    described.headers_mut().insert(header::CONTENT_TYPE, kind);
    described
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Refuses what is more than the controller can work on, and ends what takes too long.
pub(crate) async fn limit(api: Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    let _permit = api.in_flight.try_acquire().map_err(|_| ApiError::Overloaded)?;
    tokio::time::timeout(DEADLINE, next.run(request))
        .await
        .map_err(|_| ApiError::Deadline(DEADLINE.as_secs()))
}

/// What a panicking handler answers. The panic itself was logged by the hook.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::Bug("a handler panicked").into_response()
}

/// Nothing at this path.
pub(crate) async fn no_route() -> ApiError {
    ApiError::NoRoute
}

/// Something at this path, but not for this method.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::Method
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_request_and_reveals_nothing() {
        let broken = async || -> StatusCode { panic!("a secret") };
        let router = axum::Router::new()
            .route("/", axum::routing::get(broken))
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(panicked))
            .layer(axum::middleware::from_fn(identify));
        let request = Request::get("/").body(axum::body::Body::empty()).expect("a request");
        let response = tower::ServiceExt::oneshot(router, request).await.expect("a router never fails");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.expect("in memory");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("\"code\":\"internal\"") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn only_harmless_ids_are_taken_over() {
        let id = |text: &'static str| chosen(&HeaderValue::from_static(text));
        assert_eq!(id("01J-a_b.c:d").as_deref(), Some("01J-a_b.c:d"));
        assert_eq!(id(""), None);
        assert_eq!(id("a b"), None);
        assert_eq!(
            id(const { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }),
            None
        );
    }
}
