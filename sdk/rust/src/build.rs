//! An image on its way to be: what it is built from one way, what the builder says the other.
//!
//! Both halves are to be used at the same time: a build may fail before all is sent, and the server's pings are only
//! answered while somebody reads. A broken connection ends the build, and is an error.

use crate::call::Call;
use crate::client::Client;
use crate::duplex::{Incoming, Outgoing, Payload, split};
use crate::error::Result;
use crate::routes;
use bytes::Bytes;
use omni_common::api::v1::{BuildInput, BuildOutput, BuildStart};

/// Most bytes sent in one message.
const MAX_PIECE: usize = 256 << 10;

/// Towards the builder.
pub struct BuildWriter(Outgoing);

/// What the builder says.
pub struct BuildReader(Incoming);

impl Client {
    /// Has an image built for a service of an app, which need not be there yet. Nothing is to be sent before
    /// [`BuildOutput::Started`] came.
    pub async fn build_image(
        &self,
        environment: &str,
        app: &str,
        start: BuildStart,
    ) -> Result<(BuildWriter, BuildReader)> {
        let call = Call::get(&routes::build_image(environment, app));
        let (mut outgoing, incoming) = split(self.open_socket(&call).await?);
        outgoing.control(&BuildInput::Start(Box::new(start))).await?;
        Ok((BuildWriter(outgoing), BuildReader(incoming)))
    }
}

impl BuildWriter {
    /// Sends the next bytes of the tar file; returns when the connection has taken them.
    pub async fn send(&mut self, bytes: Bytes) -> Result<()> {
        self.0.data(bytes, MAX_PIECE).await
    }

    /// That was all of it.
    pub async fn finish(&mut self) -> Result<()> {
        self.0.control(&BuildInput::Eof).await
    }
}

impl BuildReader {
    /// The next word of the server; nothing follows [`BuildOutput::Built`]. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<BuildOutput> {
        let Payload::Text(text) = self.0.next("what became of the build").await? else {
            return Err(self.0.strange("binary where text was expected".to_owned()));
        };
        match serde_json::from_str(&text) {
            Ok(BuildOutput::Error { problem }) => Err(problem.into()),
            Ok(output) => Ok(output),
            Err(error) => Err(self.0.strange(error.to_string())),
        }
    }
}
