//! The contexts file: which clusters this user has logged in to.
//!
//! It holds tokens, so it is written with mode 0600 and replaced in one step: a crash leaves the old file or
//! the new one, never half of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What can go wrong with the contexts file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextsError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{path} is not a contexts file")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// It cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One cluster and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Controllers' API addresses, tried in this order.
    pub urls: Vec<String>,
    /// API token, with the fingerprint of the cluster's CA inside.
    pub token: String,
    /// The environment of apps that are named without one; absent for `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// All contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; a missing one holds no contexts.
    pub(crate) fn load(path: &Path) -> Result<Self, ContextsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ContextsError::Read { path: path.to_owned(), source });
            }
        };
        toml::from_str(&text)
            .map_err(|source| ContextsError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    /// Replaces the file.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ContextsError> {
        let text = toml::to_string_pretty(self).expect("strings and maps of strings are always TOML");
        replace(path, text.as_bytes())
            .map_err(|source| ContextsError::Write { path: path.to_owned(), source })
    }

    /// Adds or replaces a context and makes it the current one.
    pub(crate) fn put(&mut self, name: &str, context: Context) {
        self.contexts.insert(name.to_owned(), context);
        self.current = Some(name.to_owned());
    }

    /// Forgets a context. When it was in use, the only one left takes its place.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Context> {
        let removed = self.contexts.remove(name)?;
        if self.current.as_deref() == Some(name) {
            let mut left = self.contexts.keys();
            self.current = left.next().filter(|_| left.next().is_none()).cloned();
        }
        Some(removed)
    }
}

/// Whether others than its owner can read the file. A missing file cannot be read by anyone.
pub(crate) fn open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// Writes beside the file, then renames over it. A symbolic link keeps pointing where it did.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = write_private(&beside, bytes).and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // The first error is the one to report; what is left behind holds nothing but our own data.
        fs::remove_file(&beside).ok();
    }
    written
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // A file left by a crash may have had another mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(url: &str) -> Context {
        Context { urls: vec![url.to_owned()], token: "omni-api1.x".to_owned(), environment: None }
    }

    #[test]
    fn a_missing_file_is_empty_and_a_saved_one_comes_back_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("omni/config.toml");
        assert_eq!(Contexts::load(&path).expect("missing is fine"), Contexts::default());

        let mut contexts = Contexts::default();
        contexts.put("home", context("https://a:7601"));
        contexts.save(&path).expect("folder is made");
        assert_eq!(Contexts::load(&path).expect("just written"), contexts);
        assert!(!open_to_others(&path));
        let left: Vec<_> = fs::read_dir(path.parent().expect("has one")).expect("listing").collect();
        assert_eq!(left.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_strange_file_is_named_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, "colour = 'blue'").expect("written");
        let error = Contexts::load(&path).expect_err("not ours");
        assert!(error.to_string().contains("config.toml"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), "colour = 'blue'");
    }

    #[test]
    fn removing_the_current_context_falls_back_only_when_that_is_clear() {
        let mut contexts = Contexts::default();
        for name in ["a", "b", "c"] {
            contexts.put(name, context("https://a:7601"));
        }
        assert!(contexts.remove("c").is_some());
        assert_eq!(contexts.current, None, "two are left: the user chooses");
        contexts.current = Some("b".to_owned());
        assert!(contexts.remove("b").is_some());
        assert_eq!(contexts.current.as_deref(), Some("a"));
        assert!(contexts.remove("nope").is_none());
    }

    #[test]
    fn a_linked_file_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real.toml");
        let link = folder.path().join("link.toml");
        Contexts::default().save(&real).expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let mut contexts = Contexts::default();
        contexts.put("home", context("https://a:7601"));
        contexts.save(&link).expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").file_type().is_symlink());
        assert_eq!(Contexts::load(&real).expect("through the link"), contexts);
    }
}
