//! The state of a cluster as a file outside of it.
//!
//! ```text
//! omni-controllers 1\n
//! {"cluster":…,"index":…,"taken":…,"version":…,"key":…,"size":…}\n      in clear, so that people see what they have
//! the snapshot (state/snapshot.rs), sealed under the cluster key for these two lines
//! ```
//!
//! Sealed as a whole, not only its secrets: it passes a host and lies in repositories, and neither may read the names,
//! hashes and addresses in it, nor put a state of their own making in its place.

use crate::state::{State, snapshot};
use omni_certs::{ClusterKey, KeyText};
use omni_common::clock::Time;
use omni_common::ids::ClusterId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FIRST_LINE: &str = "omni-controllers 1";
const FIRST_WORD: &str = "omni-controllers ";
/// Longest second line looked at, bytes.
const MAX_HEADER: usize = 4 << 10;
/// Bytes of the key's digest that are written down: enough to tell keys apart.
const KEY_DIGEST: usize = 8;

/// What is in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Whose state it is.
    pub(crate) cluster: ClusterId,
    /// As of which entry of the log.
    pub(crate) index: u64,
    /// When it was written.
    pub(crate) taken: Time,
    /// By which version of omni.
    pub(crate) version: String,
    /// Digest of the key that opens it.
    key: String,
    /// Bytes after the second line.
    size: u64,
}

/// The file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// There is no cluster yet.
    #[error("no cluster is known here yet")]
    NotReady,
    /// It does not begin like one.
    #[error(
        "this is not the state of an omni cluster; take the file `{}` out of a snapshot that is tagged `omni-item=state`",
        omni_common::domain::backup::CONTROLLERS_FILE
    )]
    Foreign,
    /// It is of a later format.
    #[error(
        "the file has the format `{0}`, and this omni-controller reads `{FIRST_LINE}`: use the version that wrote it, or a newer one"
    )]
    Newer(String),
    /// Its second line is no header.
    #[error(
        "the file is damaged: its second line cannot be read; take it out of the repository again, or take an older snapshot"
    )]
    Header,
    /// Bytes are missing, or there are too many.
    #[error(
        "the file is torn: {found} of {size} bytes are there; take it out of the repository again, as a whole"
    )]
    Torn {
        /// What is there.
        found: u64,
        /// What should be.
        size: u64,
    },
    /// The key is of another cluster.
    #[error(
        "the key is of cluster {key}, and the file is of cluster {file}: take the key of that cluster out of escrow"
    )]
    OtherCluster {
        /// The key's.
        key: ClusterId,
        /// The file's.
        file: ClusterId,
    },
    /// The key is of this cluster, and not the one.
    #[error("the key is not the one that the file was sealed under")]
    OtherKey,
    /// It does not open though the key is right.
    #[error(
        "the file is damaged: the right key does not open it; take it out of the repository again, or take an older snapshot"
    )]
    Damaged,
    /// Sealing failed.
    #[error("the state cannot be sealed")]
    Seal(#[source] omni_certs::Error),
    /// What is in it is no state.
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
}

/// Writes the state.
pub(crate) fn write(state: &State, key: &ClusterKey, taken: Time) -> Result<Vec<u8>, FileError> {
    let cluster = state.cluster.as_ref().ok_or(FileError::NotReady)?.id;
    let body = snapshot::encode(state)?;
    // A copy that does not read is noticed now and not on the day it is needed.
    snapshot::decode(&body)?;
    let size = (body.len() + SEAL).try_into().unwrap_or(u64::MAX);
    let header = Header {
        cluster,
        index: state.index,
        taken,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        key: digest(cluster, key),
        size,
    };
    let json = serde_json::to_string(&header).expect("plain structs serialise");
    let mut bytes = format!("{FIRST_LINE}\n{json}\n").into_bytes();
    let sealed = key.seal(&bytes, &body).map_err(FileError::Seal)?;
    debug_assert_eq!(sealed.len() as u64, size);
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// What sealing adds, bytes: format, nonce, tag.
const SEAL: usize = 1 + 12 + 16;

/// Reads a file without opening it.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, FileError> {
    Ok(split(bytes)?.0)
}

/// Opens a file.
pub(crate) fn read(bytes: &[u8], key: &KeyText) -> Result<(Header, State), FileError> {
    let (header, lines, sealed) = split(bytes)?;
    if key.cluster != header.cluster {
        return Err(FileError::OtherCluster { key: key.cluster, file: header.cluster });
    }
    if digest(key.cluster, &key.key) != header.key {
        return Err(FileError::OtherKey);
    }
    let body = key.key.open(lines, sealed).map_err(|_| FileError::Damaged)?;
    let state = snapshot::decode(&body)?;
    Ok((header, state))
}

/// The header, the bytes of both lines, and what comes after.
fn split(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), FileError> {
    let line = |bytes: &[u8], most: usize| bytes.iter().take(most).position(|byte| *byte == b'\n');
    let end = line(bytes, 128).ok_or(FileError::Foreign)?;
    let first = std::str::from_utf8(&bytes[..end]).map_err(|_| FileError::Foreign)?;
    if !first.starts_with(FIRST_WORD) {
        return Err(FileError::Foreign);
    }
    if first != FIRST_LINE {
        return Err(FileError::Newer(first.to_owned()));
    }
    let rest = &bytes[end + 1..];
    let length = line(rest, MAX_HEADER).ok_or(FileError::Header)?;
    let header: Header = serde_json::from_slice(&rest[..length]).map_err(|_| FileError::Header)?;
    let (lines, sealed) = bytes.split_at(end + 1 + length + 1);
    let found = sealed.len() as u64;
    if found != header.size {
        return Err(FileError::Torn { found, size: header.size });
    }
    Ok((header, lines, sealed))
}

/// What tells keys apart. It says nothing about them: they are 256 random bits.
fn digest(cluster: ClusterId, key: &ClusterKey) -> String {
    let digest = Sha256::new()
        .chain_update(b"omni cluster key")
        .chain_update(cluster.0.as_bytes())
        .chain_update(key.as_bytes())
        .finalize();
    hex::encode(&digest[..KEY_DIGEST])
}
