//! A program in a container: input one way, output the other, at the same time.
//!
//! A broken connection is an error and is not mended: the program may still run, but nobody could tell
//! which of its output was lost.

use crate::call::Call;
use crate::client::Client;
use crate::duplex::{Incoming, Outgoing, Payload, split};
use crate::error::Result;
use crate::routes;
use bytes::Bytes;
use omni_common::api::v1::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecOutput, ExecStart};

/// Most input sent in one message, bytes.
const MAX_INPUT: usize = 64 << 10;

/// What comes from the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// It runs.
    Started,
    /// Standard output, or everything when it has a terminal.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// It ended with this exit code; nothing follows.
    Exit(i64),
}

/// The program's output.
pub struct ExecReader(Incoming);

/// The program's input.
pub struct ExecWriter(Outgoing);

impl Client {
    /// Runs a program in a container of a host, each given by name or id.
    pub async fn exec(
        &self,
        host: &str,
        container: &str,
        start: ExecStart,
    ) -> Result<(ExecWriter, ExecReader)> {
        let call = Call::get(&routes::exec(host, container));
        let (mut outgoing, incoming) = split(self.open_socket(&call).await?);
        outgoing.control(&ExecInput::Start(start)).await?;
        Ok((ExecWriter(outgoing), ExecReader(incoming)))
    }
}

impl ExecReader {
    /// The next piece of output. Cancelling the wait loses nothing.
    ///
    /// A terminal may be silent for hours, so silence alone is no error here.
    pub async fn next(&mut self) -> Result<ExecEvent> {
        match self.0.next("the exit code").await? {
            Payload::Binary(bytes) => self.output(bytes),
            Payload::Text(text) => self.control(&text),
        }
    }

    fn output(&self, mut bytes: Bytes) -> Result<ExecEvent> {
        let stream = (!bytes.is_empty()).then(|| bytes.split_to(1)[0]);
        match stream {
            Some(EXEC_STDOUT) => Ok(ExecEvent::Stdout(bytes)),
            Some(EXEC_STDERR) => Ok(ExecEvent::Stderr(bytes)),
            other => Err(self.0.strange(format!("output of unknown stream {other:?}"))),
        }
    }

    fn control(&self, text: &str) -> Result<ExecEvent> {
        match serde_json::from_str(text) {
            Ok(ExecOutput::Started) => Ok(ExecEvent::Started),
            Ok(ExecOutput::Exit { code }) => Ok(ExecEvent::Exit(code)),
            Ok(ExecOutput::Error { problem }) => Err(problem.into()),
            Err(error) => Err(self.0.strange(error.to_string())),
        }
    }
}

impl ExecWriter {
    /// Sends input; returns when the connection has taken it.
    pub async fn input(&mut self, bytes: Bytes) -> Result<()> {
        self.0.data(bytes, MAX_INPUT).await
    }

    /// Ends the input.
    pub async fn end_of_input(&mut self) -> Result<()> {
        self.0.control(&ExecInput::Eof).await
    }

    /// Tells the terminal's new size.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> Result<()> {
        self.0.control(&ExecInput::Resize { cols, rows }).await
    }
}
