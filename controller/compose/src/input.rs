//! What a reading is given: bytes and words, never a file system.

use omni_common::domain::app::MAX_PACKED_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Largest compose file, environment file or label file, bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Most main compose files in one reading.
pub const MAX_MAIN_FILES: usize = 32;
/// Most packed files in one reading.
pub const MAX_PROJECT_FILES: usize = 4096;

/// Everything that is to be read.
///
/// Paths are relative to the folder that was packed, with `/` and without `.` or `..`. That folder is the
/// project folder or one above it; the latter when the app refers to something beside its project folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The compose files, the later ones overriding the earlier ones: path and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// All else that was packed, by path: `.env`, environment files, included files, configs, mounted files.
    pub project_files: BTreeMap<String, ProjectFile>,
    /// Paths that the client looked at and left out: folders whose content stays on the host, and paths
    /// where nothing is. A mount of such a path is a folder on the host.
    pub left_out: BTreeSet<String>,
    /// The project folder; absent for the folder of the first compose file.
    pub project_directory: Option<String>,
    /// Variables of the caller's environment and of `--set`; they go before `.env`.
    pub environment: BTreeMap<String, String>,
    /// Profiles asked for, besides those in `COMPOSE_PROFILES`; `*` for all.
    pub profiles: BTreeSet<String>,
    /// Name of the app, before any that the files give.
    pub project_name: Option<String>,
    /// The environment (namespace) it is meant for; only told to the file as `OMNI_ENVIRONMENT`.
    pub env_name: String,
}

/// A packed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

impl ProjectFile {
    /// A file that everybody may read.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), mode: 0o644 }
    }
}

/// What a referred file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// A compose file that is included or extended.
    ComposeFile,
    /// Variables: `.env`, an environment file, or a label file.
    Variables,
    /// A config or secret.
    Content,
    /// Something mounted. A file is packed. Of a folder, its files are packed when it is small; else, and when
    /// nothing is there, the path goes to [`Input::left_out`].
    Mount,
    /// A folder that an image is built from; packed on its own, never needed for reading.
    BuildContext,
}

/// A file or folder that an app refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Its path, as it has to be given.
    pub path: String,
    /// What it is for.
    pub kind: ReferenceKind,
    /// Whether it may be absent.
    pub optional: bool,
    /// Whether something writes to it: then a folder is data, which stays on the host.
    pub writable: bool,
    /// Whether it was given, or said to be left out.
    pub given: bool,
}

impl Input {
    /// One compose file and nothing else.
    pub fn of_text(text: &str) -> Self {
        Self { files: vec![("docker-compose.yml".to_owned(), text.as_bytes().to_vec())], ..Self::default() }
    }

    /// Adds a packed file.
    pub fn with_file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.project_files.insert(path.to_owned(), ProjectFile::new(bytes));
        self
    }

    /// A packed file or one of the main compose files.
    pub(crate) fn bytes(&self, path: &str) -> Option<&[u8]> {
        let main = || self.files.iter().find(|(name, _)| name == path).map(|(_, bytes)| bytes.as_slice());
        self.project_files.get(path).map(|file| file.bytes.as_slice()).or_else(main)
    }

    /// Files packed below this folder, by path relative to it; empty when it is no packed folder.
    pub(crate) fn folder(&self, path: &str) -> BTreeMap<String, &ProjectFile> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.project_files
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .map(|(name, file)| (name[prefix.len()..].to_owned(), file))
            .collect()
    }
}

/// The bound on packed content, as people read it.
pub(crate) fn packed_limit() -> String {
    format!("{} KiB", MAX_PACKED_BYTES / 1024)
}
