//! One Docker engine, each call with a deadline: an engine that hangs must not hang the agent.

use super::parse;
use crate::config::DockerSocket;
use bollard::models::{EventMessage, EventMessageTypeEnum, ExecConfig};
use bollard::query_parameters::{
    EventsOptionsBuilder, ListContainersOptionsBuilder, ResizeExecOptionsBuilder,
};
use futures_util::{Stream, StreamExt};
use omni_common::domain::{Container, DockerFacts};
use omni_common::wire::ExecRequest;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// What the agent wants to hear about; the engine filters, because health checks flood the rest with exec
/// events.
const EVENTS: &[&str] = &[
    "create",
    "start",
    "restart",
    "stop",
    "kill",
    "die",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "health_status",
    "destroy",
    // Of images.
    "delete",
    "import",
    "load",
    "pull",
    "tag",
    "untag",
];
/// Longest container reference: a name or an id.
const MAX_REFERENCE: usize = 255;

/// How long calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One small call.
    pub call: Duration,
    /// The list of all containers, which takes the engine seconds when there are thousands.
    pub list: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(10), list: Duration::from_secs(60) }
    }
}

/// The engine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// There is no engine to ask.
    #[error("no Docker engine answers at {socket}: {reason}")]
    Absent {
        /// Where it was looked for.
        socket: String,
        /// What the system said.
        reason: String,
    },
    /// The engine took too long.
    #[error("the Docker engine did not answer `{call}` within {} s", limit.as_secs())]
    TimedOut {
        /// What was asked.
        call: &'static str,
        /// How long it was given.
        limit: Duration,
    },
    /// What was asked about does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It exists but is not in the state that this needs.
    #[error("{0}")]
    Conflict(String),
    /// Any other refusal.
    #[error("the Docker engine answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// In the engine's words.
        message: String,
    },
    /// The answer could not be read.
    #[error("the Docker engine's answer to `{call}` cannot be read: {reason}")]
    Unreadable {
        /// What was asked.
        call: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked for is no container name or id.
    #[error("`{0}` is no container name or id")]
    Reference(String),
}

/// A program that was started in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecState {
    /// Whether it still runs.
    pub running: bool,
    /// How it ended.
    pub exit_code: Option<i64>,
    /// Its process on the host.
    pub pid: Option<i64>,
}

/// A change the engine told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// What changed.
    pub(super) what: Changed,
    /// The engine's clock, nanoseconds since the epoch.
    pub(super) nanos: i64,
}

/// What an engine's event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// The container of this id.
    Container(String),
    /// The container of this id, which is gone now.
    Gone(String),
    /// The images.
    Images,
}

/// A connected engine.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: bollard::Docker,
    pub(super) socket: DockerSocket,
    pub(super) limits: Limits,
}

impl Engine {
    /// Connects and settles the API version.
    pub async fn connect(socket: &DockerSocket, limits: Limits) -> Result<Self, DockerError> {
        let path = socket.path().to_string_lossy();
        let docker = bollard::Docker::connect_with_unix(
            &path,
            limits.list.as_secs().max(1),
            bollard::API_DEFAULT_VERSION,
        )
        .map_err(|error| explain("connect", socket, error))?;
        let docker = call("version", limits.call, socket, docker.negotiate_version()).await?;
        Ok(Self { docker, socket: socket.clone(), limits })
    }

    /// The socket it was reached at.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// What it is.
    pub async fn facts(&self) -> Result<DockerFacts, DockerError> {
        let version = self.call("version", self.docker.version()).await?;
        let info = self.call("info", self.docker.info()).await?;
        Ok(parse::facts(info, version))
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DockerError> {
        self.call("ping", self.docker.ping()).await.map(drop)
    }

    /// All containers, as far as a list shows them.
    pub async fn list(&self) -> Result<Vec<Container>, DockerError> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let list =
            call("list", self.limits.list, &self.socket, self.docker.list_containers(Some(options))).await?;
        Ok(list.into_iter().filter_map(parse::from_summary).collect())
    }

    /// One container by name or id.
    pub async fn inspect(&self, reference: &str) -> Result<Container, DockerError> {
        check_reference(reference)?;
        let inspect = self.call("inspect", self.docker.inspect_container(reference, None)).await?;
        parse::from_inspect(inspect)
            .ok_or_else(|| DockerError::Unreadable { call: "inspect", reason: "it has no id".to_owned() })
    }

    /// All that the engine says of a container, in its own words.
    pub async fn inspect_whole(&self, reference: &str) -> Result<serde_json::Value, DockerError> {
        check_reference(reference)?;
        let inspect = self.call("inspect", self.docker.inspect_container(reference, None)).await?;
        serde_json::to_value(inspect)
            .map_err(|error| DockerError::Unreadable { call: "inspect", reason: error.to_string() })
    }

    /// What an image says about containers that are made of it, in the engine's own words.
    pub async fn image_config(&self, reference: &str) -> Result<serde_json::Value, DockerError> {
        let image = self.call("inspect image", self.docker.inspect_image(reference)).await?;
        serde_json::to_value(image.config.unwrap_or_default())
            .map_err(|error| DockerError::Unreadable { call: "inspect image", reason: error.to_string() })
    }

    /// What happens to containers and images from `since_nanos` on, oldest first.
    pub(super) fn events(&self, since_nanos: i64) -> impl Stream<Item = Result<Event, DockerError>> + use<> {
        let filters = HashMap::from([("type", vec!["container", "image"]), ("event", EVENTS.to_vec())]);
        let options = EventsOptionsBuilder::new().since(&seconds(since_nanos)).filters(&filters).build();
        let socket = self.socket.clone();
        self.docker.events(Some(options)).filter_map(move |message| {
            let event = match message {
                Ok(message) => event(message).map(Ok),
                Err(error) => Some(Err(explain("events", &socket, error))),
            };
            std::future::ready(event)
        })
    }

    /// Prepares a program to be started in a container.
    pub async fn create_exec(&self, request: &ExecRequest) -> Result<String, DockerError> {
        check_reference(&request.container)?;
        let size = request.size.filter(|_| request.tty);
        let config = ExecConfig {
            attach_stdin: Some(request.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            console_size: size.map(|(cols, rows)| vec![rows.into(), cols.into()]),
            tty: Some(request.tty),
            env: Some(request.env.clone()),
            cmd: Some(request.command.clone()),
            user: request.user.clone(),
            working_dir: request.workdir.clone(),
            ..ExecConfig::default()
        };
        let created = self.call("create exec", self.docker.create_exec(&request.container, config)).await?;
        Ok(created.id)
    }

    /// How a program is doing.
    pub async fn exec_state(&self, exec: &str) -> Result<ExecState, DockerError> {
        let state = self.call("inspect exec", self.docker.inspect_exec(exec)).await?;
        Ok(ExecState {
            running: state.running.unwrap_or(false),
            exit_code: state.exit_code,
            pid: state.pid.filter(|&pid| pid > 0),
        })
    }

    /// Tells a program's terminal its size.
    pub async fn resize_exec(&self, exec: &str, cols: u16, rows: u16) -> Result<(), DockerError> {
        let options = ResizeExecOptionsBuilder::new().w(cols.into()).h(rows.into()).build();
        self.call("resize exec", self.docker.resize_exec(exec, options)).await
    }

    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        future: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        call(what, self.limits.call, &self.socket, future).await
    }
}

/// Refuses what would change the meaning of a path in the engine's API.
pub fn check_reference(reference: &str) -> Result<(), DockerError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let starts = reference.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if starts && reference.len() <= MAX_REFERENCE && reference.chars().all(fine) {
        return Ok(());
    }
    Err(DockerError::Reference(reference.chars().take(MAX_REFERENCE).collect()))
}

/// Nanoseconds as the engine's API wants them: seconds with a fraction.
pub(super) fn seconds(nanos: i64) -> String {
    let nanos = nanos.max(0);
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

pub(super) async fn call<T>(
    what: &'static str,
    limit: Duration,
    socket: &DockerSocket,
    future: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, DockerError> {
    match tokio::time::timeout(limit, future).await {
        Ok(answer) => answer.map_err(|error| explain(what, socket, error)),
        Err(_) => Err(DockerError::TimedOut { call: what, limit }),
    }
}

fn event(message: EventMessage) -> Option<Event> {
    let id = message.actor?.id?;
    let what = match (message.typ?, message.action.as_deref()) {
        (EventMessageTypeEnum::IMAGE, _) => Changed::Images,
        (_, Some("destroy")) => Changed::Gone(id),
        _ => Changed::Container(id),
    };
    Some(Event {
        what,
        nanos: message
            .time_nano
            .or_else(|| message.time.map(|secs| secs.saturating_mul(1_000_000_000)))
            .unwrap_or(0),
    })
}

/// An HTTP status in the terms of [`DockerError`].
pub(super) fn refused(status: u16, message: String) -> DockerError {
    match status {
        404 => DockerError::NotFound(message),
        409 => DockerError::Conflict(message),
        _ => DockerError::Refused { status, message },
    }
}

pub(super) fn explain(
    call: &'static str,
    socket: &DockerSocket,
    error: bollard::errors::Error,
) -> DockerError {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => refused(status_code, message),
        Error::RequestTimeoutError => DockerError::TimedOut { call, limit: Limits::default().list },
        Error::DockerStreamError { error } => refused(500, error),
        Error::SocketNotFoundError(_) => absent(socket, "there is no such socket"),
        Error::JsonDataError { message, .. } => DockerError::Unreadable { call, reason: message },
        Error::JsonSerdeError { err } => DockerError::Unreadable { call, reason: err.to_string() },
        other => absent(socket, innermost(&other)),
    }
}

pub(super) fn absent(socket: &DockerSocket, reason: impl ToString) -> DockerError {
    DockerError::Absent { socket: socket.to_string(), reason: reason.to_string() }
}

/// The innermost cause, which is the one that says something (`Permission denied`); the outer ones only say
/// that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_cannot_lead_to_another_path() {
        for good in ["web", "4f53cda18c2b", "shop_web_1", "a.b-c"] {
            assert_eq!(check_reference(good), Ok(()), "{good}");
        }
        let long = "a".repeat(MAX_REFERENCE + 1);
        for bad in ["", "../images", "a/../../info", "a?x=1", "a b", "-a", "ü", long.as_str()] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_keep_their_nanoseconds() {
        assert_eq!(seconds(1_790_000_000_123_456_789), "1790000000.123456789");
        assert_eq!(seconds(-5), "0.000000000");
    }

    #[tokio::test]
    async fn an_absent_engine_is_named_with_its_socket() {
        let socket: DockerSocket = "/nonexistent/docker.sock".parse().expect("a path");
        let error = Engine::connect(&socket, Limits::default()).await.err().expect("nobody there");
        assert_eq!(
            error.to_string(),
            "no Docker engine answers at unix:///nonexistent/docker.sock: there is no such socket"
        );
    }
}
