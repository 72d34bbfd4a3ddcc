//! One file of the data folder: a header line that proves the body whole, then JSON.
//!
//! ```text
//! omni identity 1 812 9bd3a1c4      what, format, bytes of the body, CRC-32 of the body
//! {"cluster":"…
//! ```

use super::LedgerError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Format of the files, for the day it changes.
const FORMAT: u32 = 1;
/// No file of the ledger is anywhere near this; a larger one is not ours.
const MAX_BYTES: u64 = 4 << 20;

/// Reads `name`; absent when there is no such file.
pub(super) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, LedgerError> {
    let path = dir.join(name);
    let bytes = match read_private(&path) {
        Ok(bytes) => bytes,
        Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match open(&bytes, name) {
        Ok(value) => Ok(Some(value)),
        Err(reason) => Err(LedgerError::Torn { path, reason }),
    }
}

/// Replaces `name` as a whole.
pub(super) fn write<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<(), LedgerError> {
    let path = dir.join(name);
    let body = serde_json::to_vec(value).map_err(|error| LedgerError::Io {
        action: "encode",
        path: path.clone(),
        source: error.into(),
    })?;
    let mut bytes = format!("{}\n", header(name, &body)).into_bytes();
    bytes.extend_from_slice(&body);
    replace(&path, &bytes)
}

/// Removes `name`; fine when it is not there.
pub(super) fn remove(dir: &Path, name: &str) -> Result<(), LedgerError> {
    let path = dir.join(name);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LedgerError::Io { action: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// Writes beside `path`, syncs, and renames over it, so that a crash leaves the old file or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    let failed = |action| {
        let path = path.to_owned();
        move |source| LedgerError::Io { action, path, source }
    };
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed("create a new version of"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fs::rename(&beside, path).map_err(failed("replace"))?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed("sync the folder of"))
}

fn header(name: &str, body: &[u8]) -> String {
    format!("omni {name} {FORMAT} {} {:08x}", body.len(), crc32fast::hash(body))
}

/// Checks the header against the body and decodes it; the error says what is wrong.
fn open<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T, String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("it has no header line")?;
    let (found, body) = (&bytes[..end], &bytes[end + 1..]);
    if found != header(name, body).as_bytes() {
        return Err("its header does not fit its content".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Reads a file that nobody else may read.
fn read_private(path: &Path) -> Result<Vec<u8>, LedgerError> {
    read_private_up_to(path, MAX_BYTES)
}

/// The same for a file of another greatest size.
pub(super) fn read_private_up_to(path: &Path, max_bytes: u64) -> Result<Vec<u8>, LedgerError> {
    let failed = |source| LedgerError::Io { action: "read", path: path.to_owned(), source };
    let meta = fs::metadata(path).map_err(failed)?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(LedgerError::Exposed { path: path.to_owned(), mode });
    }
    if meta.len() > max_bytes {
        return Err(LedgerError::Torn {
            path: path.to_owned(),
            reason: format!("it has {} bytes", meta.len()),
        });
    }
    fs::read(path).map_err(failed)
}

/// Bytes as base64 text.
pub(super) mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::ledger) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A list of byte strings as base64 texts.
pub(super) mod base64_list {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::ledger) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| STANDARD.encode(bytes)))
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .into_iter()
            .map(|text| STANDARD.decode(text).map_err(de::Error::custom))
            .collect()
    }
}
