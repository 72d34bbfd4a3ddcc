//! Packs what a project refers to: small files, and small folders that nothing writes to.
//!
//! Paths in the pack begin with the name of the root folder, so that a project can be named for its folder and
//! files beside it can be referred to. Nothing outside of the root is ever read, symbolic links included.

use super::mention::{Kind, mentioned};
use crate::units::bytes as size_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{NeededFile, PackedFile, Project};
use omni_common::domain::app::MAX_PACKED_BYTES;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Most files of a folder that is packed; one with more is data.
const MAX_FOLDER_FILES: usize = 256;
/// Most bytes of a folder that is packed: a quarter of the whole, so that one folder does not shut out the rest.
const MAX_FOLDER_BYTES: u64 = MAX_PACKED_BYTES as u64 / 4;
/// Deepest folder below a folder that is packed.
const MAX_DEPTH: usize = 16;
/// Files named when all together are too large.
const NAMED: usize = 3;

/// A project that cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// Something is referred to that lies outside of the root.
    #[error(
        "{} is outside of {}, and nothing is packed from there; `--root FOLDER` names a folder that holds both",
        .path.display(), .root.display()
    )]
    Outside {
        /// What.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// A symbolic link leads outside of the root.
    #[error("{} is a symbolic link out of {}; put the file itself there", .path.display(), .root.display())]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// What has to be there is not.
    #[error("the compose files refer to {}, which is not there", .0.display())]
    Missing(PathBuf),
    /// A folder or a device where a file has to be.
    #[error("the compose files refer to {} as a file, and it is none", .0.display())]
    NoFile(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Its name cannot be sent.
    #[error("the name of {} is not valid UTF-8", .0.display())]
    Name(PathBuf),
    /// All together is too much.
    #[error(
        "the project's files come to more than {}; the largest: {}. Put large files into an image or a volume, or mount a path of the host",
        size_text(MAX_PACKED_BYTES as u64), .largest.join(", ")
    )]
    TooLarge {
        /// The largest, each with its size.
        largest: Vec<String>,
    },
}

/// A project in the making.
#[derive(Debug)]
pub(crate) struct Packer {
    root: PathBuf,
    prefix: String,
    project: Project,
    sizes: BTreeMap<String, u64>,
    texts: Vec<(Kind, String)>,
    /// What was asked for and answered, with what it is for.
    settled: BTreeSet<(String, String)>,
    remarks: Vec<String>,
}

impl Packer {
    /// Packs the compose files and the `.env` of the first one's folder. `root` is that folder when absent.
    pub(crate) fn new(files: &[PathBuf], root: Option<&Path>) -> Result<Self, PackError> {
        let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("."));
        let folder = real(folder)?;
        let root = root.map_or_else(|| Ok(folder.clone()), real)?;
        let name = root.file_name().unwrap_or_default();
        let prefix = name.to_str().ok_or_else(|| PackError::Name(root.clone()))?.to_owned();
        let mut packer = Self {
            root,
            prefix,
            project: Project::default(),
            sizes: BTreeMap::new(),
            texts: Vec::new(),
            settled: BTreeSet::new(),
            remarks: Vec::new(),
        };
        for file in files {
            // The folder is resolved and the file is not: it keeps the name it is known by.
            let parent = real(file.parent().unwrap_or(Path::new(".")))?;
            let path = parent.join(file.file_name().unwrap_or_default());
            let name = packer.name(&path)?;
            packer.text(Kind::Compose, &name, &path)?;
            packer.project.compose.push(name);
        }
        let env = folder.join(".env");
        if env.is_file() {
            let name = packer.name(&env)?;
            packer.text(Kind::Variables, &name, &env)?;
        }
        Ok(packer)
    }

    /// The project as it is now, with those variables of the shell that its files mention.
    pub(crate) fn project(&self, shell: impl Fn(&str) -> Option<String>) -> Project {
        let mut project = self.project.clone();
        let texts = self.texts.iter().map(|(kind, text)| (*kind, text.as_str()));
        let known = mentioned(texts).into_iter().filter_map(|name| Some((name.clone(), shell(&name)?)));
        project.variables.extend(known);
        project
    }

    /// The folder that nothing is packed from outside of, and the first part of all packed paths.
    pub(crate) fn root(&self) -> (&Path, &str) {
        (&self.root, &self.prefix)
    }

    /// What a person should know about what was not packed, as far as it was not told yet.
    pub(crate) fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Packs what is needed, or names it as left out. Whether there was anything new.
    pub(crate) fn take(&mut self, needed: &[NeededFile]) -> Result<bool, PackError> {
        let mut any = false;
        for file in needed {
            // What a controller asks for again it has been told all about.
            if self.settled.insert((file.path.clone(), file.kind.clone())) {
                self.take_one(file)?;
                any = true;
            }
        }
        Ok(any)
    }

    fn take_one(&mut self, file: &NeededFile) -> Result<(), PackError> {
        let path = self.local(&file.path)?;
        let Some(metadata) = self.look(&path)? else {
            // Where nothing is, Docker makes a folder to mount.
            return match file.optional || file.kind == "mount" {
                true => self.leave_out(&file.path),
                false => Err(PackError::Missing(path)),
            };
        };
        match file.kind.as_str() {
            "compose_file" => self.text(Kind::Compose, &file.path, &path),
            "variables" => self.text(Kind::Variables, &file.path, &path),
            "mount" if metadata.is_dir() => self.folder(&file.path, &path, file.writable),
            // A socket or device is the host's own.
            "mount" if !metadata.is_file() => self.leave_out(&file.path),
            _ => self.file(&file.path, &path).map(|_| ()),
        }
    }

    fn leave_out(&mut self, name: &str) -> Result<(), PackError> {
        self.project.left_out.push(name.to_owned());
        Ok(())
    }

    /// Packs a folder when it is small and only read; otherwise it stays where it is.
    fn folder(&mut self, name: &str, path: &Path, writable: bool) -> Result<(), PackError> {
        if writable {
            return self.leave_out(name);
        }
        let mut files = BTreeMap::new();
        if let Err(why) = self.list(name, path, 0, &mut files)? {
            self.remarks.push(format!(
                "{} is not packed: {why}. Where the app runs, a folder of that name is made, and it is empty",
                path.display()
            ));
            return self.leave_out(name);
        }
        if files.is_empty() {
            return self.leave_out(name);
        }
        files.iter().try_for_each(|(name, (path, _))| self.file(name, path).map(|_| ()))
    }

    /// All files below a folder with their sizes, or why it is not one to pack.
    fn list(
        &self,
        name: &str,
        path: &Path,
        depth: usize,
        files: &mut BTreeMap<String, (PathBuf, u64)>,
    ) -> Result<Result<(), String>, PackError> {
        if depth > MAX_DEPTH {
            return Ok(Err(format!("folders in it are more than {MAX_DEPTH} deep")));
        }
        let unreadable = |error| PackError::Read(path.to_owned(), error);
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let own = path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| PackError::Name(path.clone()))?;
            let name = format!("{name}/{own}");
            let Some(metadata) = self.look(&path)? else { return Err(PackError::Missing(path)) };
            if metadata.is_dir() {
                if let Err(why) = self.list(&name, &path, depth + 1, files)? {
                    return Ok(Err(why));
                }
            } else if metadata.is_file() {
                files.insert(name, (path, metadata.len()));
            } else {
                return Ok(Err(format!("{own} in it is no file")));
            }
            let size: u64 = files.values().map(|(_, size)| size).sum();
            if files.len() > MAX_FOLDER_FILES {
                return Ok(Err(format!("it has more than {MAX_FOLDER_FILES} files")));
            }
            if size > MAX_FOLDER_BYTES {
                return Ok(Err(format!("it holds more than {}", size_text(MAX_FOLDER_BYTES))));
            }
        }
        Ok(Ok(()))
    }

    fn text(&mut self, kind: Kind, name: &str, path: &Path) -> Result<(), PackError> {
        let bytes = self.file(name, path)?;
        self.texts.push((kind, String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    fn file(&mut self, name: &str, path: &Path) -> Result<Vec<u8>, PackError> {
        let metadata = self.look(path)?.ok_or_else(|| PackError::Missing(path.to_owned()))?;
        if !metadata.is_file() {
            return Err(PackError::NoFile(path.to_owned()));
        }
        self.sizes.insert(name.to_owned(), metadata.len());
        self.check_size()?;
        let bytes = fs::read(path).map_err(|error| PackError::Read(path.to_owned(), error))?;
        // It may have grown since it was looked at.
        self.sizes.insert(name.to_owned(), bytes.len() as u64);
        self.check_size()?;
        let packed =
            PackedFile { content: STANDARD.encode(&bytes), mode: metadata.permissions().mode() & 0o777 };
        self.project.files.insert(name.to_owned(), packed);
        Ok(bytes)
    }

    fn check_size(&self) -> Result<(), PackError> {
        if self.sizes.values().sum::<u64>() <= MAX_PACKED_BYTES as u64 {
            return Ok(());
        }
        let mut sizes: Vec<(&String, &u64)> = self.sizes.iter().collect();
        sizes.sort_by_key(|(name, size)| (std::cmp::Reverse(**size), *name));
        let largest = sizes.iter().take(NAMED).map(|(name, size)| format!("{name} ({})", size_text(**size)));
        Err(PackError::TooLarge { largest: largest.collect() })
    }

    /// The content of a file that lies somewhere inside the root, and is not packed.
    pub(super) fn beside(&self, path: &Path) -> Result<Vec<u8>, PackError> {
        let metadata = self.look(path)?.ok_or_else(|| PackError::Missing(path.to_owned()))?;
        if !metadata.is_file() {
            return Err(PackError::NoFile(path.to_owned()));
        }
        fs::read(path).map_err(|error| PackError::Read(path.to_owned(), error))
    }

    /// What is at a path inside the root; absent when nothing is.
    fn look(&self, path: &Path) -> Result<Option<Metadata>, PackError> {
        let read = |error| PackError::Read(path.to_owned(), error);
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        if !real.starts_with(&self.root) {
            return Err(PackError::LinkOut { path: path.to_owned(), root: self.root.clone() });
        }
        real.metadata().map(Some).map_err(read)
    }

    /// What a path of this machine is called in the pack.
    fn name(&self, path: &Path) -> Result<String, PackError> {
        let outside = || PackError::Outside { path: path.to_owned(), root: self.root.clone() };
        let below = path.strip_prefix(&self.root).map_err(|_| outside())?;
        let below = below.to_str().ok_or_else(|| PackError::Name(path.to_owned()))?;
        Ok(if self.prefix.is_empty() { below.to_owned() } else { format!("{}/{below}", self.prefix) })
    }

    /// Where something in the pack is on this machine.
    pub(super) fn local(&self, name: &str) -> Result<PathBuf, PackError> {
        let path = Path::new(name);
        let above = self.root.parent().unwrap_or(&self.root);
        let outside = || PackError::Outside { path: above.join(name), root: self.root.clone() };
        let below = path.strip_prefix(&self.prefix).map_err(|_| outside())?;
        if below.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        Ok(self.root.join(below))
    }
}

fn real(path: &Path) -> Result<PathBuf, PackError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.canonicalize().map_err(|error| PackError::Read(path.to_owned(), error))
}

#[cfg(test)]
mod tests;
