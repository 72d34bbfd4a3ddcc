//! Reading small kernel files: bounded, and into one buffer that is kept from file to file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No kernel file is read further than this. The longest that are of use, the mount table of a host with
/// thousands of containers, stay below a tenth of it.
const MAX_FILE: u64 = 4 << 20;
/// A buffer that one long file has blown up beyond this is given back before the next read.
const KEPT_BUFFER: usize = 256 << 10;

/// A source has nothing to report, and why.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file does not have the form the kernel documents.
    #[error("{} has an unexpected form: {what}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was not understood.
        what: String,
    },
    /// This host does not have the thing.
    #[error("{0}")]
    Absent(String),
}

impl SourceError {
    pub(super) fn form(path: &Path, what: impl ToString) -> Self {
        Self::Form { path: path.to_owned(), what: what.to_string() }
    }
}

/// Reads files one at a time into a buffer of its own.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// A whole file. Bytes that are not UTF-8 (a mount point, a command name) are replaced, not refused.
    pub(super) fn text(&mut self, path: &Path) -> Result<Cow<'_, str>, SourceError> {
        self.fill(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        Ok(String::from_utf8_lossy(&self.buffer))
    }

    /// A file that holds one number; `None` when it is missing, unreadable or holds something else.
    pub(super) fn number(&mut self, path: &Path) -> Option<u64> {
        self.text(path).ok()?.trim().parse().ok()
    }

    /// A file that may hold a negative number.
    pub(super) fn signed(&mut self, path: &Path) -> Option<i64> {
        self.text(path).ok()?.trim().parse().ok()
    }

    /// A file that holds one line of text; `None` when it is missing or blank.
    pub(super) fn line(&mut self, path: &Path) -> Option<String> {
        let text = self.text(path).ok()?;
        let line = text.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    fn fill(&mut self, path: &Path) -> io::Result<()> {
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        File::open(path)?.take(MAX_FILE).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}

/// Names in a folder, sorted; empty when it cannot be listed.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}
