//! Programs in containers, over a WebSocket.
//!
//! ```text
//! client                                            server
//!   {"op":"auth","token":…}       unless the upgrade carried a bearer token
//!   {"op":"start","command":["sh"],"tty":true,…} ──▶
//!                                             ◀── {"op":"started"}
//!   binary: input ──▶                         ◀── binary: 1 | 2, then output (stdout | stderr)
//!   {"op":"resize","cols":…,"rows":…} ──▶
//!   {"op":"eof"} ──▶                          ◀── {"op":"exit","code":0}, closed
//! ```
//!
//! The command is a message and not part of the address, because addresses end up in access logs.

use super::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// First byte of a binary message with standard output.
pub const EXEC_STDOUT: u8 = 1;
/// First byte of a binary message with standard error.
pub const EXEC_STDERR: u8 = 2;

/// The program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecStart {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Give it a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Send it input; when false its input is empty.
    #[serde(default)]
    pub stdin: bool,
    /// `KEY=value` pairs.
    #[serde(default)]
    pub env: Vec<String>,
    /// User, as Docker writes it.
    #[serde(default)]
    pub user: Option<String>,
    /// Working directory.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Terminal width.
    #[serde(default)]
    pub cols: Option<u16>,
    /// Terminal height.
    #[serde(default)]
    pub rows: Option<u16>,
}

/// Client to server, as text. Binary messages are input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ExecInput {
    /// Begin; the first message after authentication.
    Start(ExecStart),
    /// The terminal's new size.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// No more input.
    Eof,
}

/// Server to client, as text. Binary messages are output behind one byte that names the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ExecOutput {
    /// The program runs.
    Started,
    /// The program ended: the last message.
    Exit {
        /// Its exit code.
        code: i64,
    },
    /// It could not be started, or the connection to it was lost: the last message.
    Error {
        /// Why.
        problem: Problem,
    },
}
