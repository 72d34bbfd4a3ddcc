//! What an image is built from: a folder of this machine as a tar file, less what its `.dockerignore` names.

use globset::{GlobBuilder, GlobMatcher};
use omni_common::domain::app::ContentDigest;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The file that says what is left out.
const IGNORE_FILE: &str = ".dockerignore";
/// What the Dockerfile is called in the tar file when it lies elsewhere, or in the compose file.
pub(super) const OWN_DOCKERFILE: &str = ".omni.Dockerfile";
/// Bytes of a file read at once.
const PIECE: usize = 256 << 10;
/// Deepest folder.
const MAX_DEPTH: usize = 128;

/// A folder that cannot be a build's context.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// It, or something in it, cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A pattern makes no sense.
    #[error("{}: line {line}: `{pattern}` is no pattern", .file.display())]
    Pattern {
        /// The file that it stands in.
        file: PathBuf,
        /// Its line, from one.
        line: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// Folders in folders without end.
    #[error("{} is more than {MAX_DEPTH} folders deep", .0.display())]
    Deep(PathBuf),
    /// It is no folder.
    #[error("an image is to be built from {}, which is no folder", .0.display())]
    NoFolder(PathBuf),
    /// The Dockerfile is not there.
    #[error("the Dockerfile {} is not there", .0.display())]
    NoDockerfile(PathBuf),
}

/// Files of a folder, by their path in it.
#[derive(Debug)]
pub(crate) struct Context {
    entries: BTreeMap<PathBuf, Entry>,
    /// What the Dockerfile says.
    dockerfile: Option<Vec<u8>>,
    /// It is no file of the folder.
    beside: bool,
}

#[derive(Debug)]
struct Entry {
    from: PathBuf,
    mode: u32,
    changed: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Folder,
    File,
    Link(PathBuf),
}

impl Context {
    /// Looks through a folder. `kept` is its Dockerfile, which is sent also when a pattern names it.
    pub(crate) fn of(folder: &Path, kept: Option<&Path>) -> Result<Self, ContextError> {
        if !folder.is_dir() {
            return Err(ContextError::NoFolder(folder.to_owned()));
        }
        let ignore = Ignore::of(folder)?;
        let mut context = Self { entries: BTreeMap::new(), dockerfile: None, beside: false };
        context.walk(folder, Path::new(""), 0, &ignore)?;
        for own in [Some(Path::new(IGNORE_FILE)), kept].into_iter().flatten() {
            let from = folder.join(own);
            // Folders above it come by themselves when it is unpacked.
            if let Ok(metadata) = from.symlink_metadata() {
                context.add(own, from, &metadata)?;
            }
        }
        if let Some(kept) = kept {
            let path = folder.join(kept);
            if !context.entries.contains_key(kept) {
                return Err(ContextError::NoDockerfile(path));
            }
            context.dockerfile = Some(fs::read(&path).map_err(|error| ContextError::Read(path, error))?);
        }
        Ok(context)
    }

    /// Adds a Dockerfile that is no file of the folder, as [`OWN_DOCKERFILE`].
    pub(crate) fn with_dockerfile(mut self, content: Vec<u8>) -> Self {
        self.dockerfile = Some(content);
        self.beside = true;
        self
    }

    /// What its Dockerfile says, where that is known.
    pub(crate) fn dockerfile(&self) -> Option<&[u8]> {
        self.dockerfile.as_deref()
    }

    /// How many files and links it has.
    pub(crate) fn files(&self) -> usize {
        let files = self.entries.values().filter(|entry| !matches!(entry.what, What::Folder));
        files.count() + usize::from(self.beside)
    }

    /// A digest of all that an image built from it depends on, `how` it is built included. When files were changed last is
    /// no part of it: it differs from checkout to checkout.
    pub(crate) fn digest(&self, how: &[u8]) -> Result<ContentDigest, ContextError> {
        let mut sum = Sha256::new();
        let mut part = |kind: u8, bytes: &[u8]| {
            sum.update([kind]);
            sum.update((bytes.len() as u64).to_be_bytes());
            sum.update(bytes);
        };
        part(b'h', how);
        part(b'd', self.dockerfile.as_deref().unwrap_or_default());
        for (path, entry) in &self.entries {
            part(b'p', path.as_os_str().as_bytes());
            part(b'm', &entry.mode.to_be_bytes());
            match &entry.what {
                What::Folder => part(b'f', b""),
                What::Link(target) => part(b'l', target.as_os_str().as_bytes()),
                What::File => {
                    let own = sum_of(&entry.from);
                    let own = own.map_err(|error| ContextError::Read(entry.from.clone(), error))?;
                    part(b'c', &own);
                }
            }
        }
        let digest = ContentDigest::try_from(hex::encode(sum.finalize()));
        Ok(digest.unwrap_or_else(|_| ContentDigest::of(b"")))
    }

    /// Writes it as a tar file. Everything belongs to root in it, as with `docker build`.
    pub(crate) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        for (path, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_mtime(entry.changed);
            header.set_size(0);
            match &entry.what {
                What::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, path, io::empty())?;
                }
                What::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, path, target)?;
                }
                What::File => {
                    let file = File::open(&entry.from)?;
                    // One that grows meanwhile must not spill into the next one.
                    let size = file.metadata()?.len();
                    header.set_size(size);
                    tar.append_data(&mut header, path, Exactly { file: file.take(size), left: size })?;
                }
            }
        }
        if let Some(content) = self.dockerfile.as_ref().filter(|_| self.beside) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, OWN_DOCKERFILE, &content[..])?;
        }
        tar.into_inner()?.flush()
    }

    fn walk(
        &mut self,
        folder: &Path,
        below: &Path,
        depth: usize,
        ignore: &Ignore,
    ) -> Result<(), ContextError> {
        let here = folder.join(below);
        if depth > MAX_DEPTH {
            return Err(ContextError::Deep(here));
        }
        let unreadable = |error| ContextError::Read(here.clone(), error);
        for entry in fs::read_dir(&here).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = below.join(entry.file_name());
            let metadata = entry.metadata().map_err(|error| ContextError::Read(entry.path(), error))?;
            let left_out = ignore.names(&path);
            if metadata.is_dir() {
                if !left_out {
                    self.add(&path, entry.path(), &metadata)?;
                }
                // Something in it may be taken back in.
                if !left_out || ignore.has_exceptions {
                    self.walk(folder, &path, depth + 1, ignore)?;
                }
            } else if !left_out {
                self.add(&path, entry.path(), &metadata)?;
            }
        }
        Ok(())
    }

    /// Sockets, pipes and devices are nothing to build from.
    fn add(&mut self, path: &Path, from: PathBuf, metadata: &fs::Metadata) -> Result<(), ContextError> {
        let what = if metadata.is_dir() {
            What::Folder
        } else if metadata.is_symlink() {
            What::Link(fs::read_link(&from).map_err(|error| ContextError::Read(from.clone(), error))?)
        } else if metadata.is_file() {
            What::File
        } else {
            return Ok(());
        };
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let entry = Entry {
            from,
            mode: metadata.permissions().mode() & 0o7777,
            changed: changed.map_or(0, |since| since.as_secs()),
            what,
        };
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }
}

fn sum_of(path: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut sum) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.finalize().into()),
            count => sum.update(&piece[..count]),
        }
    }
}

/// So many bytes of a file, or an error when it became shorter.
struct Exactly {
    file: io::Take<File>,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.left -= count as u64;
        match count {
            0 if self.left > 0 && !buffer.is_empty() => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter while it was sent"))
            }
            _ => Ok(count),
        }
    }
}

/// Patterns of what is left out. As with Docker the last one that names a path, or a folder above it, decides.
struct Ignore {
    rules: Vec<(GlobMatcher, bool)>,
    has_exceptions: bool,
}

impl Ignore {
    fn of(folder: &Path) -> Result<Self, ContextError> {
        let file = folder.join(IGNORE_FILE);
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ContextError::Read(file, error)),
        };
        let mut rules = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, exception) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line, false),
            };
            let pattern = plain(pattern);
            if pattern.is_empty() {
                continue;
            }
            // Braces mean nothing in these patterns.
            let escaped = pattern.replace('{', "\\{").replace('}', "\\}");
            let glob = GlobBuilder::new(&escaped).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|source| ContextError::Pattern {
                file: file.clone(),
                line: number + 1,
                pattern: line.to_owned(),
                source,
            })?;
            rules.push((glob.compile_matcher(), exception));
        }
        let has_exceptions = rules.iter().any(|(_, exception)| *exception);
        Ok(Self { rules, has_exceptions })
    }

    fn names(&self, path: &Path) -> bool {
        let mut left_out = false;
        for (glob, exception) in &self.rules {
            let above = path.ancestors().filter(|path| !path.as_os_str().is_empty());
            // Looked at only when it would change something.
            if *exception == left_out && above.into_iter().any(|path| glob.is_match(path)) {
                left_out = !exception;
            }
        }
        left_out
    }
}

/// A pattern as a path: without `.`, `..`, and slashes that say nothing.
fn plain(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        folder
    }

    fn names(context: &Context) -> Vec<String> {
        let files = context.entries.iter().filter(|(_, entry)| !matches!(entry.what, What::Folder));
        files.map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn what_is_ignored_stays_at_home() {
        let ignore =
            "# build output\ntarget\n*.log\n/docs/*.md\n!docs/keep.md\n**/secret\n!a/secret/not\n{x}\n";
        let folder = folder(&[
            (".dockerignore", ignore),
            ("Dockerfile", "FROM scratch"),
            ("target/out", ""),
            ("a/target/kept", ""),
            ("top.log", ""),
            ("a/deep.log", ""),
            ("docs/gone.md", ""),
            ("docs/keep.md", ""),
            ("secret", ""),
            ("a/secret/gone", ""),
            ("a/secret/not", ""),
            ("x", ""),
            ("{x}", ""),
        ]);
        let context = Context::of(folder.path(), Some(Path::new("Dockerfile"))).expect("readable");
        let expected = [
            ".dockerignore",
            "Dockerfile",
            "a/deep.log",
            "a/secret/not",
            "a/target/kept",
            "docs/keep.md",
            "x",
        ];
        assert_eq!(names(&context), expected);
        fs::write(folder.path().join(".dockerignore"), "*\n").expect("a file");
        let context = Context::of(folder.path(), Some(Path::new("Dockerfile"))).expect("readable");
        assert_eq!(names(&context), [".dockerignore", "Dockerfile"], "a builder has to have both");
        fs::write(folder.path().join(".dockerignore"), "ok\n[\n").expect("a file");
        let error = Context::of(folder.path(), None).expect_err("no pattern").to_string();
        assert!(error.ends_with(".dockerignore: line 2: `[` is no pattern"), "{error}");
    }

    #[test]
    fn the_digest_follows_the_content() {
        let one = folder(&[("Dockerfile", "FROM a"), ("src/main", "1")]);
        let of = |folder: &Path, how: &[u8]| {
            Context::of(folder, None).expect("readable").digest(how).expect("read")
        };
        let first = of(one.path(), b"how");
        let same = folder(&[("src/main", "1"), ("Dockerfile", "FROM a")]);
        assert_eq!(of(same.path(), b"how"), first);
        assert_ne!(of(same.path(), b"otherwise"), first);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(same.path().join("src/main"), mode).expect("a mode");
        assert_ne!(of(same.path(), b"how"), first, "what may be run is another image");
        fs::write(one.path().join("src/main"), "2").expect("a file");
        assert_ne!(of(one.path(), b"how"), first);
    }

    #[test]
    fn a_context_is_a_tar_file() {
        let folder = folder(&[("web/index.html", "hello")]);
        symlink("index.html", folder.path().join("web/start")).expect("a link");
        let context =
            Context::of(folder.path(), None).expect("readable").with_dockerfile(b"FROM web".to_vec());
        assert_eq!(context.files(), 3);
        let mut bytes = Vec::new();
        context.write(&mut bytes).expect("memory takes it");
        let mut found = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().expect("a tar file") {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("text");
            let link = entry.link_name().expect("a name").map(|link| link.display().to_string());
            found.push((entry.path().expect("a path").display().to_string(), content, link));
        }
        let entry = |path: &str, content: &str, link: Option<&str>| {
            (path.to_owned(), content.to_owned(), link.map(str::to_owned))
        };
        assert_eq!(
            found,
            [
                entry("web", "", None),
                entry("web/index.html", "hello", None),
                entry("web/start", "", Some("index.html")),
                entry(OWN_DOCKERFILE, "FROM web", None),
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_said() {
        let folder = folder(&[]);
        let missing = Context::of(folder.path(), Some(Path::new("Dockerfile"))).expect_err("no Dockerfile");
        assert!(missing.to_string().ends_with("Dockerfile is not there"), "{missing}");
        let nowhere = Context::of(&folder.path().join("web"), None).expect_err("no folder");
        assert!(nowhere.to_string().ends_with("web, which is no folder"), "{nowhere}");
    }
}
