//! What a reading gathers on its way: faults, notes, the files it met and the files it refers to.

use crate::fault::{Fault, FaultKind, Faults, MAX_FAULTS, MAX_NOTES, Note, Place};
use crate::input::{Reference, ReferenceKind};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of files of variables that one reading reads, each as often as it is named.
const MAX_VARIABLE_BYTES: usize = 64 * 1024 * 1024;

/// A place in a file, small enough to lie in every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    /// Which file, as [`Report::add_file`] numbered it.
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A file in one of its roles: the same file included and extended is two of them.
#[derive(Debug)]
struct FileEntry {
    name: String,
    /// Folder that relative paths written in it start from, from the packed root.
    base: String,
}

/// The gathering.
#[derive(Debug)]
pub(crate) struct Report {
    files: Vec<FileEntry>,
    faults: BTreeSet<Fault>,
    more: usize,
    /// Where a variable could not be put in.
    unresolved: BTreeSet<(u32, u32, u32)>,
    variable_bytes: usize,
    notes: BTreeSet<Note>,
    references: BTreeMap<(String, ReferenceKind), Reference>,
}

impl Report {
    /// An empty one. File 0 stands for what was asked rather than for a file.
    pub(crate) fn new() -> Self {
        let asked = FileEntry { name: String::new(), base: String::new() };
        Self {
            files: vec![asked],
            faults: BTreeSet::new(),
            more: 0,
            unresolved: BTreeSet::new(),
            variable_bytes: 0,
            notes: BTreeSet::new(),
            references: BTreeMap::new(),
        }
    }

    /// Registers a file, and gives the place that stands for it as a whole.
    pub(crate) fn add_file(&mut self, name: &str, base: &str) -> At {
        self.files.push(FileEntry { name: name.to_owned(), base: base.to_owned() });
        At { file: u32::try_from(self.files.len() - 1).unwrap_or(0), line: 0, column: 0 }
    }

    /// The folder that relative paths written at this place start from.
    pub(crate) fn base(&self, at: At) -> &str {
        self.files.get(at.file as usize).map_or("", |entry| &entry.base)
    }

    /// The name of the file that this place is in.
    pub(crate) fn file(&self, at: At) -> &str {
        self.files.get(at.file as usize).map_or("", |entry| &entry.name)
    }

    fn place(&self, at: At, key: &str) -> Place {
        Place { file: self.file(at).to_owned(), line: at.line, column: at.column, key: key.to_owned() }
    }

    /// Notes a fault; past the bound it is only counted.
    pub(crate) fn fault(
        &mut self,
        at: At,
        key: &str,
        kind: FaultKind,
        message: impl Into<String>,
        hint: &str,
    ) {
        // What a variable left behind there is not worth a second fault.
        if kind == FaultKind::Value && self.unresolved.contains(&(at.file, at.line, at.column)) {
            return;
        }
        if kind == FaultKind::Variable {
            self.unresolved.insert((at.file, at.line, at.column));
        }
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let fault = Fault { place: self.place(at, key), kind, message: message.into(), hint };
        if self.faults.len() < MAX_FAULTS {
            self.faults.insert(fault);
        } else if !self.faults.contains(&fault) {
            self.more += 1;
        }
    }

    /// Notes something worth knowing; past the bound it is left out.
    pub(crate) fn note(&mut self, at: At, key: &str, message: impl Into<String>) {
        if self.notes.len() < MAX_NOTES {
            self.notes.insert(Note { place: self.place(at, key), message: message.into() });
        }
    }

    /// Notes that a file is referred to.
    pub(crate) fn refer(&mut self, reference: Reference) {
        let known = self
            .references
            .entry((reference.path.clone(), reference.kind))
            .or_insert_with(|| reference.clone());
        known.optional &= reference.optional;
        known.writable |= reference.writable;
    }

    /// Notes that a file is needed and was not packed.
    pub(crate) fn need(&mut self, at: At, key: &str, path: &str, message: impl Into<String>) {
        let kind = FaultKind::FileNeeded { path: path.to_owned() };
        self.fault(at, key, kind, message, "pack it with the compose file, or correct the path");
    }

    /// Counts bytes of a file of variables; once there are too many, no more are read.
    pub(crate) fn may_read(&mut self, bytes: usize, file: At) -> bool {
        self.variable_bytes = self.variable_bytes.saturating_add(bytes);
        let may = self.variable_bytes <= MAX_VARIABLE_BYTES;
        if !may {
            let message = format!("files of variables with more than {MAX_VARIABLE_BYTES} bytes are named");
            self.fault(file, "", FaultKind::TooLarge, message, "name fewer or smaller files");
        }
        may
    }

    /// Whether anything was found that keeps the app from being read.
    pub(crate) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// What is referred to, by path.
    pub(crate) fn references(&self) -> Vec<Reference> {
        self.references.values().cloned().collect()
    }

    /// The notes, by place.
    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes.into_iter().collect()
    }

    /// The faults, by place.
    pub(crate) fn into_faults(self) -> Faults {
        Faults {
            faults: self.faults.into_iter().collect(),
            more: self.more,
            notes: self.notes.into_iter().collect(),
        }
    }
}
