//! Errors, as RFC 9457 describes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Content type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One thing wrong with a request body or parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body, or the parameter's name.
    pub pointer: String,
    /// What is wrong, for a person.
    pub detail: String,
}

/// Why a call failed. Programs branch on `code`, people read `detail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; `about:blank` when the code says it all.
    #[serde(rename = "type", default = "blank")]
    #[schema(examples("about:blank"))]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// HTTP status; on a socket the status the same failure would have had over plain HTTP.
    pub status: u16,
    /// What happened this time, for a person.
    pub detail: Option<String>,
    /// The path that was called.
    pub instance: Option<String>,
    /// Stable word: `not_found`, `no_leader`, `forbidden` …
    pub code: String,
    /// Found in the controller's log and in the `x-request-id` header.
    pub request_id: Option<String>,
    /// What is wrong with the request, place by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

fn blank() -> String {
    "about:blank".to_owned()
}
