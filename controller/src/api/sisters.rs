//! The dashboard of one controller may call the others, so that an open page goes on when its own controller dies.
//!
//! A browser lets a page call another address only when that one agrees. A controller agrees with the pages of the
//! controllers of its own cluster, and with no others. Nothing rides on it: cookies are not for other origins, every call
//! carries the token or pass that its page has.

use super::Shared;
use crate::state::State;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What a page may send beyond what any page may.
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, if-match");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// What a page may read beyond what any page may.
const EXPOSED: HeaderValue = HeaderValue::from_static("x-omni-index, x-request-id, etag, retry-after");
/// A browser asks again after this long, seconds.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("600");

/// Answers a browser that asks whether a page may call, and marks the answers to pages that may.
pub(crate) async fn share(api: Shared, request: Request, next: Next) -> Response {
    let Some(origin) = asking(request.headers(), &api.app.store.current()) else {
        return next.run(request).await;
    };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    match preflight {
        true => {
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            set(header::ACCESS_CONTROL_MAX_AGE, ASK_AGAIN);
        }
        false => set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// The origin of the page that asks, when it is one of ours.
fn asking(headers: &HeaderMap, state: &State) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    state.origins().iter().any(|known| known.eq_ignore_ascii_case(text)).then(|| origin.clone())
}
