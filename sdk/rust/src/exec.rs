//! A program in a container: input one way, output the other, at the same time.
//!
//! A broken connection is an error and is not mended: the program may still run, but nobody could tell
//! which of its output was lost.

use crate::address::Address;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::routes;
use crate::socket::{Ended, ended};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use omni_common::api::v1::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecOutput, ExecStart};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

type Stream = WebSocketStream<TlsStream<TcpStream>>;

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
pub struct ExecReader {
    stream: SplitStream<Stream>,
    address: Address,
}

/// The program's input.
pub struct ExecWriter {
    sink: SplitSink<Stream, Message>,
    address: Address,
}

impl Client {
    /// Runs a program in a container of a host, each given by name or id.
    pub async fn exec(
        &self,
        host: &str,
        container: &str,
        start: ExecStart,
    ) -> Result<(ExecWriter, ExecReader)> {
        let call = Call::get(&routes::exec(host, container));
        let (stream, address) = self.open_socket(&call).await?.into_parts();
        let (sink, stream) = stream.split();
        let mut writer = ExecWriter { sink, address: address.clone() };
        writer.control(&ExecInput::Start(start)).await?;
        Ok((writer, ExecReader { stream, address }))
    }
}

impl ExecReader {
    /// The next piece of output. Cancelling the wait loses nothing.
    ///
    /// A terminal may be silent for hours, so silence alone is no error here.
    pub async fn next(&mut self) -> Result<ExecEvent> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(lost(&self.address, &error)),
                None => return Err(self.broken("the connection was closed".to_owned())),
            };
            match message {
                Message::Binary(bytes) => return self.output(bytes),
                Message::Text(text) => return self.control(&text),
                Message::Close(frame) => {
                    return Err(match ended(&self.address, frame) {
                        Ended::Refused(error) => error,
                        Ended::Interrupted(why) => self.broken(why),
                        Ended::Done => {
                            self.broken("the server ended the session without an exit code".to_owned())
                        }
                    });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn output(&self, mut bytes: Bytes) -> Result<ExecEvent> {
        let stream = (!bytes.is_empty()).then(|| bytes.split_to(1)[0]);
        match stream {
            Some(EXEC_STDOUT) => Ok(ExecEvent::Stdout(bytes)),
            Some(EXEC_STDERR) => Ok(ExecEvent::Stderr(bytes)),
            other => Err(self.bad_answer(format!("output of unknown stream {other:?}"))),
        }
    }

    fn control(&self, text: &str) -> Result<ExecEvent> {
        match serde_json::from_str(text) {
            Ok(ExecOutput::Started) => Ok(ExecEvent::Started),
            Ok(ExecOutput::Exit { code }) => Ok(ExecEvent::Exit(code)),
            Ok(ExecOutput::Error { problem }) => Err(problem.into()),
            Err(error) => Err(self.bad_answer(error.to_string())),
        }
    }

    fn bad_answer(&self, why: String) -> Error {
        Error::BadAnswer { address: self.address.clone(), why }
    }

    fn broken(&self, why: String) -> Error {
        Error::Lost { address: self.address.clone(), why }
    }
}

impl ExecWriter {
    /// Sends input; returns when the connection has taken it.
    pub async fn input(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_INPUT));
            self.send(Message::Binary(piece)).await?;
        }
        Ok(())
    }

    /// Ends the input.
    pub async fn end_of_input(&mut self) -> Result<()> {
        self.control(&ExecInput::Eof).await
    }

    /// Tells the terminal's new size.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> Result<()> {
        self.control(&ExecInput::Resize { cols, rows }).await
    }

    async fn control(&mut self, message: &ExecInput) -> Result<()> {
        let text = serde_json::to_string(message).expect("messages are plain structures");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        self.sink.send(message).await.map_err(|error| lost(&self.address, &error))
    }
}

fn lost(address: &Address, error: &WsError) -> Error {
    Error::Lost { address: address.clone(), why: crate::execute::explain(error) }
}
