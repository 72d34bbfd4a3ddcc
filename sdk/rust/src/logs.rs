//! Log lines of one or many containers.
//!
//! A stream that follows goes on at another controller when one dies: it asks again for the lines since the
//! last one seen and drops those it has already handed out.

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::reconnect::Reopener;
use crate::routes;
use crate::socket::{Ended, Socket};
use jiff::Timestamp;
use omni_common::api::v1::{LogEntry, LogSource, LogsMessage, LogsQuery, ReadQuery};
use omni_common::ids::HostId;
use std::collections::BTreeMap;

/// Messages of a log socket, until all containers have ended.
pub struct LogStream {
    reopener: Reopener,
    freshness: ReadQuery,
    query: LogsQuery,
    socket: Option<Socket>,
    sources: Vec<LogSource>,
    seen: BTreeMap<(HostId, String), Seen>,
    ended: bool,
}

/// The newest line of one container, and how many lines carry that same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    at: Timestamp,
    lines: u32,
    repeats_left: u32,
}

impl Client {
    /// Reads logs. Nothing is sent before the first [`LogStream::next`].
    pub fn logs(&self, query: LogsQuery) -> LogStream {
        LogStream {
            reopener: Reopener::new(self.clone()),
            freshness: self.freshness(),
            query,
            socket: None,
            sources: Vec::new(),
            seen: BTreeMap::new(),
            ended: false,
        }
    }
}

impl LogStream {
    /// The next message; absent after the last. [`LogsMessage::Sources`] comes again when the stream was
    /// taken up at another controller and the set of containers has changed.
    pub async fn next(&mut self) -> Result<Option<LogsMessage>> {
        while !self.ended {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                None => {
                    let call = Call::get(routes::LOGS).with(&self.query).with(&self.freshness);
                    self.socket.insert(self.reopener.open(&call).await?)
                }
            };
            match socket.next_json().await {
                Ok(message) => {
                    self.reopener.mended();
                    if let Some(message) = self.take(message)? {
                        return Ok(Some(message));
                    }
                }
                Err(Ended::Refused(error)) => return Err(error),
                Err(Ended::Done) => self.ended = true,
                Err(Ended::Interrupted(why)) => self.resume(why)?,
            }
        }
        Ok(None)
    }

    fn take(&mut self, message: LogsMessage) -> Result<Option<LogsMessage>> {
        match message {
            LogsMessage::Sources { sources } => {
                let changed = sources != self.sources;
                self.sources.clone_from(&sources);
                Ok(changed.then_some(LogsMessage::Sources { sources }))
            }
            LogsMessage::Lines { lines } => {
                let fresh: Vec<LogEntry> = lines.into_iter().filter(|line| self.is_fresh(line)).collect();
                Ok((!fresh.is_empty()).then_some(LogsMessage::Lines { lines: fresh }))
            }
            LogsMessage::Error { problem } => Err(problem.into()),
            LogsMessage::End => {
                self.ended = true;
                Ok(None)
            }
            ended @ LogsMessage::SourceEnded { .. } => Ok(Some(ended)),
        }
    }

    fn is_fresh(&mut self, line: &LogEntry) -> bool {
        let source = self.sources.get(line.source as usize);
        // Without a time or a known container a line cannot be recognised again: showing it twice is the
        // lesser evil.
        let (Some(source), Some(at)) = (source, line.at) else {
            return true;
        };
        let key = (source.host, source.container.clone());
        match self.seen.get_mut(&key) {
            Some(seen) => seen.is_fresh(at),
            None => {
                self.seen.insert(key, Seen::first(at));
                true
            }
        }
    }

    /// Asks for what comes after the oldest of the newest lines. Only a stream that follows is mended: any
    /// other can simply be asked for again.
    fn resume(&mut self, why: String) -> Result<()> {
        self.socket = None;
        if !self.query.follow {
            return Err(Error::Interrupted { after: std::time::Duration::ZERO, why });
        }
        if let Some(oldest) = self.seen.values().map(|seen| seen.at).min() {
            self.query.since = Some(oldest.into());
            self.query.tail = None;
        }
        self.seen.values_mut().for_each(Seen::expect_repeats);
        self.reopener.broke(why);
        Ok(())
    }
}

impl Seen {
    fn first(at: Timestamp) -> Self {
        Self { at, lines: 1, repeats_left: 0 }
    }

    /// After a reconnect the lines of the newest moment come once more.
    fn expect_repeats(&mut self) {
        self.repeats_left = self.lines;
    }

    fn is_fresh(&mut self, at: Timestamp) -> bool {
        if at > self.at {
            *self = Self::first(at);
            return true;
        }
        if self.repeats_left == 0 {
            // Docker's clock may step back; while nothing repeats, everything is fresh.
            self.lines += u32::from(at == self.at);
            return true;
        }
        self.repeats_left -= u32::from(at == self.at);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanosecond(nanos.into()).expect("in range")
    }

    #[test]
    fn lines_of_one_moment_are_repeated_as_often_as_they_were_seen() {
        let mut seen = Seen::first(at(5));
        assert!(seen.is_fresh(at(7)));
        assert!(seen.is_fresh(at(7)), "two lines of one nanosecond");
        seen.expect_repeats();
        assert!(!seen.is_fresh(at(5)), "older than the newest");
        assert!(!seen.is_fresh(at(7)));
        assert!(!seen.is_fresh(at(7)));
        assert!(seen.is_fresh(at(7)), "a third line that was not seen before");
        assert!(seen.is_fresh(at(8)));
    }

    #[test]
    fn a_clock_that_steps_back_hides_nothing() {
        let mut seen = Seen::first(at(9));
        assert!(seen.is_fresh(at(3)));
        assert!(seen.is_fresh(at(4)));
    }
}
