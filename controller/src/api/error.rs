//! Errors outward. The only place that knows status codes.

use crate::app::ports::{MeshError, ProposeError};
use crate::app::{AppError, Denied};
use crate::state::RefusalCode;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use omni_common::api::v1::{FieldError, Problem};
use std::sync::Arc;

/// A caller is told to come back after this long while the controllers elect a leader: about one election.
const ELECTION_SECS: u64 = 1;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The use case failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// The caller is not known, or may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Too many failed attempts from this address.
    #[error("too many failed attempts from this address; try again in {0} s")]
    Throttled(u64),
    /// Too much is being worked on already.
    #[error("this controller is working on as much as it can")]
    Overloaded,
    /// The call took too long.
    #[error("the call took longer than {0} s")]
    Deadline(u64),
    /// No such path.
    #[error("there is nothing at this path; see /api/v1/docs")]
    NoRoute,
    /// The path does not take this method.
    #[error("this path does not take this method")]
    Method,
    /// The body is not JSON, or not the JSON that is needed.
    #[error("{0}")]
    Body(String),
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is of another type.
    #[error("send JSON with `content-type: application/json`")]
    MediaType,
    /// A parameter or header is missing or wrong.
    #[error("{pointer}: {detail}")]
    Parameter {
        /// Which.
        pointer: String,
        /// What is wrong.
        detail: String,
    },
    /// The path is only for WebSockets.
    #[error("connect to this path with a WebSocket")]
    Upgrade,
    /// A message on a socket was not understood.
    #[error("{0}")]
    Message(String),
    /// A bug: a handler panicked, or a route has no line in the access table.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// How an error looks outside.
struct Shape {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    /// Seconds.
    retry_after: Option<u64>,
}

const fn shape(status: StatusCode, code: &'static str, title: &'static str) -> Shape {
    Shape { status, code, title, retry_after: None }
}

impl Shape {
    const fn retry(self, secs: u64) -> Self {
        Self { retry_after: Some(secs), ..self }
    }
}

impl ApiError {
    /// A parameter or header is wrong.
    pub(crate) fn parameter(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Parameter { pointer: pointer.into(), detail: detail.into() }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::App(error) => app(error),
            Self::Denied(denied) => turned_away(*denied),
            Self::Throttled(secs) => {
                shape(StatusCode::TOO_MANY_REQUESTS, "throttled", "Too many attempts").retry(*secs)
            }
            Self::Overloaded => shape(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded").retry(1),
            Self::Deadline(_) => shape(StatusCode::GATEWAY_TIMEOUT, "timeout", "Took too long"),
            Self::NoRoute => shape(StatusCode::NOT_FOUND, "no_route", "No such path"),
            Self::Method => shape(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed"),
            Self::Body(_) => shape(StatusCode::BAD_REQUEST, "invalid_body", "Invalid body"),
            Self::TooLarge(_) => shape(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Body too large"),
            Self::MediaType => shape(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "Not JSON"),
            Self::Parameter { .. } => {
                shape(StatusCode::BAD_REQUEST, "invalid_parameter", "Invalid parameter")
            }
            Self::Upgrade => shape(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "WebSocket needed"),
            Self::Message(_) => shape(StatusCode::BAD_REQUEST, "invalid_message", "Invalid message"),
            Self::Bug(_) => shape(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.shape().status
    }

    /// Stable word.
    pub(crate) fn code(&self) -> &'static str {
        self.shape().code
    }

    /// As a document. What nobody expected is not described to the caller.
    pub(crate) fn problem(&self, instance: Option<String>, request_id: Option<String>) -> Problem {
        let shape = self.shape();
        let told = shape.status != StatusCode::INTERNAL_SERVER_ERROR;
        Problem {
            kind: "about:blank".to_owned(),
            title: shape.title.to_owned(),
            status: shape.status.as_u16(),
            detail: told.then(|| self.to_string()),
            instance,
            code: shape.code.to_owned(),
            request_id,
            errors: self.errors(),
        }
    }

    fn errors(&self) -> Vec<FieldError> {
        match self {
            Self::App(AppError::Invalid(errors)) => errors.clone(),
            Self::App(AppError::Project(faults)) => faults.faults.iter().map(fault).collect(),
            Self::Parameter { pointer, detail } => {
                vec![FieldError { pointer: pointer.clone(), detail: detail.clone() }]
            }
            _ => Vec::new(),
        }
    }
}

/// `file:line:column: key`, and what is wrong with what to do.
fn fault(fault: &omni_compose::Fault) -> FieldError {
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    FieldError { pointer: fault.place.to_string(), detail: format!("{}{hint}", fault.message) }
}

fn turned_away(denied: Denied) -> Shape {
    match denied {
        Denied::Role { .. } | Denied::Place => shape(StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
        Denied::Foreign => shape(StatusCode::FORBIDDEN, "foreign_page", "Not from this page"),
        _ => shape(StatusCode::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
    }
}

fn app(error: &AppError) -> Shape {
    match error {
        AppError::Denied(denied) => turned_away(*denied),
        AppError::NotHere(_) => shape(StatusCode::CONFLICT, "conflict", "Not possible"),
        AppError::Busy => shape(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded").retry(1),
        AppError::NotAdmitted(_) => shape(StatusCode::FORBIDDEN, "not_admitted", "Not admitted"),
        AppError::Provider(_) => shape(StatusCode::BAD_GATEWAY, "provider", "Provider failed"),
        AppError::Password(_) => shape(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        AppError::NotFound { .. } => shape(StatusCode::NOT_FOUND, "not_found", "Not found"),
        AppError::Refused(refusal) => refused(refusal.code),
        AppError::Invalid(_) => shape(StatusCode::BAD_REQUEST, "invalid", "Invalid request"),
        AppError::BadCursor => shape(StatusCode::BAD_REQUEST, "bad_cursor", "Unknown cursor"),
        AppError::Propose(error) => unwritten(error),
        AppError::Membership(_) => shape(StatusCode::CONFLICT, "membership", "Members not changed"),
        AppError::Behind { .. } => {
            shape(StatusCode::SERVICE_UNAVAILABLE, "behind", "Not there yet").retry(ELECTION_SECS)
        }
        AppError::Mesh { source, .. } => unreached(source),
        AppError::Agent { code, .. } => agent(code),
        AppError::AgentProtocol { .. } => {
            shape(StatusCode::BAD_GATEWAY, "agent_protocol", "Bad answer from the host")
        }
        AppError::AgentSilent { .. } => {
            shape(StatusCode::GATEWAY_TIMEOUT, "host_silent", "Host does not answer")
        }
        AppError::ShownOnce(_) => shape(StatusCode::CONFLICT, "shown_once", "Secret already shown"),
        AppError::Project(_) => {
            shape(StatusCode::UNPROCESSABLE_ENTITY, "project", "The project does not read")
        }
        AppError::Content(_) => shape(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        AppError::NoCluster => {
            shape(StatusCode::SERVICE_UNAVAILABLE, "no_cluster", "No cluster yet").retry(1)
        }
        AppError::Secret(_) => shape(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

fn refused(code: RefusalCode) -> Shape {
    let status = match code {
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
        RefusalCode::Invalid | RefusalCode::RequestReused => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalCode::RevisionMismatch => StatusCode::PRECONDITION_FAILED,
        RefusalCode::NameTaken
        | RefusalCode::Conflict
        | RefusalCode::Bootstrap
        | RefusalCode::TokenUnknown
        | RefusalCode::TokenExpired
        | RefusalCode::TokenUsed
        | RefusalCode::TokenRole => StatusCode::CONFLICT,
    };
    shape(status, code.as_str(), "Refused")
}

fn unwritten(error: &ProposeError) -> Shape {
    const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    match error {
        ProposeError::NoLeader => shape(UNAVAILABLE, "no_leader", "No leader").retry(ELECTION_SECS),
        ProposeError::Timeout => shape(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", "Outcome unknown"),
        ProposeError::ReadOnly(_) => shape(StatusCode::INSUFFICIENT_STORAGE, "read_only", "No writes taken"),
        ProposeError::Overloaded => shape(UNAVAILABLE, "overloaded", "Overloaded").retry(ELECTION_SECS),
        ProposeError::Stopping => shape(UNAVAILABLE, "stopping", "Shutting down").retry(ELECTION_SECS),
        ProposeError::Failed(_) => shape(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

fn unreached(error: &MeshError) -> Shape {
    match error {
        MeshError::NotConnected => shape(StatusCode::BAD_GATEWAY, "host_not_connected", "Host not connected"),
        MeshError::Gateway(_) => {
            shape(StatusCode::BAD_GATEWAY, "gateway_unreachable", "Controller unreachable")
        }
        MeshError::Lost(_) => shape(StatusCode::BAD_GATEWAY, "host_lost", "Host connection lost"),
        MeshError::Busy => shape(StatusCode::TOO_MANY_REQUESTS, "host_busy", "Host busy").retry(1),
        MeshError::Outdated => shape(StatusCode::CONFLICT, "unsupported", "Not supported"),
    }
}

/// The agent's words, as far as they are known; see `ReplyFrame::Failed`.
fn agent(code: &str) -> Shape {
    match code {
        "not_found" => shape(StatusCode::NOT_FOUND, "not_found", "Not found"),
        "not_running" => shape(StatusCode::CONFLICT, "not_running", "Not running"),
        "unsupported" => shape(StatusCode::CONFLICT, "unsupported", "Not supported"),
        "docker_absent" => shape(StatusCode::CONFLICT, "docker_absent", "No Docker engine"),
        "invalid" => shape(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request"),
        "busy" => shape(StatusCode::TOO_MANY_REQUESTS, "host_busy", "Host busy").retry(1),
        "path_missing" => shape(StatusCode::NOT_FOUND, "path_missing", "No such path"),
        "not_a_folder" => shape(StatusCode::CONFLICT, "not_a_folder", "Not a folder"),
        "snapshot_missing" => shape(StatusCode::NOT_FOUND, "snapshot_missing", "Snapshot gone"),
        "slow" => shape(StatusCode::GATEWAY_TIMEOUT, "repository_slow", "Repository too slow"),
        "unreachable" | "repository_missing" | "wrong_password" | "access_denied" | "locked" | "damaged" => {
            shape(StatusCode::BAD_GATEWAY, "repository_unreadable", "Repository not readable")
        }
        _ => shape(StatusCode::BAD_GATEWAY, "agent_failed", "Host could not do it"),
    }
}

/// An error on its way to `shell.rs`, which writes the document: only it knows the request's id.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) Arc<ApiError>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let shape = self.shape();
        let mut response = shape.status.into_response();
        if let Some(secs) = shape.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if shape.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"omni\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}
