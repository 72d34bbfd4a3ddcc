//! From the engine's log stream to lines. Pure.
//!
//! The engine prefixes each *message* with a timestamp. A message is a line, except that a line longer than
//! 16 KiB is cut into several messages, each with a timestamp of its own; those are taken out again. Of a
//! container without a terminal each message comes as one frame per output; a terminal's log is one stream of
//! bytes with `\r\n` line ends, in which a cut shows only by its place.

use crate::docker::demux::{Demux, Piece, UnknownStream};
use jiff::Timestamp;
use omni_common::wire::{LogLine, MAX_LOG_LINE, OutputStream};

/// The engine cuts lines into messages of this many bytes.
const MESSAGE: usize = 16 << 10;
/// Longest timestamp: `2026-11-23T05:20:31.724944702+01:00`.
const MAX_STAMP: usize = 40;

/// Puts lines together, whatever the cuts in between.
#[derive(Debug)]
pub enum Assembler {
    /// Two outputs in frames.
    Framed {
        /// Takes the frames apart.
        demux: Demux,
        /// Lines of the one output.
        stdout: Assembly,
        /// Lines of the other.
        stderr: Assembly,
    },
    /// A terminal.
    Raw(Assembly),
}

impl Assembler {
    /// For a container with or without a terminal.
    pub fn new(tty: bool) -> Self {
        if tty {
            return Self::Raw(Assembly::new(OutputStream::Stdout));
        }
        Self::Framed {
            demux: Demux::default(),
            stdout: Assembly::new(OutputStream::Stdout),
            stderr: Assembly::new(OutputStream::Stderr),
        }
    }

    /// Takes in bytes and hands on the lines they complete.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(LogLine)) -> Result<(), UnknownStream> {
        match self {
            Self::Raw(assembly) => {
                assembly.raw(bytes, &mut sink);
                Ok(())
            }
            Self::Framed { demux, stdout, stderr } => demux.feed(bytes, |piece| {
                let assembly = match piece.stream {
                    OutputStream::Stdout => &mut *stdout,
                    OutputStream::Stderr => &mut *stderr,
                };
                assembly.piece(piece, &mut sink);
            }),
        }
    }

    /// The log has ended: hands on the lines that have no end.
    pub fn finish(&mut self, mut sink: impl FnMut(LogLine)) {
        match self {
            Self::Raw(assembly) => assembly.finish(&mut sink),
            Self::Framed { stdout, stderr, .. } => {
                stdout.finish(&mut sink);
                stderr.finish(&mut sink);
            }
        }
    }
}

/// The line of one output that is being put together. Holds at most [`MAX_LOG_LINE`] bytes of it.
#[derive(Debug)]
pub struct Assembly {
    stream: OutputStream,
    line: Vec<u8>,
    at_nanos: i64,
    /// Something of the line has arrived, be it empty.
    open: bool,
    /// What may be a timestamp, while it is being collected.
    stamp: Option<Vec<u8>>,
    /// Bytes of the message at hand, without its timestamp.
    message: usize,
}

impl Assembly {
    fn new(stream: OutputStream) -> Self {
        Self { stream, line: Vec::new(), at_nanos: 0, open: false, stamp: Some(Vec::new()), message: 0 }
    }

    /// Takes in a stretch of a frame, which is a message.
    fn piece(&mut self, piece: Piece<'_>, sink: &mut impl FnMut(LogLine)) {
        if piece.begins {
            self.begin_message();
        }
        self.text_or_stamp(piece.bytes, false, sink);
        if piece.ends {
            self.settle_stamp();
            // A cut message is full; a shorter one without a line end is the last thing a program wrote.
            if self.open && self.message < MESSAGE {
                self.complete(sink);
            }
        }
    }

    /// Takes in bytes of a terminal.
    fn raw(&mut self, bytes: &[u8], sink: &mut impl FnMut(LogLine)) {
        self.text_or_stamp(bytes, true, sink);
    }

    fn finish(&mut self, sink: &mut impl FnMut(LogLine)) {
        self.settle_stamp();
        if self.open {
            self.complete(sink);
        }
    }

    fn begin_message(&mut self) {
        self.settle_stamp();
        self.message = 0;
        self.stamp = Some(Vec::new());
        if !self.open {
            self.at_nanos = 0;
        }
    }

    fn text_or_stamp(&mut self, mut bytes: &[u8], raw: bool, sink: &mut impl FnMut(LogLine)) {
        while !bytes.is_empty() {
            if self.stamp.is_some() {
                bytes = self.collect_stamp(bytes);
                continue;
            }
            let until_cut = if raw { MESSAGE.saturating_sub(self.message) } else { bytes.len() };
            let stretch = &bytes[..bytes.len().min(until_cut)];
            let end = stretch.iter().position(|&byte| byte == b'\n');
            let text = &stretch[..end.unwrap_or(stretch.len())];
            self.push(text);
            bytes = &bytes[text.len() + usize::from(end.is_some())..];
            if end.is_some() {
                // Whatever follows the end within the same message belongs to a line without a stamp of its own.
                self.complete(sink);
                if raw {
                    self.begin_message();
                }
            } else if raw && self.message == MESSAGE {
                self.begin_message();
            }
        }
    }

    /// Moves bytes of what may be a timestamp over; returns what is left.
    fn collect_stamp<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(stamp) = &mut self.stamp else {
            return bytes;
        };
        let room = MAX_STAMP - stamp.len();
        let look = &bytes[..bytes.len().min(room)];
        match look.iter().position(|&byte| byte == b' ' || byte == b'\n') {
            Some(at) if look[at] == b' ' => {
                stamp.extend_from_slice(&look[..=at]);
                self.settle_stamp();
                &bytes[at + 1..]
            }
            // No timestamp: leave the line end to the text.
            Some(at) => {
                stamp.extend_from_slice(&look[..at]);
                self.settle_stamp();
                &bytes[at..]
            }
            None => {
                stamp.extend_from_slice(look);
                if stamp.len() == MAX_STAMP {
                    self.settle_stamp();
                }
                &bytes[look.len()..]
            }
        }
    }

    /// What was collected is a timestamp, or text after all.
    fn settle_stamp(&mut self) {
        let Some(stamp) = self.stamp.take() else { return };
        match read_stamp(&stamp) {
            // The line began with its first message.
            Some(_) if self.open => {}
            Some(nanos) => {
                self.at_nanos = nanos;
                self.open = true;
            }
            None => self.push(&stamp),
        }
    }

    fn push(&mut self, text: &[u8]) {
        self.message += text.len();
        self.open |= !text.is_empty();
        let room = MAX_LOG_LINE - self.line.len();
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn complete(&mut self, sink: &mut impl FnMut(LogLine)) {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.open = false;
        self.message = 0;
        sink(LogLine { at_nanos: self.at_nanos, stream: self.stream, line });
    }
}

/// Nanoseconds of a timestamp with the blank that ends it.
fn read_stamp(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes.strip_suffix(b" ")?).ok()?;
    // Quick refusal of ordinary words before the calendar is asked.
    if text.len() < 20 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let at: Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok()
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
