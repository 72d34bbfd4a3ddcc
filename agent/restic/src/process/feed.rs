//! What goes into restic's input, and when it ends there.
//!
//! restic saves whatever came before the end of its input as a snapshot; whether the program that wrote it
//! failed it cannot know. So the end is kept from it: it comes when the source has said that it
//! ended well, and not at all otherwise. `--stdin-from-command` of newer versions does this for one command
//! that restic starts itself, with restic's secrets in its environment; here one way serves every version and
//! every kind of source.

use super::leash::Leash;
use crate::secret::Secret;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Sender;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bytes moved at once: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// How long a program's last words are waited for after it has failed.
const WORDS_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of a failing program's last words.
const MAX_WORDS: usize = 2048;

/// Whether a source ended well, and why not. Asked after its last byte.
type Verdict = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Where the bytes of a stream come from. Dropped when the backup ends before it.
pub struct Source {
    bytes: Pin<Box<dyn AsyncRead + Send>>,
    verdict: Verdict,
}

impl Source {
    /// Bytes that are complete when `verdict` says so: as of a program in a container, whose exit code comes
    /// after its output.
    pub fn new(
        bytes: impl AsyncRead + Send + 'static,
        verdict: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> Self {
        Self { bytes: Box::pin(bytes), verdict: Box::pin(verdict) }
    }

    /// Bytes that are complete when they end without an error.
    pub fn reader(bytes: impl AsyncRead + Send + 'static) -> Self {
        Self::new(bytes, async { Ok(()) })
    }

    /// The output of a program, complete when its exit code is 0. What it says on stderr is kept for the
    /// error message. It gets no input, and is killed when the backup ends before it.
    pub fn command(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(bytes), Some(words)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("a program that was just started has no output"));
        };
        // Read all along, or a talkative program would wait for ever.
        let words = tokio::spawn(last_words(words));
        Ok(Self::new(bytes, async move {
            let status = child.wait().await.map_err(|error| format!("cannot be waited for: {error}"))?;
            if status.success() {
                return Ok(());
            }
            // Something that it has left behind may hold its stderr open.
            let words = timeout(WORDS_WITHIN, words).await.ok().and_then(Result::ok).unwrap_or_default();
            Err(format!("{status}: {words}"))
        }))
    }
}

async fn last_words(mut from: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(MAX_WORDS));
    }
    String::from_utf8_lossy(&kept).trim().replace('\n', " / ")
}

/// What restic finds on its input.
pub(crate) enum Input {
    /// Nothing.
    Empty,
    /// A password.
    Secret(Secret),
    /// The bytes to back up.
    Stream(Source),
}

/// How the input ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FeedEnd {
    /// restic has seen its end.
    Whole,
    /// The source failed, and restic has not seen the end.
    Failed(String),
    /// The source had nothing, and restic has not seen the end.
    Empty,
    /// restic has ended before it, or was to stop.
    Broken,
}

/// Feeds restic. After anything but [`FeedEnd::Whole`] the input is still open; keep it so until restic has
/// ended, with [`fill`]. A source that did not end well sets `stop`.
pub(super) async fn feed(
    pipe: &mut Option<Sender>,
    input: Input,
    leash: &mut Leash,
    stop: &CancellationToken,
) -> FeedEnd {
    let end = match (input, pipe.as_mut()) {
        (Input::Empty, _) => FeedEnd::Whole,
        (Input::Secret(text), Some(pipe)) => match pipe.write_all(text.reveal().as_bytes()).await {
            Ok(()) => FeedEnd::Whole,
            Err(_) => FeedEnd::Broken,
        },
        (Input::Stream(source), Some(pipe)) => {
            tokio::select! {
                end = carry(source, pipe) => end,
                () = stop.cancelled() => FeedEnd::Broken,
            }
        }
        (_, None) => FeedEnd::Broken,
    };
    match end {
        FeedEnd::Whole => {}
        FeedEnd::Broken => return end,
        FeedEnd::Failed(_) | FeedEnd::Empty => {
            stop.cancel();
            return end;
        }
    }
    if let Err(error) = leash.release() {
        tracing::warn!(%error, "the shell that holds restic has gone; this run goes on without it");
    }
    *pipe = None;
    FeedEnd::Whole
}

async fn carry(mut source: Source, pipe: &mut Sender) -> FeedEnd {
    let mut buffer = vec![0; CHUNK];
    let mut empty = true;
    loop {
        match source.bytes.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => {
                empty = false;
                if pipe.write_all(&buffer[..count]).await.is_err() {
                    return FeedEnd::Broken;
                }
            }
            Err(error) => return FeedEnd::Failed(format!("it cannot be read: {error}")),
        }
    }
    match source.verdict.await {
        Err(why) => FeedEnd::Failed(why),
        Ok(()) if empty => FeedEnd::Empty,
        Ok(()) => FeedEnd::Whole,
    }
}

/// Gives an interrupted restic something to read until it ends: 0.18 looks up only between two pieces of
/// input. What is read is never part of a snapshot, because it has no end.
pub(super) async fn fill(pipe: &mut Option<Sender>) {
    let zeros = vec![0; CHUNK];
    if let Some(pipe) = pipe {
        while pipe.write_all(&zeros).await.is_ok() {}
    }
    std::future::pending().await
}
