//! Facts of a tree of files.

use super::Facts;
use omni_common::wire::MAX_RUN_TEXT;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files whose content is written down.
const SAMPLE: usize = 16;
/// Larger ones are not read for it.
const MAX_FILE: u64 = 4 << 20;
/// Most entries looked at to choose them; beyond, the choice depends on the order of the file system.
const MAX_LOOKED_AT: usize = 200_000;
/// Name of the folder in a volume where a restore collects what it has read.
pub(in crate::backup) const STAGING: &str = ".omni-restore-";

/// A file of the sample.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    stamp: Stamp,
    sha256: String,
}

/// What changes when a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Self {
        Self {
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

/// A few files of a tree and their contents, before a backup.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct Sample(Vec<Seen>);

impl Sample {
    /// Chooses and reads them: below `root`, within these paths of it, or anywhere when none is named. The same files each
    /// time, as long as they are there.
    pub(in crate::backup) fn take(root: &Path, within: &[String]) -> Self {
        let starts: Vec<PathBuf> = match within.is_empty() {
            true => vec![root.to_owned()],
            false => within.iter().map(|path| root.join(path)).collect(),
        };
        // By the hash of the path, which spreads them over the tree and never depends on what else is there.
        let mut chosen: BTreeMap<[u8; 32], PathBuf> = BTreeMap::new();
        let mut left = MAX_LOOKED_AT;
        for start in starts {
            walk(&start, &mut left, &mut |path, data| {
                if data.is_file() && (1..=MAX_FILE).contains(&data.size()) {
                    let inner = path.strip_prefix(root).unwrap_or(path);
                    chosen
                        .insert(Sha256::digest(inner.as_os_str().as_encoded_bytes()).into(), path.to_owned());
                    if chosen.len() > SAMPLE {
                        chosen.pop_last();
                    }
                }
            });
        }
        Self(chosen.into_values().filter_map(|path| seen(path).ok()).collect())
    }

    /// The facts of those that have not changed until now, after the backup.
    pub(in crate::backup) fn facts(&self, root: &Path) -> Facts {
        let same = |seen: &&Seen| {
            fs::symlink_metadata(&seen.path).is_ok_and(|data| Stamp::from(&data) == seen.stamp)
        };
        let fact = |seen: &Seen| {
            let inner = seen.path.strip_prefix(root).ok()?.to_str()?;
            let key = format!("sha256:{inner}");
            (key.len() <= MAX_RUN_TEXT).then(|| (key, seen.sha256.clone()))
        };
        self.0.iter().filter(same).filter_map(fact).collect()
    }
}

fn seen(path: PathBuf) -> io::Result<Seen> {
    let stamp = Stamp::from(&fs::symlink_metadata(&path)?);
    let sha256 = sha256_of(&path)?;
    Ok(Seen { path, stamp, sha256 })
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut hash, mut file) = (Sha256::new(), File::open(path)?);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// The facts of a restored tree, as far as they were written down.
pub(in crate::backup) fn of_restored(root: &Path, expected: &Facts) -> Facts {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let mut no_limit = usize::MAX;
    walk(root, &mut no_limit, &mut |_, data| {
        if data.is_file() {
            files += 1;
            bytes += data.size();
        }
    });
    let mut facts =
        Facts::from([("files".to_owned(), files.to_string()), ("bytes".to_owned(), bytes.to_string())]);
    for key in expected.keys() {
        // A path that leads out of the tree is none that was written down.
        let inner = key.strip_prefix("sha256:").map(Path::new).filter(|inner| inner.is_relative());
        if let Some(Ok(hash)) = inner.map(|inner| sha256_of(&root.join(inner))) {
            facts.insert(key.clone(), hash);
        }
    }
    facts
}

/// Looks at everything below a path, and the path itself; links are not followed, and what cannot be read is left out.
fn walk(path: &Path, left: &mut usize, look: &mut dyn FnMut(&Path, &Metadata)) {
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        look(&path, &data);
        if !data.is_dir() {
            continue;
        }
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        open.extend(
            entries
                .filter(|entry| !entry.file_name().to_string_lossy().starts_with(STAGING))
                .map(|entry| entry.path()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("our own folder");
            fs::write(path, content).expect("our own folder");
        }
        root
    }

    #[test]
    fn the_same_files_are_chosen_wherever_the_tree_is() {
        let files: Vec<(String, String)> =
            (0..100).map(|number| (format!("d{}/f{number}", number % 7), format!("{number}"))).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let (one, other) = (tree(&files), tree(&files));
        let facts = |root: &Path| Sample::take(root, &[]).facts(root);
        assert_eq!(facts(one.path()).len(), SAMPLE);
        assert_eq!(facts(one.path()), facts(other.path()));
        let expected = facts(one.path());
        let found = of_restored(other.path(), &expected);
        assert_eq!(super::super::difference(&expected, &found), None);
        assert_eq!(found["files"], "100");
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_left_out() {
        let root = tree(&[("a", "first"), ("b", "second")]);
        let sample = Sample::take(root.path(), &[]);
        fs::write(root.path().join("a"), "other").expect("our own file");
        assert_eq!(sample.facts(root.path()).into_keys().collect::<Vec<_>>(), ["sha256:b"]);
    }

    #[test]
    fn a_flipped_bit_and_a_missing_file_are_told_apart_by_name() {
        let (root, changed) = (tree(&[("a", "first"), ("b", "second")]), tree(&[("a", "firsT")]));
        let expected = Sample::take(root.path(), &[]).facts(root.path());
        let differs = super::super::difference(&expected, &of_restored(changed.path(), &expected));
        assert!(differs.expect("it differs").starts_with("sha256:a was "));
    }
}
