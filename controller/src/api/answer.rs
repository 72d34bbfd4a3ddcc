//! Answers that went well.

use crate::app::View;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use omni_common::api::v1::INDEX_HEADER;
use serde::Serialize;

/// A body, the index of the state it shows, and what the client may want to know of it.
pub(crate) struct Answer<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T> Answer<T> {
    /// 200 with the index of the state it was made from.
    pub(crate) fn at(index: u64, body: T) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(INDEX_HEADER), HeaderValue::from(index));
        // Answers are of the moment and of the caller.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status: StatusCode::OK, headers, body }
    }

    /// With the revision of what people can change about it.
    pub(crate) fn revision(mut self, revision: u64) -> Self {
        let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits and quotes");
        self.headers.insert(header::ETAG, tag);
        self
    }

    /// Something new was made.
    pub(crate) fn created(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self
    }
}

impl<T> From<View<T>> for Answer<T> {
    fn from(view: View<T>) -> Self {
        Self::at(view.index, view.body)
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (self.status, self.headers, Json(self.body)).into_response()
    }
}

/// 204: done, nothing to show.
pub(crate) struct Gone(u64);

impl From<View<()>> for Gone {
    fn from(view: View<()>) -> Self {
        Self(view.index)
    }
}

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        let index = (HeaderName::from_static(INDEX_HEADER), HeaderValue::from(self.0));
        (StatusCode::NO_CONTENT, [index]).into_response()
    }
}
