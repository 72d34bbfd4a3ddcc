//! From files to parsed systems. Only this file touches the disk.

use crate::error::{Error, Problem, Result};
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of more files than this is not a catalogue.
const MOST_FILES: usize = 256;
/// The largest built-in file has some 30 KiB.
const MOST_BYTES: u64 = 1024 * 1024;

/// A file's text and what to call it in messages.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) text: String,
}

/// The `.yaml` and `.yml` files of a folder, by name. Others, and hidden ones, are left alone.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Source>> {
    let unlisted = |source| Error::ReadFolder { path: folder.to_owned(), source };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let path = entry.map_err(unlisted)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if yaml && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    if paths.len() > MOST_FILES {
        let what = format!("{} files, {MOST_FILES} at most", paths.len());
        return Err(Error::TooLarge { path: folder.to_owned(), what });
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

/// A file that may be as large as a catalogue's.
pub(crate) fn read_file(path: &Path) -> Result<Source> {
    let unread = |source| Error::ReadFile { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unread)?.len();
    if bytes > MOST_BYTES {
        let what = format!("{bytes} bytes, {MOST_BYTES} at most");
        return Err(Error::TooLarge { path: path.to_owned(), what });
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    Ok(Source { file: path.display().to_string().into(), text })
}

/// What a text says, or the first thing wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(source: &Source) -> std::result::Result<T, Problem> {
    serde_saphyr::from_str(&source.text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        Problem {
            file: source.file.to_string(),
            line,
            component: component_at(&source.text, line),
            key: key_at(&source.text, line, column),
            what: reason(&error),
        }
    })
}

/// The message alone: place and snippet are told in our own way.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The key that a place belongs to: the one that starts there, or else the nearest one before it.
fn key_at(text: &str, line: u64, column: u64) -> Option<String> {
    let line: Vec<char> = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?.chars().collect();
    let at = usize::try_from(column).ok()?.checked_sub(1)?.min(line.len());
    let in_word = |c: &&char| c.is_ascii_alphanumeric() || **c == '_';
    let ahead: String = line[at..].iter().take_while(in_word).collect();
    if !ahead.is_empty() && line.get(at + ahead.len()) == Some(&':') {
        return Some(ahead);
    }
    let colon = line[..at].iter().rposition(|c| *c == ':')?;
    let behind: Vec<char> = line[..colon].iter().rev().take_while(in_word).copied().collect();
    (!behind.is_empty()).then(|| behind.into_iter().rev().collect())
}

/// The component that a line belongs to, as far as indentation tells.
fn component_at(text: &str, line: u64) -> Option<String> {
    let upto = usize::try_from(line).ok()?;
    let name = text.lines().take(upto).filter_map(|line| line.strip_prefix("  - name: ")).last()?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_block_and_flow_style() {
        let text = "a: 1\n  - {name: http, port: 70000}\n    tier: huge\n";
        assert_eq!(key_at(text, 2, 24).as_deref(), Some("port"));
        assert_eq!(key_at(text, 3, 11).as_deref(), Some("tier"));
        assert_eq!(key_at(text, 3, 5).as_deref(), Some("tier"));
        assert_eq!(key_at(text, 9, 1), None);
        assert_eq!(key_at(text, 1, 99).as_deref(), Some("a"));
    }
}
