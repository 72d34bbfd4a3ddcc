//! Pages for people: the dashboard at `/` and the API's documentation.
//!
//! They are part of the program, load nothing from elsewhere and run no inline script; what they show they
//! fetch through the API with the token the visitor gives, so that serving them reveals nothing.

use super::error::ApiError;
use super::{Api, Shared, openapi};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

mod web {
    include!(concat!(env!("OUT_DIR"), "/web.rs"));
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file of the dashboard has a digest in its name: it never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Routes that the document does not list.
pub(crate) fn routes(document: &OpenApi) -> Router<Arc<Api>> {
    let json: Bytes = openapi::render(document).into();
    Router::new()
        .route("/", get(dashboard))
        .route("/api/v1/docs", get(async |api: Shared| page(&api, include_str!("pages/docs.html"))))
        .route("/assets/{file}", get(asset))
        .route("/api/v1/openapi.json", get(async move || file("application/json", json.clone(), ASK_AGAIN)))
}

async fn dashboard(api: Shared) -> Response {
    match built("index.html") {
        Some(html) => page(&api, html),
        None => page(&api, include_str!("pages/unbuilt.html")),
    }
}

fn built(name: &str) -> Option<&'static [u8]> {
    web::FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    match name.as_str() {
        "docs.js" => return Ok(file(SCRIPT, include_str!("pages/docs.js"), ASK_AGAIN)),
        "session.js" => return Ok(file(SCRIPT, include_str!("pages/session.js"), ASK_AGAIN)),
        "style.css" => return Ok(file(STYLE, include_str!("pages/style.css"), ASK_AGAIN)),
        _ => {}
    }
    let bytes = built(&name).ok_or(ApiError::NoRoute)?;
    Ok(file(kind(&name).ok_or(ApiError::NoRoute)?, bytes, FOR_EVER))
}

/// Type of a file of the dashboard; absent for the page itself, which lives at `/` only.
fn kind(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending {
        "js" => Some(SCRIPT),
        "css" => Some(STYLE),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// A page, with what it may do: load its own files, and call this controller and the others.
fn page(api: &Api, html: impl Into<Bytes>) -> Response {
    let mut response = file(HTML, html, ASK_AGAIN);
    let policy = policy(&api.app.store.current().origins());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

fn policy(origins: &[String]) -> HeaderValue {
    let mut connect = String::from("'self'");
    for origin in origins {
        let host = origin.trim_start_matches("https://");
        connect.push_str(&format!(" https://{host} wss://{host}"));
    }
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {connect}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&text).expect("origins hold only letters, digits, dots, dashes and colons")
}

fn file(kind: &'static str, body: impl Into<Bytes>, keep: HeaderValue) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, keep),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, body.into()).into_response()
}
