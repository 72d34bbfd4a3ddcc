//! Logs of containers, several at once.

use super::{CommaList, Problem};
use crate::clock::Time;
use crate::ids::HostId;
use crate::wire::OutputStream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most containers that one log socket reads.
pub const MAX_LOG_SOURCES: usize = 64;

/// Which lines of which containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Containers, parted by commas, each `NAME`, `ID` or the start of an id, or one of these behind
    /// `HOST/`. A name that several hosts have means all of them.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<CommaList>,
    /// Only containers on these hosts (name or id), parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<CommaList>,
    /// Only containers with all of these labels: `key=value` or `key`, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<CommaList>,
    /// Only containers of these components, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<CommaList>,
    /// Keep sending new lines.
    #[serde(default)]
    pub follow: bool,
    /// No lines before this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// No lines after this (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Only this many of the newest lines of each container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// Only lines that match this regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
}

/// A container whose log is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogSource {
    /// Its host.
    pub host: HostId,
    /// Its host's name.
    pub host_name: String,
    /// Docker's id.
    pub container: String,
    /// Its name.
    pub container_name: String,
    /// Its component, when its labels name one.
    pub component: Option<String>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Position of its container in `sources`.
    pub source: u32,
    /// Its host's name.
    pub host: String,
    /// Its container's name.
    pub container: String,
    /// When Docker recorded it, to the nanosecond; absent when Docker recorded no time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<jiff::Timestamp>,
    /// Which output.
    pub stream: OutputStream,
    /// The line without its end. Bytes that are not UTF-8 are shown as U+FFFD.
    pub line: String,
}

/// Server to client on the log socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum LogsMessage {
    /// The first message: what is read.
    Sources {
        /// In a stable order; entries name their position here.
        sources: Vec<LogSource>,
    },
    /// Lines of all containers, merged by time.
    Lines {
        /// Oldest first.
        lines: Vec<LogEntry>,
    },
    /// One container has no more to say; the others go on.
    SourceEnded {
        /// Its position in `sources`.
        source: u32,
        /// Why, when it did not simply end.
        problem: Option<Problem>,
    },
    /// All containers have ended: the last message.
    End,
    /// The socket failed: the last message.
    Error {
        /// Why.
        problem: Problem,
    },
}
