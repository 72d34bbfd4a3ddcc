//! Files of variables: `.env`, `env_file`, `label_file`.

use crate::fault::{FaultKind, quoted};
use crate::input::MAX_FILE_BYTES;
use crate::interpolate::{Variables, expand};
use crate::report::{At, Report};
use std::collections::BTreeSet;

/// Most bytes of the values of one file, variables put in.
const MAX_VALUE_BYTES: usize = 4 * 1024 * 1024;
/// Most variables of one file.
const MAX_VARIABLES: usize = 10_000;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// With quotes, comments and variables, as Compose reads them.
    Compose,
    /// Everything after `=`, as it is.
    Raw,
}

/// Reads a file of variables. A name without `=` has no value: it is taken from where the reader sees fit.
/// Variables in values come from `outer`, then from further up in the same file.
pub(crate) fn parse(
    bytes: &[u8],
    format: Format,
    outer: &Variables,
    file: At,
    report: &mut Report,
) -> Vec<(String, Option<String>)> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; {MAX_FILE_BYTES} are read", bytes.len());
        report.fault(
            file,
            "",
            FaultKind::TooLarge,
            message,
            "variables are short; mount long content as a file",
        );
        return Vec::new();
    }
    if !report.may_read(bytes.len(), file) {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        report.fault(file, "", FaultKind::Value, "the file is not UTF-8 text", "save it as UTF-8");
        return Vec::new();
    };
    let mut reader =
        Reader { format, outer, file, report, known: Variables::new(), line: 0, bytes: 0, out: Vec::new() };
    reader.read(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.out
}

struct Reader<'a> {
    format: Format,
    outer: &'a Variables,
    file: At,
    report: &'a mut Report,
    known: Variables,
    line: u32,
    bytes: usize,
    out: Vec<(String, Option<String>)>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let mut rest = text;
        self.line = 1;
        while !rest.is_empty() {
            let used = self.entry(rest);
            self.line += u32::try_from(rest[..used].matches('\n').count()).unwrap_or(0);
            rest = &rest[used..];
            if self.out.len() >= MAX_VARIABLES || self.bytes > MAX_VALUE_BYTES {
                let message =
                    format!("the file has more than {MAX_VARIABLES} variables or {MAX_VALUE_BYTES} bytes");
                self.fault(FaultKind::TooLarge, &message, "split it");
                return;
            }
        }
    }

    /// Reads what begins here, and tells how many bytes it took; at least one line.
    fn entry(&mut self, rest: &str) -> usize {
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let line = rest[..end].trim();
        if line.is_empty() || line.starts_with('#') {
            return end;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let separator = if self.format == Format::Raw { line.find('=') } else { line.find(['=', ':']) };
        let name = separator.map_or(line, |at| &line[..at]).trim();
        if !is_name(name) {
            let message = format!("`{}` is no NAME=value", quoted(line));
            self.fault(FaultKind::Value, &message, "begin comments with `#`; names have no spaces");
            return end;
        }
        let Some(separator) = separator else {
            self.out.push((name.to_owned(), None));
            return end;
        };
        // Where the value begins in `rest`: quoted values may go on over lines.
        let start = line.as_ptr() as usize - rest.as_ptr() as usize + separator + 1;
        let name = name.to_owned();
        let (value, used) = self.value(&rest[start..]);
        if let Some(value) = value {
            self.bytes += value.len();
            self.known.insert(name.clone(), value.clone());
            self.out.push((name, Some(value)));
        }
        (start + used).max(end)
    }

    /// The value, and the bytes up to the end of its last line.
    fn value(&mut self, text: &str) -> (Option<String>, usize) {
        let end = text.find('\n').map_or(text.len(), |at| at + 1);
        let line = text[..end].trim_end_matches(['\n', '\r']);
        if self.format == Format::Raw {
            return (Some(line.to_owned()), end);
        }
        let indent = line.len() - line.trim_start().len();
        let inner = &text[indent..];
        match inner.chars().next() {
            Some(quote @ ('\'' | '"')) => match closing_quote(&inner[1..], quote) {
                Some(close) => {
                    let content = &inner[1..1 + close];
                    let after = indent + close + 2;
                    let line_end = text[after..].find('\n').map_or(text.len(), |at| after + at + 1);
                    let value = if quote == '\'' {
                        Some(content.to_owned())
                    } else {
                        self.expanded(&unescaped(content))
                    };
                    (value, line_end)
                }
                None => {
                    self.fault(
                        FaultKind::Value,
                        "a quote is not closed",
                        "close it, or put the value in the other quotes",
                    );
                    (None, end)
                }
            },
            _ => {
                let value = line.trim_start();
                let value = if value.starts_with('#') { "" } else { without_comment(value) };
                (self.expanded(value), end)
            }
        }
    }

    fn expanded(&mut self, text: &str) -> Option<String> {
        let mut undefined = BTreeSet::new();
        let lookup = |name: &str| self.outer.get(name).or_else(|| self.known.get(name)).cloned();
        let value = expand(text, &lookup, &mut undefined);
        for name in undefined {
            let message = format!("the variable `{name}` is not set; it counts as empty");
            self.report.note(self.at(), "", message);
        }
        match value {
            Ok(value) => Some(value),
            Err(problem) => {
                let hint = "put the value in single quotes to keep it as it is";
                self.fault(FaultKind::Variable, &problem.message, hint);
                None
            }
        }
    }

    fn at(&self) -> At {
        At { line: self.line, column: 1, ..self.file }
    }

    fn fault(&mut self, kind: FaultKind, message: &str, hint: &str) {
        self.report.fault(self.at(), "", kind, message, hint);
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(index),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\' | '\'')) => out.push(c),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

fn without_comment(value: &str) -> &str {
    let comment = value.match_indices('#').find(|(at, _)| value[..*at].ends_with([' ', '\t']));
    comment.map_or(value, |(at, _)| &value[..at]).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format) -> (Vec<String>, Vec<String>) {
        let mut report = Report::new();
        let file = report.add_file(".env", "");
        let outer = Variables::from([("OUT".to_owned(), "o".to_owned())]);
        let all = parse(text.as_bytes(), format, &outer, file, &mut report);
        let show = |(name, value): (String, Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        };
        let faults = report.into_faults().faults.iter().map(ToString::to_string).collect();
        (all.into_iter().map(show).collect(), faults)
    }

    #[test]
    fn values_as_people_write_them() {
        let text = "\u{feff}# a comment\r\nA=1\r\nexport B = two words # not this\nC='$A # kept'\nD=\"$A\\n\\$A\\\"\"\n\
                    E=a#b\nF=\nG=${OUT}-${A}\nH=\"over\nlines\" # after\nI: yaml\nJ\nK=#nothing\nL=a=b==\n";
        let (values, faults) = read(text, Format::Compose);
        assert_eq!(
            values,
            [
                "A=1",
                "B=two words",
                "C=$A # kept",
                "D=1\n$A\"",
                "E=a#b",
                "F=",
                "G=o-1",
                "H=over\nlines",
                "I=yaml",
                "J",
                "K=",
                "L=a=b=="
            ]
        );
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn raw_is_raw() {
        let (values, _) = read("A='$X' # all\nB=\n", Format::Raw);
        assert_eq!(values, ["A='$X' # all", "B="]);
    }

    #[test]
    fn broken_lines_are_named() {
        let (values, faults) = read("A=1\nno good line\nB=\"open\nC=$ \nD=4", Format::Compose);
        assert_eq!(values, ["A=1", "D=4"]);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with(".env:2:1: `no good line` is no NAME=value"), "{}", faults[0]);
        assert!(faults[1].starts_with(".env:3:1: a quote is not closed"), "{}", faults[1]);
        assert!(faults[2].starts_with(".env:4:1: `$` begins no variable"), "{}", faults[2]);
    }
}
