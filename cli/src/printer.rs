//! Where output goes: data to standard output, talk to standard error.
//!
//! Everything a command says passes through here, so format, colour and width are decided once. A reader
//! that closes the pipe early (`omni ps | head`) has what it wanted: see [`OutputClosed`].

use crate::settings::{ColourChoice, Format};
use crate::table::{Fit, Table, harmless};
use crate::tone::Tone;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Standard output was closed by its reader. Not a failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct OutputClosed;

/// What the two outputs are connected to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Colour on standard output.
    pub colour: bool,
    /// Colour on standard error.
    pub talk_colour: bool,
    /// Columns of the terminal behind standard output; absent when there is none.
    pub width: Option<usize>,
    /// Standard error is a terminal: spinners may run there.
    pub talk_is_terminal: bool,
}

impl Look {
    /// The same for text that goes to standard error.
    pub(crate) fn for_talk(self) -> Self {
        Self { colour: self.talk_colour, ..self }
    }

    /// Of the process's own outputs.
    pub(crate) fn detect(choice: ColourChoice) -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        let talk_is_terminal = io::stderr().is_terminal();
        Self {
            colour: choice.on(out_is_terminal),
            talk_colour: choice.on(talk_is_terminal),
            width: out_is_terminal.then(terminal_width).flatten(),
            talk_is_terminal,
        }
    }
}

fn terminal_width() -> Option<usize> {
    let (columns, _) = crossterm::terminal::size().ok()?;
    (columns > 0).then_some(usize::from(columns))
}

/// Writes in one format.
pub(crate) struct Printer {
    out: Box<dyn Write>,
    talk: Box<dyn Write>,
    format: Format,
    look: Look,
    records: usize,
}

impl Printer {
    /// A printer on the process's own outputs.
    pub(crate) fn new(format: Format, look: Look) -> Self {
        Self::on(Box::new(io::stdout()), Box::new(io::stderr()), format, look)
    }

    /// A printer on given outputs.
    pub(crate) fn on(out: Box<dyn Write>, talk: Box<dyn Write>, format: Format, look: Look) -> Self {
        Self { out, talk, format, look, records: 0 }
    }

    /// How things are shown.
    pub(crate) fn look(&self) -> Look {
        self.look
    }

    /// Whether people, not programs, read the output.
    pub(crate) fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether the most detailed table was asked for.
    pub(crate) fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Shows one value: as a document for programs, as a table for people.
    pub(crate) fn table<T: Serialize>(&mut self, value: &T, table: impl FnOnce() -> Table) -> Result<()> {
        let fit = Fit { width: self.look.width, colour: self.look.colour, wide: self.wide() };
        self.text(value, |_| table().render(fit))
    }

    /// Shows one value: as a document for programs, as free text for people.
    pub(crate) fn text<T: Serialize>(&mut self, value: &T, text: impl FnOnce(Look) -> String) -> Result<()> {
        let document = match self.format {
            Format::Table | Format::Wide => text(self.look),
            Format::Json => {
                serde_json::to_string_pretty(value).context("cannot write the answer as JSON")? + "\n"
            }
            Format::Yaml => serde_saphyr::to_string(value).context("cannot write the answer as YAML")?,
        };
        self.bytes(document.as_bytes())
    }

    /// Shows one of a stream of values: a line of JSON, a YAML document, or free text.
    pub(crate) fn record<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(Look) -> String,
    ) -> Result<()> {
        let line = match self.format {
            Format::Table | Format::Wide => text(self.look),
            Format::Json => serde_json::to_string(value).context("cannot write a record as JSON")? + "\n",
            Format::Yaml => {
                let document = serde_saphyr::to_string(value).context("cannot write a record as YAML")?;
                let mark = if self.records > 0 { "---\n" } else { "" };
                format!("{mark}{document}")
            }
        };
        self.records += 1;
        self.bytes(line.as_bytes())
    }

    /// Writes to standard output as is, and at once.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => anyhow::Error::new(OutputClosed),
            _ => anyhow::Error::new(error).context("cannot write to standard output"),
        })
    }

    /// Writes to standard error as is, and at once: a program's own error output.
    pub(crate) fn talk_bytes(&mut self, bytes: &[u8]) {
        // Nobody is left to tell when standard error cannot be written.
        self.talk.write_all(bytes).and_then(|()| self.talk.flush()).ok();
    }

    /// Writes a message behind `word`. Parts of it may come from elsewhere, so only its line ends reach the
    /// terminal as they are.
    fn talk_line(&mut self, word: &str, message: &str) {
        let lines: Vec<String> = message.split('\n').map(harmless).collect();
        self.talk_bytes(format!("{word}{}\n", lines.join("\n")).as_bytes());
    }

    /// Tells what was done. Silent when a program reads the output.
    pub(crate) fn say(&mut self, message: &str) {
        if self.for_people() {
            self.talk_line("", message);
        }
    }

    /// Warns, whoever reads.
    pub(crate) fn warn(&mut self, message: &str) {
        let word = Tone::Warn.paint("warning: ", self.look.talk_colour);
        self.talk_line(&word, message);
    }

    /// Tells what is worth knowing. Programs find it in the data.
    pub(crate) fn note(&mut self, message: &str) {
        if self.for_people() {
            let word = Tone::Dim.paint("note: ", self.look.talk_colour);
            self.talk_line(&word, message);
        }
    }

    /// Suggests the next step.
    pub(crate) fn hint(&mut self, message: &str) {
        let word = Tone::Strong.paint("hint: ", self.look.talk_colour);
        self.talk_line(&word, message);
    }

    /// Reports what went wrong.
    pub(crate) fn error(&mut self, message: &str) {
        let word = Tone::Bad.paint("error: ", self.look.talk_colour);
        self.talk_line(&word, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(format: Format) -> String {
        let out = Shared::default();
        let mut printer = Printer::on(Box::new(out.clone()), Box::new(io::sink()), format, Look::default());
        let rows = vec![("web", 7), ("db", 3)];
        printer
            .table(&rows, || {
                let mut table = Table::new([Column::new("NAME")]);
                rows.iter().for_each(|(name, _)| table.row([(*name).into()]));
                table
            })
            .expect("a buffer takes all");
        let bytes = out.0.borrow().clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn one_value_in_each_format() {
        assert_eq!(shown(Format::Table), "NAME\nweb\ndb\n");
        let json: serde_json::Value = serde_json::from_str(&shown(Format::Json)).expect("json");
        assert_eq!(json[1][0], "db");
        let yaml: serde_json::Value = serde_saphyr::from_str(&shown(Format::Yaml)).expect("yaml");
        assert_eq!(yaml, json);
    }

    #[test]
    fn a_stream_is_one_document_after_the_other() {
        let out = Shared::default();
        let mut printer =
            Printer::on(Box::new(out.clone()), Box::new(io::sink()), Format::Yaml, Look::default());
        for value in [1, 2] {
            printer.record(&value, |_| String::new()).expect("a buffer takes all");
        }
        assert_eq!(out.0.borrow().as_slice(), b"1\n---\n2\n");
    }

    #[test]
    fn messages_cannot_steer_the_terminal() {
        let talk = Shared::default();
        let mut printer =
            Printer::on(Box::new(io::sink()), Box::new(talk.clone()), Format::Table, Look::default());
        printer.error("no host `\u{1b}[2J`\n  web-1");
        let text = String::from_utf8(talk.0.borrow().clone()).expect("text");
        assert_eq!(text, "error: no host `\u{fffd}[2J`\n  web-1\n");
    }

    #[test]
    fn a_closed_pipe_is_told_apart() {
        let mut printer = Printer::on(Box::new(Closed), Box::new(io::sink()), Format::Json, Look::default());
        let error = printer.bytes(b"x").expect_err("closed");
        assert!(error.is::<OutputClosed>());
    }
}
