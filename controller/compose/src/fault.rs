//! What is wrong with a file, where, and what to do; and what is right but worth knowing.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most faults that one reading tells; the first ones are the ones to mend.
pub const MAX_FAULTS: usize = 100;
/// Most notes that one reading tells.
pub const MAX_NOTES: usize = 200;
/// Longest piece of a file that a message repeats, characters.
const MAX_QUOTED: usize = 80;

/// A place in one of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, by the path it was given under; empty when the fault is in what was asked, not in a file.
    pub file: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 for the file as a whole.
    pub column: u32,
    /// Where in the document, e.g. `services.web.ports[0]`; may be empty.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            let gap = if self.file.is_empty() { "" } else { ": " };
            write!(f, "{gap}{}", self.key)?;
        }
        Ok(())
    }
}

/// Kinds of faults, for programs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is no YAML, or more of it than is read.
    Yaml,
    /// A bound was passed; the message names it.
    TooLarge,
    /// A key that Compose does not know.
    UnknownKey,
    /// A key or value of Compose that omni does not honour.
    Unsupported,
    /// A value that makes no sense at its key.
    Value,
    /// A variable that has to be set, or a `$` that begins nothing.
    Variable,
    /// Something named that is not there.
    Reference,
    /// Something that comes back to itself.
    Cycle,
    /// Two parts that exclude each other.
    Conflict,
    /// A file that the app refers to was not packed.
    FileNeeded {
        /// Its path, as it has to be given.
        path: String,
    },
}

/// Something that keeps a file from being read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What kind.
    pub kind: FaultKind,
    /// What is wrong.
    pub message: String,
    /// What to do, when there is something to say.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// Something that is read, but differently from what its writer may expect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What to know.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        let gap = if place.is_empty() { "" } else { ": " };
        write!(f, "{place}{gap}{}", self.message)
    }
}

/// Everything that keeps an app from being read, by place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub struct Faults {
    /// The faults, at most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
    /// How many more there were.
    pub more: usize,
    /// What was noted before it failed.
    pub notes: Vec<Note>,
}

impl Faults {
    /// Paths that were not packed, when that is all that is wrong; packing them and reading again goes further.
    pub fn only_needed(&self) -> Option<Vec<&str>> {
        let path = |fault: &'_ Fault| matches!(fault.kind, FaultKind::FileNeeded { .. });
        if self.more > 0 || !self.faults.iter().all(path) {
            return None;
        }
        let mut paths: Vec<&str> = self
            .faults
            .iter()
            .filter_map(|fault| match &fault.kind {
                FaultKind::FileNeeded { path } => Some(path.as_str()),
                _ => None,
            })
            .collect();
        paths.sort_unstable();
        paths.dedup();
        Some(paths)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{fault}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// A piece of a file as a message may repeat it: short, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String =
        text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        short.push('…');
    }
    short
}
