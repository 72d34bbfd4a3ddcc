//! What handlers take out of a request. Every failure becomes an [`ApiError`] with the place named.

use super::Api;
use super::cookies;
use super::error::ApiError;
use super::guard::{Caller, remote_of};
use crate::app::{Call, Denied, Visitor};
use crate::state::State;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use omni_common::api::v1::ReadQuery;
use omni_common::ids::RequestId;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// Names the header that makes a write apply once.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key.
const MAX_KEY: usize = 255;
/// Largest body: nothing in this API is larger than a set of labels.
pub(crate) const MAX_BODY: usize = 3 << 20;

/// Largest body of somebody who is not known yet.
const MAX_GUEST_BODY: usize = 16 << 10;

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        let found = Query::<T>::try_from_uri(&parts.uri);
        let found = found.map_err(|error| ApiError::parameter("query", error.body_text()))?;
        Ok(Self(found.0))
    }
}

/// Parameters in the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Api>> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let found = Path::<T>::from_request_parts(parts, api).await;
        found.map(|path| Self(path.0)).map_err(|error| ApiError::parameter("path", error.body_text()))
    }
}

/// A frozen state, as fresh as the caller asked for.
pub(crate) struct Fresh(pub(crate) Arc<State>);

impl FromRequestParts<Arc<Api>> for Fresh {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let Params(query) = Params::<ReadQuery>::from_request_parts(parts, api).await?;
        Ok(Self(api.app.read(query).await?))
    }
}

/// A change: who asks, under which key, for what.
pub(crate) struct Write<T> {
    /// Who asks and under which key.
    pub(crate) call: Call,
    /// The revision that must still be there.
    pub(crate) expect: Option<u64>,
    /// What is asked.
    pub(crate) body: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Write<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| ApiError::TooLarge(MAX_BODY))?;
        let body = read_body(&parts.headers, &bytes)?;
        Ok(Self { call: call(&parts, &bytes, &api.digest_key)?, expect: revision(&parts.headers)?, body })
    }
}

/// What somebody sends who is not known yet.
pub(crate) struct Guest<T> {
    /// Who it may be.
    pub(crate) visitor: Visitor,
    /// From where.
    pub(crate) from: Option<IpAddr>,
    /// Whether a page of this controller sent it.
    pub(crate) own_page: Result<(), Denied>,
    /// What is asked.
    pub(crate) body: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Guest<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, MAX_GUEST_BODY)
            .await
            .map_err(|_| ApiError::TooLarge(MAX_GUEST_BODY))?;
        let own_page = cookies::check_own_page(&parts);
        let body = read_body(&parts.headers, &bytes)?;
        Ok(Self { visitor: visitor(&parts), from: remote_of(&parts), own_page, body })
    }
}

/// Where a request comes from, as far as it can be told.
pub(crate) fn visitor(parts: &Parts) -> Visitor {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Visitor {
        from: remote_of(parts).map(|from| from.to_string()),
        agent: agent.map(str::to_owned),
        browser: false,
    }
}

/// No body is the body of a call that needs none.
fn read_body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &Bytes) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return serde_json::from_str("null").map_err(|_| ApiError::Body("a JSON body is needed".to_owned()));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json")
        && !kind.eq_ignore_ascii_case("application/merge-patch+json")
    {
        return Err(ApiError::MediaType);
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::Body(error.to_string()))
}

fn call(parts: &Parts, body: &[u8], digest_key: &[u8; 32]) -> Result<Call, ApiError> {
    let caller = parts.extensions.get::<Caller>().ok_or(ApiError::Bug("a write without a caller"))?;
    let actor = caller.principal.actor(caller.from.map(|from| from.to_string()));
    let places = Arc::clone(&caller.principal.places);
    let Some(key) = parts.headers.get(&IDEMPOTENCY_KEY) else {
        return Ok(Call { actor, request: RequestId::mint(), fingerprint: None, places });
    };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY).contains(&key.len()));
    let key = key.ok_or_else(|| {
        ApiError::parameter(IDEMPOTENCY_KEY.as_str(), format!("use 1 to {MAX_KEY} visible ASCII characters"))
    })?;
    let method = parts.method.as_str();
    let path = parts.uri.path();
    let principal = caller.principal.token.to_string();
    let conditions = parts.headers.get(header::IF_MATCH).map_or(&b""[..], |value| value.as_bytes());
    Ok(Call {
        actor,
        request: request_id(&[&principal, method, path, key]),
        fingerprint: Some(digest([
            digest_key.as_slice(),
            method.as_bytes(),
            path.as_bytes(),
            conditions,
            body,
        ])),
        places,
    })
}

/// An id that the same caller's same key for the same path always gives, and no other.
fn request_id(parts: &[&str]) -> RequestId {
    let digest = digest(parts.iter().map(|part| part.as_bytes()));
    let bytes = *digest.first_chunk().expect("a digest is longer than an id");
    RequestId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// What all controllers put into the digests of requests, and nobody else can.
pub(crate) fn digest_key(cluster_key: &[u8]) -> [u8; 32] {
    digest([b"omni digest of a request".as_slice(), cluster_key])
}

/// SHA-256 over parts, each with its length, so that no two lists of parts run together.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The revision in `If-Match`; `*` and absence allow any.
fn revision(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let revision = digits.and_then(|digits| digits.parse().ok());
    let wrong = || ApiError::parameter("if-match", "send the `etag` of the resource as it came, or `*`");
    revision.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_key_means_one_thing_to_one_caller() {
        let one = request_id(&["t1", "POST", "/a", "k"]);
        assert_eq!(one, request_id(&["t1", "POST", "/a", "k"]));
        assert_ne!(one, request_id(&["t2", "POST", "/a", "k"]));
        assert_ne!(one, request_id(&["t1", "POST", "/", "ak"]));
        assert_eq!(one.0.get_version_num(), 8);
    }

    #[test]
    fn if_match_takes_an_etag() {
        let read = |text: &'static str| {
            revision(&HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(text))]))
        };
        assert_eq!(read("\"12\"").expect("an etag"), Some(12));
        assert_eq!(read("*").expect("anything"), None);
        assert!(read("12").is_err());
        assert!(read("W/\"12\"").is_err());
    }
}
