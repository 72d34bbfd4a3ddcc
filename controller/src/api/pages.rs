//! Pages for people: a read-only status page at `/` and the API's documentation.
//!
//! They are part of the program, load nothing from elsewhere and run no inline script; what they show they
//! fetch through the API with the token the visitor gives, so that serving them reveals nothing.

use super::error::ApiError;
use super::{Api, openapi};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Routes that the document does not list.
pub(crate) fn routes(document: &OpenApi) -> Router<Arc<Api>> {
    let json: Bytes = openapi::render(document).into();
    Router::new()
        .route("/", get(async || page(HTML, include_str!("pages/status.html"))))
        .route("/api/v1/docs", get(async || page(HTML, include_str!("pages/docs.html"))))
        .route("/assets/{file}", get(asset))
        .route("/api/v1/openapi.json", get(async move || page("application/json", json.clone())))
}

async fn asset(Path(file): Path<String>) -> Result<Response, ApiError> {
    match file.as_str() {
        "status.js" => Ok(page(SCRIPT, include_str!("pages/status.js"))),
        "docs.js" => Ok(page(SCRIPT, include_str!("pages/docs.js"))),
        "session.js" => Ok(page(SCRIPT, include_str!("pages/session.js"))),
        "style.css" => Ok(page(STYLE, include_str!("pages/style.css"))),
        _ => Err(ApiError::NoRoute),
    }
}

fn page(kind: &'static str, body: impl Into<Bytes>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, body.into()).into_response()
}
