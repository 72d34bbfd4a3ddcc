//! A socket used in both directions at once, whose loss is an error: nobody could tell what was lost with it.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::execute::explain;
use crate::socket::{Ended, Socket, Stream, ended};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// What the server sends.
pub(crate) enum Payload {
    /// Control, JSON.
    Text(Utf8Bytes),
    /// Data.
    Binary(Bytes),
}

/// The receiving half.
pub(crate) struct Incoming {
    stream: SplitStream<Stream>,
    address: Address,
}

/// The sending half.
pub(crate) struct Outgoing {
    sink: SplitSink<Stream, Message>,
    address: Address,
}

/// Parts a socket.
pub(crate) fn split(socket: Socket) -> (Outgoing, Incoming) {
    let (stream, address) = socket.into_parts();
    let (sink, stream) = stream.split();
    (Outgoing { sink, address: address.clone() }, Incoming { stream, address })
}

impl Incoming {
    /// The next message; `unsaid` is what is missing when the server ends before it has said all. Cancelling the wait
    /// loses nothing.
    pub(crate) async fn next(&mut self, unsaid: &str) -> Result<Payload> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(self.lost(explain(&error))),
                None => return Err(self.lost("the connection was closed".to_owned())),
            };
            match message {
                Message::Text(text) => return Ok(Payload::Text(text)),
                Message::Binary(bytes) => return Ok(Payload::Binary(bytes)),
                Message::Close(frame) => {
                    return Err(match ended(&self.address, frame) {
                        Ended::Refused(error) => error,
                        Ended::Interrupted(why) => self.lost(why),
                        Ended::Done => self.lost(format!("the server ended without saying {unsaid}")),
                    });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// An answer that makes no sense.
    pub(crate) fn strange(&self, why: String) -> Error {
        Error::BadAnswer { address: self.address.clone(), why }
    }

    fn lost(&self, why: String) -> Error {
        Error::Lost { address: self.address.clone(), why }
    }
}

impl Outgoing {
    /// Sends data in pieces of at most `piece` bytes; returns when the connection has taken them.
    pub(crate) async fn data(&mut self, mut bytes: Bytes, piece: usize) -> Result<()> {
        while !bytes.is_empty() {
            let next = bytes.split_to(bytes.len().min(piece));
            self.send(Message::Binary(next)).await?;
        }
        Ok(())
    }

    /// Sends control.
    pub(crate) async fn control(&mut self, message: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(message).expect("messages are plain structures");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        let sent = self.sink.send(message).await;
        sent.map_err(|error| Error::Lost { address: self.address.clone(), why: explain(&error) })
    }
}
