//! The two directions of a request, and how it ends.

use crate::docker::DockerError;
use omni_common::wire::{CloseCode, ReplyFrame, RequestInput};
use omni_transport::{FrameReader, FrameWriter, TransportError};
use tokio_util::sync::CancellationToken;

/// A request that this host cannot answer, in the terms of [`ReplyFrame::Failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable word.
    pub code: &'static str,
    /// For a person.
    pub message: String,
}

impl Failure {
    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: "invalid", message: message.into() }
    }

    /// Not now.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { code: "busy", message: message.into() }
    }

    /// Not on this host.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { code: "unsupported", message: message.into() }
    }

    /// There is no such thing here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: "not_found", message: message.into() }
    }

    /// It makes sense but did not work.
    pub fn failed(error: impl ToString) -> Self {
        Self { code: "failed", message: error.to_string() }
    }
}

impl From<DockerError> for Failure {
    fn from(error: DockerError) -> Self {
        let code = match &error {
            DockerError::Absent { .. } => "docker_absent",
            DockerError::NotFound(_) => "not_found",
            DockerError::Conflict(_) => "not_running",
            DockerError::Reference(_) => "invalid",
            DockerError::Refused { message, .. } if message.contains("does not support reading") => {
                "unsupported"
            }
            DockerError::TimedOut { .. } | DockerError::Refused { .. } | DockerError::Unreadable { .. } => {
                "failed"
            }
        };
        Self { code, message: error.to_string() }
    }
}

/// Why a request ended before its time.
#[derive(Debug)]
pub enum Ended {
    /// It cannot be answered; the asking side is told.
    Failed(Failure),
    /// Nobody waits for the answer any more.
    Gone,
}

impl<T: Into<Failure>> From<T> for Ended {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

/// A request's stream.
pub struct RequestStream {
    /// Later frames of the asking side.
    pub input: FrameReader<RequestInput>,
    /// The answer.
    pub reply: Reply,
    /// Cancelled when the session ends.
    pub over: CancellationToken,
}

/// The answering direction.
pub struct Reply(FrameWriter<ReplyFrame>);

impl Reply {
    /// On this stream.
    pub fn new(writer: FrameWriter<ReplyFrame>) -> Self {
        Self(writer)
    }

    /// Sends a frame; waits while the asking side does not read.
    pub async fn send(&mut self, frame: &ReplyFrame) -> Result<(), Ended> {
        match self.0.send(frame).await {
            Ok(()) => Ok(()),
            Err(error @ (TransportError::Encode(_) | TransportError::TooLarge { .. })) => {
                tracing::error!(%error, "reply frame cannot be sent");
                Err(Failure::failed("the answer does not fit a frame").into())
            }
            Err(_) => Err(Ended::Gone),
        }
    }

    /// Resolves when the asking side no longer reads.
    pub async fn gone(&mut self) {
        self.0.stopped().await;
    }

    /// Sends the last frame.
    pub async fn conclude(&mut self, ended: Result<(), Ended>) {
        let last = match ended {
            Ok(()) => ReplyFrame::End,
            Err(Ended::Failed(Failure { code, message })) => {
                ReplyFrame::Failed { code: code.to_owned(), message }
            }
            Err(Ended::Gone) => return self.0.reset(CloseCode::Done),
        };
        // An asking side that has gone meanwhile needs no last frame.
        if self.send(&last).await.is_ok() {
            self.0.finish();
        }
    }
}
