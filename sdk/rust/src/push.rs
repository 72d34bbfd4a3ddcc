//! An image on its way to hosts: a saved image one way, what became of it the other.
//!
//! Both halves are to be used at the same time: hosts may give up before all is sent, and the server's pings are only
//! answered while somebody reads. A broken connection is an error and is not mended: what the hosts did not get whole they
//! drop.

use crate::address::Address;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::execute::explain;
use crate::routes;
use crate::socket::{Ended, ended};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use omni_common::api::v1::{PushInput, PushOutput, PushQuery};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

type Stream = WebSocketStream<TlsStream<TcpStream>>;

/// Most bytes sent in one message.
const MAX_PIECE: usize = 256 << 10;

/// Towards the hosts.
pub struct PushWriter {
    sink: SplitSink<Stream, Message>,
    address: Address,
}

/// What the hosts say.
pub struct PushReader {
    stream: SplitStream<Stream>,
    address: Address,
}

impl Client {
    /// Opens the way for an image to hosts. Nothing is to be sent before [`PushOutput::Started`] came.
    pub async fn push_image(&self, query: &PushQuery) -> Result<(PushWriter, PushReader)> {
        let call = Call::get(routes::PUSH_IMAGE).with(query);
        let (stream, address) = self.open_socket(&call).await?.into_parts();
        let (sink, stream) = stream.split();
        Ok((PushWriter { sink, address: address.clone() }, PushReader { stream, address }))
    }
}

impl PushWriter {
    /// Sends the next bytes; returns when the connection has taken them.
    pub async fn send(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_PIECE));
            self.message(Message::Binary(piece)).await?;
        }
        Ok(())
    }

    /// That was all of it.
    pub async fn finish(&mut self) -> Result<()> {
        let text = serde_json::to_string(&PushInput::Eof).expect("messages are plain structures");
        self.message(Message::text(text)).await
    }

    async fn message(&mut self, message: Message) -> Result<()> {
        self.sink.send(message).await.map_err(|error| lost(&self.address, &error))
    }
}

impl PushReader {
    /// The next word of the server; absent after the last. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Option<PushOutput>> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(lost(&self.address, &error)),
                None => return Err(self.broken("the connection was closed".to_owned())),
            };
            match message {
                Message::Text(text) => {
                    return match serde_json::from_str(&text) {
                        Ok(PushOutput::End) => Ok(None),
                        Ok(PushOutput::Error { problem }) => Err(problem.into()),
                        Ok(output) => Ok(Some(output)),
                        Err(error) => Err(self.bad_answer(error.to_string())),
                    };
                }
                Message::Binary(_) => {
                    return Err(self.bad_answer("binary where text was expected".to_owned()));
                }
                Message::Close(frame) => {
                    return Err(match ended(&self.address, frame) {
                        Ended::Refused(error) => error,
                        Ended::Interrupted(why) => self.broken(why),
                        Ended::Done => {
                            self.broken("the server ended without saying what became of it".to_owned())
                        }
                    });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn bad_answer(&self, why: String) -> Error {
        Error::BadAnswer { address: self.address.clone(), why }
    }

    fn broken(&self, why: String) -> Error {
        Error::Lost { address: self.address.clone(), why }
    }
}

fn lost(address: &Address, error: &WsError) -> Error {
    Error::Lost { address: address.clone(), why: explain(error) }
}
