//! The state as bytes: Raft snapshots, and backups of the controllers themselves.
//!
//! ```text
//! "OMNISNAP" | version u32 | crc32 of the rest u32 | zstd( codec(body of that version) )
//! ```
//!
//! A reader knows every version that a release ever wrote; `testdata` holds one of each.

mod v1;
mod v2;
mod v3;

use super::model::State;
use omni_common::codec;
use std::io::Write;

const MAGIC: &[u8; 8] = b"OMNISNAP";
/// The version this build writes.
pub const VERSION: u32 = 4;
const HEADER: usize = 16;
/// Level 1: the encoder must keep up with the disk, and the state is repetitive text.
const ZSTD_LEVEL: i32 = 1;

/// A snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not begin like one.
    #[error("this is not an omni snapshot")]
    NotASnapshot,
    /// It is from a newer omni.
    #[error(
        "the snapshot has version {0}, this build reads up to {VERSION}; use the omni that wrote it, or a newer one"
    )]
    Newer(u32),
    /// Bytes are missing or changed.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// Its content is not a state.
    #[error("the snapshot does not decode: {0}")]
    Codec(#[from] codec::CodecError),
    /// Compressing failed.
    #[error("cannot compress the snapshot: {0}")]
    Compress(std::io::Error),
}

/// Writes a state.
pub fn encode(state: &State) -> Result<Vec<u8>, SnapshotError> {
    let mut encoder =
        zstd::stream::write::Encoder::new(vec![0; HEADER], ZSTD_LEVEL).map_err(SnapshotError::Compress)?;
    codec::encode_into(state, &mut encoder)?;
    let mut bytes = encoder.finish().map_err(SnapshotError::Compress)?;
    let crc = crc32fast::hash(&bytes[HEADER..]);
    let mut header = &mut bytes[..HEADER];
    header
        .write_all(MAGIC)
        .and_then(|()| header.write_all(&VERSION.to_le_bytes()))
        .and_then(|()| header.write_all(&crc.to_le_bytes()))
        .expect("the header has room for its parts");
    Ok(bytes)
}

/// Reads a state of any version that was ever written.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(SnapshotError::NotASnapshot)?;
    if &header[..8] != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let version = word(8);
    if version > VERSION {
        return Err(SnapshotError::Newer(version));
    }
    if crc32fast::hash(body) != word(12) {
        return Err(SnapshotError::Damaged("its checksum differs"));
    }
    let reader =
        zstd::stream::read::Decoder::new(body).map_err(|_| SnapshotError::Damaged("it does not unpack"))?;
    Ok(match version {
        1 => codec::decode_from::<v1::State, _, { codec::MAX_SNAPSHOT }>(reader)?.into(),
        2 => codec::decode_from::<v2::State, _, { codec::MAX_SNAPSHOT }>(reader)?.into(),
        3 => codec::decode_from::<v3::State, _, { codec::MAX_SNAPSHOT }>(reader)?.into(),
        _ => codec::decode_from::<State, _, { codec::MAX_SNAPSHOT }>(reader)?,
    })
}
