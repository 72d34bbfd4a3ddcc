//! A container's log: everything there is, or the newest lines, or new ones as they come.

use super::lines::Assembler;
use super::{Ended, Failure, RequestStream};
use crate::docker::bytes::LogStream;
use crate::docker::{Handle, check_reference};
use bytes::Bytes;
use futures_util::FutureExt;
use omni_common::wire::{LogLine, LogsRequest, ReplyFrame};
use regex::bytes::{Regex, RegexBuilder};

/// A batch is sent when it has this many bytes of text or this many lines: large enough that a busy log costs
/// few frames, and far below the frame limit even with the lines of one more chunk.
const BATCH_BYTES: usize = 128 << 10;
const BATCH_LINES: usize = 4096;
/// Longest pattern, and what its compiled form may take, bytes.
const MAX_PATTERN: usize = 4096;
const MAX_COMPILED: usize = 1 << 20;

/// Answers a logs request. `tail` counts before `grep` is applied, as it does for `docker logs | grep`.
pub(super) async fn run(
    docker: &Handle,
    request: LogsRequest,
    stream: &mut RequestStream,
) -> Result<(), Ended> {
    check_reference(&request.container).map_err(Failure::from)?;
    let grep = request.grep.as_deref().map(compile).transpose()?;
    let container = docker.engine()?.inspect(&request.container).await?;
    let mut log = LogStream::open(docker.socket(), &request).await?;
    stream.reply.send(&ReplyFrame::Started).await?;
    let mut assembler = Assembler::new(container.tty);
    let mut batch = Batch::new(grep);
    while let Some(chunk) = next(&mut log, &mut batch, stream).await? {
        assembler.feed(&chunk, |line| batch.push(line)).map_err(Failure::failed)?;
        if batch.is_full() {
            batch.flush(stream).await?;
        }
        // A container that never stops writing must leave room for the other tasks.
        tokio::task::yield_now().await;
    }
    assembler.finish(|line| batch.push(line));
    batch.flush(stream).await
}

/// The next chunk of the log. When there is none yet, what has been collected is sent first.
async fn next(
    log: &mut LogStream,
    batch: &mut Batch,
    stream: &mut RequestStream,
) -> Result<Option<Bytes>, Ended> {
    let ready = log.next().now_or_never();
    let chunk = match ready {
        Some(chunk) => chunk,
        None => {
            batch.flush(stream).await?;
            tokio::select! {
                chunk = log.next() => chunk,
                () = stream.reply.gone() => return Err(Ended::Gone),
                () = stream.over.cancelled() => return Err(Ended::Gone),
            }
        }
    };
    chunk.transpose().map_err(Ended::from)
}

fn compile(pattern: &str) -> Result<Regex, Failure> {
    if pattern.len() > MAX_PATTERN {
        return Err(Failure::invalid(format!("the pattern is longer than {MAX_PATTERN} bytes")));
    }
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| Failure::invalid(format!("the pattern cannot be used: {error}")))
}

/// Lines on their way into a frame.
struct Batch {
    grep: Option<Regex>,
    lines: Vec<LogLine>,
    bytes: usize,
}

impl Batch {
    fn new(grep: Option<Regex>) -> Self {
        Self { grep, lines: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, line: LogLine) {
        if self.grep.as_ref().is_none_or(|grep| grep.is_match(&line.line)) {
            self.bytes += line.line.len();
            self.lines.push(line);
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.lines.len() >= BATCH_LINES
    }

    async fn flush(&mut self, stream: &mut RequestStream) -> Result<(), Ended> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let frame = ReplyFrame::Log(std::mem::take(&mut self.lines));
        stream.reply.send(&frame).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_patterns_are_refused() {
        assert!(compile("a+b").is_ok());
        for bad in ["(", "(a{1000}){1000}", &"a".repeat(MAX_PATTERN + 1)] {
            assert_eq!(compile(bad).expect_err("refused").code, "invalid");
        }
    }
}
