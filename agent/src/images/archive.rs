//! An image as an engine saves it: a tar file with the layers, the configuration, and a manifest that says which is which.
//!
//! Read in one pass, in the order in which it comes, never unpacked. The manifest comes last, so a file does not say what
//! it is; its bytes do: the digest of an unpacked layer is what the configuration calls it by. Every large file therefore
//! goes to a nameless file beside, while its digest is counted, and is handed on at once. Small files stay in memory until
//! the manifest names the layers among them. That holds for both layouts in use: a folder per layer (engines before 25)
//! and `blobs/sha256/` (since).
//!
//! Nothing of it is believed: paths are only ever looked up in memory, sizes and counts are bounded, and the layers that
//! came must be the ones that the configuration names.

use bytes::Bytes;
use omni_common::domain::app::ContentDigest;
use omni_common::wire::{MAX_IMAGE_CONFIG, MAX_LAYERS};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path};

/// The file that says what the others are.
const MANIFEST: &str = "manifest.json";
/// Files up to this size stay in memory until the end …
const SMALL: u64 = MAX_IMAGE_CONFIG as u64;
/// … all of them together up to this many bytes, and this many of them. Each layer has two or three small files.
const MAX_SMALL_BYTES: u64 = 16 << 20;
const MAX_ENTRIES: usize = 8 * MAX_LAYERS;
/// Read and written at once.
const PIECE: usize = 128 << 10;

/// A saved image that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It ended in the middle, or is no tar file.
    #[error("the saved image cannot be read: {0}")]
    Unreadable(io::Error),
    /// A layer could not be put aside, or handed on.
    #[error("a layer cannot be kept: {0}")]
    Store(io::Error),
    /// Something in it is larger or more than any image has.
    #[error("the saved image has more than {limit} {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// Its parts do not fit together.
    #[error("the saved image does not fit together: {0}")]
    Inconsistent(String),
}

/// A layer, unpacked, with the digest that was counted from these bytes.
pub struct Layer<'a> {
    /// Its digest.
    pub digest: ContentDigest,
    /// Its size, bytes.
    pub size: u64,
    /// Its bytes, from the beginning.
    pub content: &'a mut dyn ReadSeek,
}

/// Bytes that can be read from anywhere.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// What is left when all layers have been handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The configuration's bytes.
    pub config: Bytes,
    /// The layers it names, lowest first.
    pub layers: Vec<ContentDigest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Reads a saved image. `aside` makes room for a layer of so many bytes; `deliver` gets each layer once, and may get large
/// files that are none.
///
/// # Errors
/// When it is not the whole of one image, or `aside` or `deliver` fails.
pub fn read(
    input: impl Read,
    mut aside: impl FnMut(u64) -> io::Result<File>,
    mut deliver: impl FnMut(Layer<'_>) -> io::Result<()>,
) -> Result<Saved, ArchiveError> {
    let mut archive = tar::Archive::new(input);
    let mut small: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut small_bytes = 0;
    let mut delivered = BTreeSet::new();
    for (number, entry) in archive.entries().map_err(ArchiveError::Unreadable)?.enumerate() {
        let mut entry = entry.map_err(ArchiveError::Unreadable)?;
        if number >= MAX_ENTRIES {
            return Err(ArchiveError::TooMuch { what: "files", limit: MAX_ENTRIES as u64 });
        }
        // The same layer twice is a link to the first; folders say nothing.
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let size = entry.size();
        let path = plain(&entry.path().map_err(ArchiveError::Unreadable)?);
        if size <= SMALL {
            small_bytes += size;
            if small_bytes > MAX_SMALL_BYTES {
                return Err(ArchiveError::TooMuch { what: "bytes in small files", limit: MAX_SMALL_BYTES });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(ArchiveError::Unreadable)?;
            if let Some(path) = path {
                small.insert(path, bytes.into());
            }
            continue;
        }
        let mut file = aside(size).map_err(ArchiveError::Store)?;
        let digest = put_aside(&mut entry, size, &mut file)?;
        if delivered.insert(digest.clone()) {
            deliver(Layer { digest, size, content: &mut file }).map_err(ArchiveError::Store)?;
        }
    }
    let (saved, small_layers) = settle(&small)?;
    for bytes in small_layers {
        let digest = ContentDigest::of(&bytes);
        if delivered.insert(digest.clone()) {
            let (size, mut content) = (bytes.len() as u64, Cursor::new(bytes));
            deliver(Layer { digest, size, content: &mut content }).map_err(ArchiveError::Store)?;
        }
    }
    match saved.layers.iter().find(|layer| !delivered.contains(*layer)) {
        None => Ok(saved),
        Some(missing) => Err(ArchiveError::Inconsistent(format!(
            "its configuration names the layer {missing}, and none of its files has that digest (compressed layers are not taken)"
        ))),
    }
}

/// What the manifest says: the configuration, and the layers among the small files.
fn settle(small: &BTreeMap<String, Bytes>) -> Result<(Saved, Vec<Bytes>), ArchiveError> {
    let wrong = |what: String| ArchiveError::Inconsistent(what);
    let manifest = small.get(MANIFEST).ok_or_else(|| wrong(format!("it has no {MANIFEST}")))?;
    let manifests: Vec<Manifest> = serde_json::from_slice(manifest)
        .map_err(|error| wrong(format!("its {MANIFEST} cannot be read: {error}")))?;
    let [manifest] = &manifests[..] else {
        return Err(wrong(format!("it has {} images, and one is taken", manifests.len())));
    };
    let config = small
        .get(&manifest.config)
        .ok_or_else(|| wrong("its configuration is not in it, or too large".to_owned()))?;
    let layers = layers_of(config).map_err(wrong)?;
    let small_layers = manifest.layers.iter().filter_map(|path| small.get(path).cloned()).collect();
    Ok((Saved { config: config.clone(), layers }, small_layers))
}

/// The layers that a configuration names, lowest first; an error is the end of a sentence.
pub fn layers_of(config: &[u8]) -> Result<Vec<ContentDigest>, String> {
    let config: Config = serde_json::from_slice(config)
        .map_err(|error| format!("its configuration cannot be read: {error}"))?;
    let names = config.rootfs.diff_ids;
    if names.len() > MAX_LAYERS {
        return Err(format!("it has {} layers, and at most {MAX_LAYERS} are taken", names.len()));
    }
    names
        .iter()
        .map(|name| digest_of(name).ok_or_else(|| format!("`{name}` is no digest of a layer")))
        .collect()
}

/// The digest in `sha256:…`.
pub fn digest_of(name: &str) -> Option<ContentDigest> {
    name.strip_prefix("sha256:").and_then(|hex| ContentDigest::try_from(hex.to_owned()).ok())
}

/// A path as the manifest writes it; absent when it leads anywhere but downwards.
fn plain(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

/// Copies a file, and counts its digest on the way.
fn put_aside(entry: &mut impl Read, size: u64, file: &mut File) -> Result<ContentDigest, ArchiveError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut left = size;
    while left > 0 {
        let count = entry.read(&mut buffer).map_err(ArchiveError::Unreadable)?;
        if count == 0 {
            return Err(ArchiveError::Unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(ArchiveError::Store)?;
        left = left.saturating_sub(count as u64);
    }
    file.seek(SeekFrom::Start(0)).map_err(ArchiveError::Store)?;
    Ok(finish(hash))
}

/// A counted digest.
pub fn finish(hash: Sha256) -> ContentDigest {
    ContentDigest::try_from(hex::encode(hash.finalize())).expect("SHA-256 has 64 hex digits")
}
