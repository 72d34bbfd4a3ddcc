//! One folder of a snapshot. `restic ls SNAPSHOT FOLDER` prints a line about the snapshot, one about the folder itself,
//! and one about each thing in it, in the order of their names.

use super::{Entry, EntryKind};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// Before what a link points at, in restic's text.
const ARROW: &str = " -> ";
/// Mode, user, group, size, day, time: what stands before a path in restic's text.
const COLUMNS_BEFORE_PATH: usize = 6;

/// A part of a folder of a snapshot.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Folder {
    /// The paths that the snapshot was made of.
    pub made_of: Vec<String>,
    /// What is at the path that was asked for; absent for `/`, and where there is nothing.
    pub itself: Option<Entry>,
    /// What is in it, by name.
    pub entries: Vec<Entry>,
    /// Whether more follow.
    pub more: bool,
    /// What symbolic links among the entries point at, by path. Missing where restic says it in no way that can be
    /// read: a name with a line break or one that is not UTF-8.
    pub targets: BTreeMap<String, String>,
}

/// The first line.
#[derive(Deserialize)]
struct Heading {
    struct_type: String,
    #[serde(default, deserialize_with = "super::snapshot::list")]
    paths: Vec<String>,
}

/// Reads the lines about one folder.
pub(crate) struct FolderLines {
    path: PathBuf,
    skip: u64,
    most: usize,
    folder: Folder,
}

impl FolderLines {
    /// Of the folder at `path`, after its first `skip` entries, at most `most`.
    pub(crate) fn new(path: &Path, skip: u64, most: usize) -> Self {
        Self { path: path.to_owned(), skip, most, folder: Folder::default() }
    }

    /// Takes a line in; says whether more are wanted.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) => self.entry(entry),
            Err(_) => {
                if let Ok(Heading { struct_type, paths }) = serde_json::from_str(line)
                    && struct_type == "snapshot"
                {
                    self.folder.made_of = paths;
                }
            }
        }
        !self.folder.more
    }

    fn entry(&mut self, entry: Entry) {
        let path = Path::new(&entry.path);
        if path == self.path {
            self.folder.itself = Some(entry);
        } else if path.parent() != Some(&self.path) {
            // Neither the folder nor in it.
        } else if self.skip > 0 {
            self.skip -= 1;
        } else if self.folder.entries.len() < self.most {
            self.folder.entries.push(entry);
        } else {
            self.folder.more = true;
        }
    }

    pub(crate) fn folder(self) -> Folder {
        self.folder
    }
}

/// Reads what symbolic links point at. restic tells it only in its text, which has no quotes; since the names are known, and
/// come in the same order, they can be told from the targets all the same.
pub(crate) struct TargetLines {
    wanted: VecDeque<String>,
    targets: BTreeMap<String, String>,
}

impl TargetLines {
    /// Of the links among these.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        let plain =
            |path: &String| !path.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
        let links = entries.iter().filter(|entry| entry.kind == EntryKind::Symlink);
        Self { wanted: links.map(|link| link.path.clone()).filter(plain).collect(), targets: BTreeMap::new() }
    }

    /// Whether nothing more is looked for.
    pub(crate) fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes a line in; says whether more are wanted.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if let Some(wanted) = self.wanted.front()
            && let Some(target) = after_columns(line).and_then(|rest| rest.strip_prefix(wanted.as_str()))
            && let Some(target) = target.strip_prefix(ARROW)
        {
            self.targets.insert(wanted.clone(), target.to_owned());
            self.wanted.pop_front();
        }
        !self.is_done()
    }

    pub(crate) fn targets(self) -> BTreeMap<String, String> {
        self.targets
    }
}

/// The path and what follows it, in a line about a link.
fn after_columns(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix(['L', 'l'])?;
    for _ in 0..COLUMNS_BEFORE_PATH {
        rest = rest.trim_start_matches(' ');
        rest = &rest[rest.find(' ')?..];
    }
    rest.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, kind: &str) -> String {
        let name = path.rsplit('/').next().expect("a name");
        serde_json::json!({"name": name, "type": kind, "path": path, "mode": 0o644, "struct_type": "node"})
            .to_string()
    }

    const HEADING: &str =
        r#"{"time":"2026-11-28T05:02:17Z","tree":"cebf","paths":["/v/_data"],"struct_type":"snapshot"}"#;

    fn read(path: &str, skip: u64, most: usize, lines: &[String]) -> (Folder, bool) {
        let mut reader = FolderLines::new(Path::new(path), skip, most);
        let wants_more = lines.iter().all(|line| reader.line(line));
        (reader.folder(), wants_more)
    }

    fn names(folder: &Folder) -> Vec<&str> {
        folder.entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn a_folder_is_told_from_what_is_in_it() {
        let lines = [HEADING.to_owned(), node("/v", "dir"), node("/v/a", "dir"), node("/v/b", "file")];
        let (folder, more) = read("/v", 0, 10, &lines);
        assert_eq!((names(&folder), folder.more, more), (vec!["/v/a", "/v/b"], false, true));
        assert_eq!(folder.made_of, ["/v/_data"]);
        assert_eq!(folder.itself.as_ref().map(|one| one.kind), Some(EntryKind::Dir));
        // The root has no line of its own.
        let (root, _) = read("/", 0, 10, &[HEADING.to_owned(), node("/v", "dir")]);
        assert_eq!((names(&root), &root.itself), (vec!["/v"], &None));
    }

    #[test]
    fn reading_stops_at_the_first_entry_that_is_one_too_many() {
        let lines: Vec<String> = ["/a", "/b", "/c", "/d"].iter().map(|path| node(path, "file")).collect();
        let (folder, wants_more) = read("/", 1, 2, &lines);
        assert_eq!((names(&folder), folder.more, wants_more), (vec!["/b", "/c"], true, false));
        let (folder, wants_more) = read("/", 2, 2, &lines);
        assert_eq!((names(&folder), folder.more, wants_more), (vec!["/c", "/d"], false, true));
        let (folder, _) = read("/", 9, 2, &lines);
        assert_eq!((names(&folder), folder.more), (vec![], false));
    }

    #[test]
    fn an_entry_with_an_odd_time_is_still_one() {
        let line = r#"{"name":"x","type":"file","path":"/x","mtime":"-0001-99-01T00:00:00Z","mode":8389101}"#;
        let (folder, _) = read("/", 0, 2, &[line.to_owned()]);
        assert_eq!(folder.entries[0].mtime, None);
        assert_eq!(folder.entries[0].unix_mode(), 0o4755);
    }

    #[test]
    fn targets_of_links_are_read_whatever_stands_in_the_names() {
        let entries: Vec<Entry> = [
            ("/v/a", "symlink"),
            ("/v/a -> b", "symlink"),
            ("/v/new\nline", "symlink"),
            ("/v/plain", "file"),
            ("/v/z", "symlink"),
        ]
        .iter()
        .map(|(path, kind)| serde_json::from_str(&node(path, kind)).expect("an entry"))
        .collect();
        let mut reader = TargetLines::new(&entries);
        let line = |mode: &str, text: &str| format!("{mode}     0   999      0 2026-11-28 05:01:56 {text}");
        let lines = [
            "snapshot b6bebe7a of [/v] at 2026-11-28 05:02:17 +0000 UTC):".to_owned(),
            line("drwxr-xr-x", "/v"),
            line("Lrwxrwxrwx", "/v/a -> first"),
            line("Lrwxrwxrwx", "/v/a -> b -> second -> third"),
            line("Lrwxrwxrwx", "/v/new"),
            "line -> nothing".to_owned(),
            line("-rw-r--r--", "/v/plain"),
        ];
        assert!(lines.iter().all(|line| reader.line(line)));
        assert!(!reader.line(&line("Lrwxrwxrwx", "/v/z ->  spaced")));
        let found = reader.targets();
        let expected = [("/v/a", "first"), ("/v/a -> b", "second -> third"), ("/v/z", " spaced")];
        assert_eq!(found, expected.map(|(path, to)| (path.to_owned(), to.to_owned())).into());
    }
}
