//! The last words of a container that failed.

use crate::docker::bytes::LogStream;
use crate::docker::{DockerError, Handle};
use crate::executors::lines::Assembler;
use omni_common::wire::{LogsRequest, MAX_REPORT_LOG};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines asked for.
const LINES: u32 = 40;
/// The engine has this long to hand them over.
const LIMIT: Duration = Duration::from_secs(5);

/// At most [`MAX_REPORT_LOG`] bytes from the end of a container's log; empty when it said nothing.
pub(crate) async fn tail(docker: &Handle, id: &str, tty: bool) -> Result<String, DockerError> {
    let read = tokio::time::timeout(LIMIT, read(docker, id, tty)).await;
    read.unwrap_or(Err(DockerError::TimedOut { call: "logs", limit: LIMIT }))
}

async fn read(docker: &Handle, id: &str, tty: bool) -> Result<String, DockerError> {
    let request = LogsRequest {
        container: id.to_owned(),
        follow: false,
        since: None,
        until: None,
        tail: Some(LINES),
        grep: None,
    };
    let mut log = LogStream::open(docker.socket(), &request).await?;
    let mut assembler = Assembler::new(tty);
    let mut last = Last::default();
    while let Some(chunk) = log.next().await {
        let fed = assembler.feed(&chunk?, |line| last.push(&line.line));
        fed.map_err(|error| DockerError::Unreadable { call: "logs", reason: error.to_string() })?;
    }
    assembler.finish(|line| last.push(&line.line));
    Ok(last.text())
}

/// The last few lines.
#[derive(Debug, Default)]
struct Last {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Last {
    fn push(&mut self, line: &[u8]) {
        let mut line = String::from_utf8_lossy(line).into_owned();
        line.truncate(line.floor_char_boundary(MAX_REPORT_LOG - 1));
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > MAX_REPORT_LOG {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_what_is_kept() {
        let mut last = Last::default();
        for number in 0..10_000 {
            last.push(format!("line {number}").as_bytes());
        }
        let text = last.text();
        assert!(text.len() <= MAX_REPORT_LOG && text.ends_with("line 9999\n") && text.starts_with("line "));
        last.push(&[b'x'; 100_000]);
        assert_eq!(last.text().len(), MAX_REPORT_LOG);
    }
}
