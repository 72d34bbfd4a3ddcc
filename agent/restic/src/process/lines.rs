//! Lines from a pipe, of bounded length.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};

/// Longer lines are passed over: no line that matters is anywhere near.
const MAX_LINE: usize = 1 << 20;

/// Reads lines.
pub(crate) struct LineReader<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// Whether the line that is being read was too long.
    too_long: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(16 << 10, reader), line: Vec::new(), too_long: false }
    }

    /// The next line without its end, lossily as text. `None` when there are no more. May be dropped and
    /// called again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            let at_end = chunk.is_empty();
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let used = newline.map_or(chunk.len(), |at| at + 1);
            let text = &chunk[..newline.unwrap_or(chunk.len())];
            if self.line.len() + text.len() > MAX_LINE {
                self.too_long = true;
                self.line = Vec::new();
            } else if !self.too_long {
                self.line.extend_from_slice(text);
            }
            AsyncBufRead::consume(std::pin::Pin::new(&mut self.reader), used);
            if newline.is_none() && !at_end {
                continue;
            }
            let skipped = std::mem::take(&mut self.too_long);
            let line = std::mem::take(&mut self.line);
            if at_end && line.is_empty() {
                return Ok(None);
            }
            if !skipped {
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<String> {
        let mut reader = LineReader::new(bytes);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.expect("memory can be read") {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_told_apart_whatever_their_ends() {
        assert_eq!(lines(b"").await, Vec::<String>::new());
        assert_eq!(lines(b"a\n\nb").await, ["a", "", "b"]);
        assert_eq!(lines(b"a\xff\n").await, ["a\u{fffd}"]);
    }

    #[tokio::test]
    async fn a_line_beyond_the_bound_is_passed_over_and_the_next_one_read() {
        let mut bytes = vec![b'x'; MAX_LINE + 1];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(lines(&bytes).await, ["next"]);
        bytes.truncate(MAX_LINE);
        bytes.extend_from_slice(b"\nnext");
        assert_eq!(lines(&bytes).await.len(), 2);
    }
}
