//! An image on its way to hosts: a saved image one way, what became of it the other.
//!
//! Both halves are to be used at the same time: hosts may give up before all is sent, and the server's pings are only
//! answered while somebody reads. A broken connection is an error and is not mended: what the hosts did not get whole they
//! drop.

use crate::call::Call;
use crate::client::Client;
use crate::duplex::{Incoming, Outgoing, Payload, split};
use crate::error::Result;
use crate::routes;
use bytes::Bytes;
use omni_common::api::v1::{PushInput, PushOutput, PushQuery};

/// Most bytes sent in one message.
const MAX_PIECE: usize = 256 << 10;

/// Towards the hosts.
pub struct PushWriter(Outgoing);

/// What the hosts say.
pub struct PushReader(Incoming);

impl Client {
    /// Opens the way for an image to hosts. Nothing is to be sent before [`PushOutput::Started`] came.
    pub async fn push_image(&self, query: &PushQuery) -> Result<(PushWriter, PushReader)> {
        let call = Call::get(routes::PUSH_IMAGE).with(query);
        let (outgoing, incoming) = split(self.open_socket(&call).await?);
        Ok((PushWriter(outgoing), PushReader(incoming)))
    }
}

impl PushWriter {
    /// Sends the next bytes; returns when the connection has taken them.
    pub async fn send(&mut self, bytes: Bytes) -> Result<()> {
        self.0.data(bytes, MAX_PIECE).await
    }

    /// That was all of it.
    pub async fn finish(&mut self) -> Result<()> {
        self.0.control(&PushInput::Eof).await
    }
}

impl PushReader {
    /// The next word of the server; absent after the last. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Option<PushOutput>> {
        let Payload::Text(text) = self.0.next("what became of the image").await? else {
            return Err(self.0.strange("binary where text was expected".to_owned()));
        };
        match serde_json::from_str(&text) {
            Ok(PushOutput::End) => Ok(None),
            Ok(PushOutput::Error { problem }) => Err(problem.into()),
            Ok(output) => Ok(Some(output)),
            Err(error) => Err(self.0.strange(error.to_string())),
        }
    }
}
