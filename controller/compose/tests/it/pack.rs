//! What a client does: give the compose file, ask what it refers to, give that, until nothing new is asked for.

use omni_compose::{Faults, Input, ProjectFile, Reading, ReferenceKind, needs, read};
use std::collections::BTreeMap;
use std::path::Path;

/// Folders with more than this stay on the host, bytes.
const MAX_FOLDER: usize = 512 * 1024;

/// Reads a compose file from disk with everything it refers to. Paths are relative to `root`. What was given
/// comes back with the reading.
pub(crate) fn read_from_disk(root: &Path, file: &str, mut input: Input) -> (Input, Result<Reading, Faults>) {
    let bytes = std::fs::read(root.join(file)).expect("the compose file is there");
    input.files.push((file.to_owned(), bytes));
    for _ in 0..8 {
        let Ok(references) = needs(&input) else { break };
        let missing: Vec<_> = references
            .into_iter()
            .filter(|reference| !reference.given && reference.kind != ReferenceKind::BuildContext)
            .filter(|reference| !input.left_out.contains(&reference.path))
            .collect();
        if missing.is_empty() {
            break;
        }
        for reference in missing {
            let path = root.join(&reference.path);
            let folder = if path.is_dir() { files_below(&path) } else { BTreeMap::new() };
            let size: usize = folder.values().map(Vec::len).sum();
            if path.is_file() {
                let bytes = std::fs::read(&path).expect("a file of the tree");
                input.project_files.insert(reference.path, ProjectFile::new(bytes));
            } else if folder.is_empty() || size > MAX_FOLDER {
                input.left_out.insert(reference.path);
            } else {
                for (name, bytes) in folder {
                    input.project_files.insert(format!("{}/{name}", reference.path), ProjectFile::new(bytes));
                }
            }
        }
    }
    let reading = read(&input);
    (input, reading)
}

fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the tree") {
            let entry = entry.expect("an entry of the folder");
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                files.insert(name, bytes);
            }
        }
    }
    files
}
