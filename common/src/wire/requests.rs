//! Requests across the mesh: logs, terminals, history, images, files of snapshots. One stream each, opened by the gateway.

use super::{ImageInput, ImageReply, ImageRequest};
use crate::clock::Time;
use crate::domain::backup::{FileEntry, HeldLock, Hidden};
use crate::domain::{HostSample, Process};
use serde::{Deserialize, Serialize};

/// Ability of an agent, told in its hello: it lists what is in snapshots.
pub const CAPABILITY_FILES: &str = "files/1";
/// Most entries of a folder in one frame; with the longest names and targets they fit it.
pub const MAX_FILES_PER_FRAME: usize = 128;

/// Which log lines of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Docker id.
    pub container: String,
    /// Keep sending new lines.
    pub follow: bool,
    /// No lines before this.
    pub since: Option<Time>,
    /// No lines after this.
    pub until: Option<Time>,
    /// Only this many of the newest lines; absent for all.
    pub tail: Option<u32>,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
}

/// A program to run in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Docker id.
    pub container: String,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Send it input.
    pub stdin: bool,
    /// `KEY=value` pairs.
    pub env: Vec<String>,
    /// User, as Docker writes it.
    pub user: Option<String>,
    /// Working directory.
    pub workdir: Option<String>,
    /// Terminal size, columns and rows.
    pub size: Option<(u16, u16)>,
}

/// First frame of a request stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentRequest {
    /// Log lines; answered by [`ReplyFrame::Log`].
    Logs(LogsRequest),
    /// A program; answered by [`ReplyFrame::Output`] and [`ReplyFrame::Exit`].
    Exec(ExecRequest),
    /// Recorded samples; answered by [`ReplyFrame::Samples`].
    History {
        /// From here.
        from: Time,
        /// To here.
        to: Time,
        /// At most this many, thinned evenly.
        max: u32,
    },
    /// The process table; answered by [`ReplyFrame::Processes`].
    Processes,
    /// An image, to agents with [`CAPABILITY_IMAGES`](super::CAPABILITY_IMAGES); answered by [`ReplyFrame::Image`].
    Image(ImageRequest),
    /// Load a saved image, whose bytes follow; to agents with [`CAPABILITY_IMAGES`](super::CAPABILITY_IMAGES).
    LoadImage,
    /// Build an image from what follows: JSON of [`BuildOrder`](crate::domain::app::BuildOrder), at most
    /// [`MAX_BUILD_ORDER`] bytes; to agents with [`CAPABILITY_IMAGES`](super::CAPABILITY_IMAGES). Holds secrets.
    Build(Hidden),
    /// What is in a folder of a snapshot, to agents with [`CAPABILITY_FILES`]: JSON of
    /// [`FilesOrder`](crate::domain::backup::FilesOrder), answered by [`ReplyFrame::Files`]. Holds secrets: it is kept in
    /// memory only.
    Files(Hidden),
    /// A compose project of the host, by name; answered by [`ReplyFrame::Project`]. Agents that know this also take over the
    /// containers that a specification names as adopted.
    Project {
        /// Its name, as the label of its containers has it.
        name: String,
        /// Files to read beside those that its containers name: absolute paths in its folder.
        files: Vec<String>,
    },
    /// The locks of a repository: JSON of [`LocksOrder`](crate::domain::backup::LocksOrder); answered by
    /// [`ReplyFrame::Locks`].
    Locks(Hidden),
}

/// Most bytes of an order to build.
pub const MAX_BUILD_ORDER: usize = 512 << 10;

/// Later frames of a request stream, towards the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestInput {
    /// Bytes for the program's standard input.
    Stdin(Vec<u8>),
    /// No more input.
    Eof,
    /// The terminal's new size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// About the image that was asked for.
    Image(ImageInput),
}

/// Which of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output, or the only one of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Nanoseconds since the epoch, as Docker recorded it; zero when it recorded none.
    pub at_nanos: i64,
    /// Which output.
    pub stream: OutputStream,
    /// The line without its end, at most [`MAX_LOG_LINE`] bytes.
    pub line: Vec<u8>,
}

/// Most locks that are told of one repository.
pub const MAX_LOCKS: usize = 32;

/// A log line longer than this is cut, bytes.
pub const MAX_LOG_LINE: usize = 64 << 10;

/// Frames from the agent on a request stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ReplyFrame {
    /// The request was understood and has begun.
    Started,
    /// Log lines in order.
    Log(Vec<LogLine>),
    /// Output of a program.
    Output {
        /// Which output.
        stream: OutputStream,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A program ended.
    Exit {
        /// Its exit code.
        code: i64,
    },
    /// Recorded samples, oldest first; more frames may follow.
    Samples(Vec<HostSample>),
    /// The process table.
    Processes(Vec<Process>),
    /// The request failed; the last frame.
    Failed {
        /// Stable word: `not_found`, `not_running`, `unsupported`, `docker_absent`, `invalid`, `busy`,
        /// `failed`, `other_platform`. About files of snapshots also `path_missing`, `not_a_folder`, `slow`, and the words
        /// that runs fail with.
        code: String,
        /// For a person.
        message: String,
    },
    /// All is said; the last frame.
    End,
    /// A part of an image.
    Image(ImageReply),
    /// Entries of a folder by name, at most [`MAX_FILES_PER_FRAME`]; more frames may follow.
    Files(Vec<FileEntry>),
    /// The next bytes of a project: JSON of [`FoundProject`](crate::domain::FoundProject).
    Project(Vec<u8>),
    /// The locks that a repository has, at most [`MAX_LOCKS`].
    Locks(Vec<HeldLock>),
}
