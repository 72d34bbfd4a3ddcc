//! The controller's data folder: who uses it, which layout it has, and who this controller is.
//!
//! ```text
//! VERSION          layout of the folder          raft.redb    the Raft log
//! lock             held while a process runs     snapshots/   the newest Raft snapshot
//! member.json      identity, key, certificates, cluster key (mode 0600)
//! bootstrap.bin    first entry of a new cluster, until it is committed
//! ```

use omni_common::ids::{ClusterId, ControllerId, RequestId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LAYOUT: &str = "omni-controller 1";
const PREFIX: &str = "omni-controller ";
const VERSION: &str = "VERSION";
const LOCK: &str = "lock";
const MEMBER: &str = "member.json";
const BOOTSTRAP: &str = "bootstrap.bin";
const JOINING: &str = "joining.json";
/// Where an operator's settings lie; may be there before anything else.
pub const SETTINGS: &str = "controller.toml";

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is no controller in it.
    #[error("{} holds no controller; make a cluster with `omni-controller init`, or join one with `omni-controller join`", .0.display())]
    Empty(PathBuf),
    /// There is one already.
    #[error("{} already holds controller {name} of cluster {cluster}; nothing was changed. Use another --data-dir, or delete this one if that controller is gone for good", dir.display())]
    Taken {
        /// The folder.
        dir: PathBuf,
        /// Its controller.
        name: String,
        /// Its cluster.
        cluster: ClusterId,
    },
    /// Something else lies there.
    #[error("{} is not empty (it holds `{example}`) and was not made by omni-controller; choose an empty folder", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// Something in it.
        example: String,
    },
    /// It was written by a newer version.
    #[error("{} was written by a newer omni-controller (`{found}`, this one writes `{LAYOUT}`); install that version or a later one", dir.display())]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// What its VERSION says.
        found: String,
    },
    /// Another process uses it.
    #[error("{} is in use by another omni-controller process; stop that one first", .0.display())]
    InUse(PathBuf),
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, this process runs as user {user}; run as that user, or change the owner", dir.display())]
    Owner {
        /// The folder.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
        /// This process's user.
        user: u32,
    },
    /// A file in it cannot be read.
    #[error("{} is damaged ({reason}); restore it from a copy, or remove this controller from the cluster and join again under a new id", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Who this controller is. Holds secrets: lies in a file of mode 0600 and is never logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Member {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its number.
    pub id: ControllerId,
    /// Its name.
    pub name: String,
    /// Private key, PKCS#8 DER, hex.
    #[serde(with = "hex::serde")]
    pub key: Vec<u8>,
    /// Certificates, leaf first, DER, hex.
    pub chain: Vec<HexBytes>,
    /// The cluster key, hex.
    #[serde(with = "hex::serde")]
    pub cluster_key: Vec<u8>,
    /// Addresses it listens on and is reached at.
    pub addresses: Addresses,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
}

/// Bytes as hex in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HexBytes(#[serde(with = "hex::serde")] pub Vec<u8>);

/// Where a controller listens and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// QUIC listens here.
    pub quic: SocketAddr,
    /// The API listens here.
    pub api: SocketAddr,
    /// `host:port` that agents and controllers dial.
    pub advertise_quic: String,
    /// `host:port` that people dial.
    pub advertise_api: String,
}

impl Member {
    /// The certificates as bytes.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|der| der.0.clone()).collect()
    }
}

/// A join that was begun: asking again with the same key and request id joins once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Joining {
    /// The request's id.
    pub request: RequestId,
    /// Private key, PKCS#8 DER, hex.
    #[serde(with = "hex::serde")]
    pub key: Vec<u8>,
}

/// An opened data folder; the lock is held as long as this lives.
pub struct DataDir {
    dir: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the folder of an existing controller.
    pub fn open(dir: &Path) -> Result<(Self, Member), DataDirError> {
        if !dir.join(VERSION).exists() {
            return Err(DataDirError::Empty(dir.to_owned()));
        }
        let opened = Self::lock(dir)?;
        let member = opened.read(MEMBER)?.ok_or_else(|| DataDirError::Empty(dir.to_owned()))?;
        Ok((opened, member))
    }

    /// Makes a folder for a new controller, or goes on with one whose making was interrupted.
    pub fn create(dir: &Path) -> Result<Self, DataDirError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
        if !dir.join(VERSION).exists() {
            check_empty(dir)?;
        }
        let opened = Self::lock(dir)?;
        replace(&dir.join(VERSION), format!("{LAYOUT}\n").as_bytes())?;
        match opened.read::<Member>(MEMBER)? {
            Some(member) => {
                Err(DataDirError::Taken { dir: dir.to_owned(), name: member.name, cluster: member.cluster })
            }
            None => Ok(opened),
        }
    }

    fn lock(dir: &Path) -> Result<Self, DataDirError> {
        check_owner(dir)?;
        check_version(dir)?;
        let path = dir.join(LOCK);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes who this controller is.
    pub fn save_member(&self, member: &Member) -> Result<(), DataDirError> {
        self.write(MEMBER, member)
    }

    /// The join that was begun here.
    pub fn joining(&self) -> Result<Option<Joining>, DataDirError> {
        self.read(JOINING)
    }

    /// Notes a join that begins.
    pub fn save_joining(&self, joining: &Joining) -> Result<(), DataDirError> {
        self.write(JOINING, joining)
    }

    /// The join is over.
    pub fn forget_joining(&self) -> Result<(), DataDirError> {
        remove(&self.dir.join(JOINING))
    }

    /// Keeps the first entry of a new cluster until it is committed.
    pub fn save_bootstrap(&self, entry: &[u8]) -> Result<(), DataDirError> {
        replace(&self.dir.join(BOOTSTRAP), entry)
    }

    /// The first entry, while it may not be committed yet.
    pub fn bootstrap(&self) -> Result<Option<Vec<u8>>, DataDirError> {
        let path = self.dir.join(BOOTSTRAP);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error("read", &path)(source)),
        }
    }

    /// The first entry is committed.
    pub fn forget_bootstrap(&self) -> Result<(), DataDirError> {
        remove(&self.dir.join(BOOTSTRAP))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DataDirError> {
        let path = self.dir.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("read", &path)(source)),
        };
        let parsed = serde_json::from_slice(&bytes);
        // The parser's own message may quote the text, which holds secrets: only the place is told.
        parsed
            .map(Some)
            .map_err(|e| DataDirError::Torn { path, reason: format!("unreadable at line {}", e.line()) })
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), DataDirError> {
        let json = serde_json::to_vec_pretty(value).expect("plain structs serialise");
        replace(&self.dir.join(name), &json)
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError + use<> {
    let path = path.to_owned();
    move |source| DataDirError::Io { action, path, source }
}

fn check_owner(dir: &Path) -> Result<(), DataDirError> {
    let owner = fs::metadata(dir).map_err(io_error("open", dir))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    Err(DataDirError::Owner { dir: dir.to_owned(), owner, user })
}

fn check_version(dir: &Path) -> Result<(), DataDirError> {
    let path = dir.join(VERSION);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_error("read", &path)(source)),
    };
    match text.trim() {
        LAYOUT => Ok(()),
        found if found.starts_with(PREFIX) => {
            Err(DataDirError::Newer { dir: dir.to_owned(), found: found.to_owned() })
        }
        _ => Err(DataDirError::Torn { path, reason: "it names no layout of omni-controller".to_owned() }),
    }
}

fn check_empty(dir: &Path) -> Result<(), DataDirError> {
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name().to_string_lossy().into_owned();
        if name != SETTINGS && name != LOCK {
            return Err(DataDirError::Foreign { dir: dir.to_owned(), example: name });
        }
    }
    Ok(())
}

/// Replaces a file whole: written beside, synced, renamed over.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io_error("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, path).map_err(io_error("replace", path))?;
    let dir = path.parent().expect("a file in the data folder has a parent");
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

fn remove(path: &Path) -> Result<(), DataDirError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(result: Result<impl Sized, DataDirError>) -> String {
        result.err().expect("should be refused").to_string()
    }

    #[test]
    fn a_folder_that_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("photos.tar"), b"mine").expect("writes");
        assert!(error(DataDir::create(dir.path())).contains("photos.tar"));
        assert!(!dir.path().join(VERSION).exists());
        assert!(error(DataDir::open(dir.path())).contains("holds no controller"));
    }

    #[test]
    fn a_newer_layout_and_a_torn_file_are_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        drop(DataDir::create(dir.path()).expect("an empty folder"));
        fs::write(dir.path().join(MEMBER), b"{\"cluster\": \"sec").expect("writes");
        let torn = error(DataDir::open(dir.path()));
        assert!(torn.contains("damaged") && !torn.contains("sec"), "{torn}");
        fs::write(dir.path().join(VERSION), "omni-controller 9\n").expect("writes");
        assert!(error(DataDir::open(dir.path())).contains("newer"));
    }

    #[test]
    fn two_processes_never_share_a_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let _first = DataDir::create(dir.path()).expect("an empty folder");
        assert!(error(DataDir::create(dir.path())).contains("in use"));
    }
}
