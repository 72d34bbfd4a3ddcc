//! What the lines on stderr tell, gathered as they come, so that however many there are the telling ones are
//! kept.

use super::patterns::{Cause, add_to_lock, cause};
use super::retries::{Repetition, Retries};
use crate::report::{Lock, Unreadable, UnreadableFiles, unreadable};
use crate::secret::Masks;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Lines kept of the end of the output.
const TAIL_LINES: usize = 12;
/// Problems named by a check; the rest is counted.
const MAX_PROBLEMS: usize = 100;
/// Longer lines are cut.
const MAX_LINE: usize = 600;

/// Why an operation is ended before restic ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GiveUp {
    /// Trying again cannot help.
    Hopeless(Cause),
    /// It has been tried for as long as the settings allow.
    Patience,
}

/// What has been said on stderr.
#[derive(Debug)]
pub(crate) struct Findings {
    masks: Masks,
    patience: Duration,
    checking: bool,
    retries: Retries,
    /// The cause that restic's last words name.
    fatal: Option<Cause>,
    /// What other sentences name, and the first of each.
    causes: BTreeMap<Cause, String>,
    tail: VecDeque<String>,
    pub(super) lock: Option<Lock>,
    /// Files that a backup could not read or a restore could not write.
    pub(super) files: UnreadableFiles,
    /// What a check found.
    pub(super) problems: Vec<String>,
    pub(super) more_problems: u64,
    pub(super) given_up: Option<GiveUp>,
}

/// A line of JSON on stderr.
#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Message {
    Error {
        /// A text in an object since 0.18; before, whatever Go made of the error's fields.
        #[serde(default)]
        error: serde_json::Value,
        #[serde(default)]
        during: String,
        #[serde(default)]
        item: String,
        /// Of a check.
        #[serde(default)]
        message: String,
    },
    ExitError {
        #[serde(default)]
        message: String,
    },
    #[serde(other)]
    Other,
}

impl Findings {
    /// Nothing yet. `checking`: whether what is said may be about the repository's data.
    pub(crate) fn new(masks: Masks, patience: Duration, checking: bool) -> Self {
        Self {
            masks,
            patience,
            checking,
            retries: Retries::default(),
            fatal: None,
            causes: BTreeMap::new(),
            tail: VecDeque::new(),
            lock: None,
            files: UnreadableFiles::default(),
            problems: Vec::new(),
            more_problems: 0,
            given_up: None,
        }
    }

    /// Takes a line in. With an answer, restic should be ended: it would only repeat itself.
    pub(crate) fn line(&mut self, line: &str, now: Instant) -> Option<GiveUp> {
        if line.trim().is_empty() {
            return None;
        }
        // Parsed before it is masked: JSON spells some characters of a secret in its own way.
        if line.starts_with('{')
            && let Ok(message) = serde_json::from_str(line)
        {
            self.message(message);
            return None;
        }
        let line = self.masked(line);
        self.text(&line, line.starts_with("Fatal: "));
        self.repetition(&line, now)
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::ExitError { message, .. } => {
                for line in message.lines() {
                    self.text(&self.masked(line), true);
                }
            }
            Message::Error { message, .. } if !message.is_empty() => {
                for line in message.lines().filter(|line| !line.trim().is_empty()) {
                    self.text(&self.masked(line), false);
                }
            }
            // What went away between listing and reading: newer versions do not miss it, and nor do we.
            Message::Error { during, .. } if during == "scan" => {}
            Message::Error { error, during, item, .. } => {
                let reason = self.masked(&reason(&error));
                // What a backup cannot read says nothing about the repository.
                if during != "archival" {
                    self.note(&reason);
                }
                self.files.add(unreadable(&self.masked(&item), &reason));
            }
            Message::Other => {}
        }
    }

    /// A line without secrets, of bounded length.
    fn masked(&self, line: &str) -> String {
        crate::report::cut(self.masks.apply(line.trim_end()), MAX_LINE)
    }

    /// A sentence, which is one of restic's last words or one on the way.
    fn text(&mut self, line: &str, last_word: bool) {
        add_to_lock(line, &mut self.lock);
        let cause = self.note(line);
        if last_word && self.fatal.is_none() {
            self.fatal = cause;
        }
        if let Some(file) = left_out(line) {
            self.files.add(file);
        }
        if self.checking && !last_word && Repetition::read(line).is_none() {
            self.problem(line);
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.trim().to_owned());
    }

    fn note(&mut self, line: &str) -> Option<Cause> {
        let cause = cause(line)?;
        self.causes.entry(cause).or_insert_with(|| line.trim().to_owned());
        Some(cause)
    }

    fn problem(&mut self, line: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(line.trim().to_owned());
        } else {
            self.more_problems += 1;
        }
    }

    fn repetition(&mut self, line: &str, now: Instant) -> Option<GiveUp> {
        let repetition = Repetition::read(line)?;
        let give_up = if let Some(cause) = repetition.hopeless(self.checking) {
            GiveUp::Hopeless(cause)
        } else if self.retries.exhausted(&repetition, self.patience, now) {
            GiveUp::Patience
        } else {
            return None;
        };
        self.given_up.get_or_insert(give_up);
        self.given_up
    }

    /// What went wrong: restic's last words where they say it, else the most telling sentence on the way.
    pub(super) fn cause(&self) -> Option<(Cause, &str)> {
        let hopeless = match self.given_up {
            Some(GiveUp::Hopeless(cause)) => Some(cause),
            _ => None,
        };
        let said = hopeless.or(self.fatal).or_else(|| self.causes.keys().next().copied())?;
        // A server that lets nobody in looks to restic like one that is away; `ssh` knows better.
        let barred = said == Cause::Unreachable && self.causes.contains_key(&Cause::AccessDenied);
        let cause = if barred { Cause::AccessDenied } else { said };
        Some((cause, self.causes.get(&cause).map_or("", String::as_str)))
    }

    /// Whether it was ended here because it could not end well.
    pub(crate) fn gave_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Whether some sentence named this cause.
    pub(crate) fn named(&self, cause: Cause) -> Option<&str> {
        self.causes.get(&cause).map(String::as_str)
    }

    /// The last that was said, on one line.
    pub(crate) fn last_words(&self) -> String {
        let lines: Vec<_> = self.tail.iter().map(String::as_str).collect();
        crate::report::cut(lines.join(" / "), 2 * MAX_LINE)
    }

    /// restic says that something is missing. Should it name nothing, in words that are known, that is still
    /// so.
    pub(crate) fn note_partial(&mut self) {
        if self.files.is_empty() {
            self.files.more = 1;
        }
    }

    /// Files that are missing from the snapshot.
    pub(crate) fn into_files(self) -> UnreadableFiles {
        self.files
    }
}

/// The reason in an error of JSON.
fn reason(error: &serde_json::Value) -> String {
    if let Some(message) = error.get("message").and_then(serde_json::Value::as_str) {
        return message.to_owned();
    }
    // 0.14 prints the fields of Go's error: the operation and the system's number.
    let number =
        error.get("Err").and_then(serde_json::Value::as_i64).and_then(|number| i32::try_from(number).ok());
    let operation = error.get("Op").and_then(serde_json::Value::as_str);
    match (operation, number) {
        (Some(operation), Some(number)) => {
            format!("{operation}: {}", std::io::Error::from_raw_os_error(number))
        }
        _ => "cannot be read; restic does not say why".to_owned(),
    }
}

/// What is missing from a snapshot or a restore, as text has it: of a backup in every version, of a restore
/// before 0.18.
fn left_out(line: &str) -> Option<Unreadable> {
    if let Some(path) = line.strip_suffix(" does not exist, skipping") {
        return Some(unreadable(path, "does not exist"));
    }
    let (path, reason) = line.strip_prefix("ignoring error for ")?.split_once(": ")?;
    Some(unreadable(path, reason))
}
