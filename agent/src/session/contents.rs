//! Fetches the contents that the host needs and does not hold, one after the other, each on a stream of its own.

use crate::workloads::Depot;
use bytes::{Bytes, BytesMut};
use omni_common::domain::app::ContentDigest;
use omni_common::wire::{HostReply, HostRequest, MAX_CONTENT};
use omni_transport::{Connection, FrameReader, FrameWriter};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;

/// A gateway that sends nothing for this long has forgotten the request.
const IDLE: Duration = Duration::from_secs(10);
/// Waits before content is asked for again: doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Fetches whatever is wanted until the session is over.
pub(super) async fn run(depot: &Depot, connection: &Connection) -> Infallible {
    let mut wanted = depot.wanted();
    let mut tried: BTreeMap<ContentDigest, Tried> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let missing = wanted.borrow_and_update().clone();
        tried.retain(|digest, _| missing.contains(digest));
        let due = missing.iter().find(|digest| tried.get(*digest).is_none_or(|tried| tried.again <= now));
        let Some(digest) = due else {
            let again = tried.values().map(|tried| tried.again).min();
            tokio::select! {
                _ = wanted.changed() => {}
                () = super::control::until(again) => {}
            }
            continue;
        };
        match fetch(connection, digest).await {
            Ok(bytes) => depot.provide(digest, bytes).await,
            Err(reason) => {
                tracing::warn!(digest = %digest, reason, "content not fetched");
                depot.failed(digest, reason);
            }
        }
        // Also after a success: the depot may be unable to keep it.
        tried.entry(digest.clone()).or_default().note(Instant::now());
    }
}

/// When something that was asked for is asked for again.
pub(super) struct Tried {
    wait: Duration,
    pub(super) again: Instant,
}

impl Default for Tried {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, again: Instant::now() }
    }
}

impl Tried {
    pub(super) fn note(&mut self, now: Instant) {
        self.again = now + self.wait;
        self.wait = (self.wait * 2).min(MAX_WAIT);
    }
}

/// Asks for content and checks what arrives; an error is a sentence for an operator.
async fn fetch(connection: &Connection, digest: &ContentDigest) -> Result<Bytes, String> {
    let asked = ask(connection, &HostRequest::Content(digest.clone()), MAX_CONTENT).await;
    let bytes = asked.map_err(|error| error.to_string())?;
    if ContentDigest::of(&bytes) == *digest {
        return Ok(bytes.freeze());
    }
    Err("what the gateway sent has another digest".to_owned())
}

/// The gateway did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It has no such thing for this host.
    #[error("{0} (not_found)")]
    Nothing(String),
    /// It cannot say, or cannot be heard; a sentence for an operator.
    #[error("{0}")]
    Failed(String),
}

impl Unanswered {
    fn broken(error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("the gateway could not be asked: {error}"))
    }

    fn refused(code: &str, message: String) -> Self {
        match code {
            "not_found" => Self::Nothing(message),
            code => Self::Failed(format!("{message} ({code})")),
        }
    }
}

/// Asks for bytes, at most `most` of them.
pub(crate) async fn ask(
    connection: &Connection,
    request: &HostRequest,
    most: usize,
) -> Result<BytesMut, Unanswered> {
    let mut answer = Answer::to(connection, request).await?;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = answer.next(IDLE).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            answer.reader.stop(omni_common::wire::CloseCode::FrameTooLarge);
            return Err(Unanswered::Failed(format!("it is larger than {most} bytes")));
        }
    }
    Ok(bytes)
}

/// What a gateway sends when it is asked, piece by piece.
pub(crate) struct Answer {
    reader: FrameReader<HostReply>,
}

impl Answer {
    /// Asks.
    pub(crate) async fn to(connection: &Connection, request: &HostRequest) -> Result<Self, Unanswered> {
        let (send, recv) = connection.open_bi().await.map_err(Unanswered::broken)?;
        let mut writer = FrameWriter::new(send);
        writer.send(request).await.map_err(Unanswered::broken)?;
        writer.finish();
        Ok(Self { reader: FrameReader::new(recv) })
    }

    /// The next piece, which may take so long; absent when all is there.
    pub(crate) async fn next(&mut self, within: Duration) -> Result<Option<Vec<u8>>, Unanswered> {
        let silent =
            || Unanswered::Failed(format!("the gateway has not answered for {} s", within.as_secs()));
        let frame = tokio::time::timeout(within, self.reader.next()).await.map_err(|_| silent())?;
        match frame.map_err(Unanswered::broken)? {
            None => Err(Unanswered::Failed("the gateway's answer ended in the middle".to_owned())),
            Some(HostReply::Found { .. }) => {
                Err(Unanswered::Failed("the gateway answered for an image".to_owned()))
            }
            Some(HostReply::Failed { code, message }) => Err(Unanswered::refused(&code, message)),
            Some(HostReply::End) => Ok(None),
            Some(HostReply::Chunk(chunk)) => Ok(Some(chunk)),
        }
    }
}
