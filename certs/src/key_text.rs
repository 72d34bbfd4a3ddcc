//! The cluster key as people keep it: a line of text that says which cluster it is of.

use crate::seal::ClusterKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use omni_common::ids::ClusterId;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;
use zeroize::Zeroizing;

const PREFIX: &str = "omni-key1.";
const ID_LEN: usize = 16;
const CHECKSUM_LEN: usize = 4;
/// Longest text looked at; a key is 80 characters.
const MAX_TEXT: usize = 512;

/// The key of a cluster, as text `omni-key1.…`: base64url of `cluster (16) | key (32) | checksum (4)`.
///
/// There is no `Display`: whoever writes it down calls [`KeyText::reveal`].
#[derive(Clone)]
pub struct KeyText {
    /// Whose key it is.
    pub cluster: ClusterId,
    /// The key.
    pub key: ClusterKey,
}

/// A text that is no cluster key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It begins like something else.
    #[error("this is not the key of an omni cluster: one begins with `omni-key1.`")]
    Prefix,
    /// Characters are missing, added or changed.
    #[error("the key is damaged: copy it again as a whole")]
    Damaged,
}

impl KeyText {
    /// The text. Whoever has it can read all secrets of the cluster and be any member of it.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut body = Zeroizing::new(Vec::with_capacity(ID_LEN + self.key.as_bytes().len() + CHECKSUM_LEN));
        body.extend_from_slice(self.cluster.0.as_bytes());
        body.extend_from_slice(self.key.as_bytes());
        let sum = checksum(&body);
        body.extend_from_slice(&sum);
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*body)))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}(masked)", self.cluster)
    }
}

impl FromStr for KeyText {
    type Err = InvalidKey;

    /// Blanks around the text are ignored.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidKey::Prefix)?;
        if encoded.len() > MAX_TEXT {
            return Err(InvalidKey::Damaged);
        }
        let body = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidKey::Damaged)?);
        read(&body).ok_or(InvalidKey::Damaged)
    }
}

fn read(body: &[u8]) -> Option<KeyText> {
    let (content, sum) = body.split_last_chunk::<CHECKSUM_LEN>()?;
    if checksum(content) != *sum {
        return None;
    }
    let (cluster, key) = content.split_first_chunk::<ID_LEN>()?;
    let cluster = ClusterId(Uuid::from_bytes(*cluster));
    Some(KeyText { cluster, key: ClusterKey::from_bytes(key).ok()? })
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let digest = Sha256::new().chain_update(PREFIX).chain_update(content).finalize();
    *digest.first_chunk().expect("a digest is longer than its checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyText {
        KeyText {
            cluster: ClusterId(Uuid::from_u128(7)),
            key: ClusterKey::generate().expect("random source works"),
        }
    }

    #[test]
    fn a_key_survives_its_text_and_is_masked_elsewhere() {
        let key = key();
        let text = key.reveal();
        let again: KeyText = format!(" {}\n", *text).parse().expect("its own text");
        assert_eq!((again.cluster, again.key.as_bytes()), (key.cluster, key.key.as_bytes()));
        let shown = format!("{key:?}");
        assert!(shown.contains("masked") && !text.contains(&shown), "{shown}");
    }

    #[test]
    fn a_cut_or_changed_key_is_damaged() {
        let text = key().reveal();
        for end in PREFIX.len()..text.len() {
            assert_eq!(text[..end].parse::<KeyText>().err(), Some(InvalidKey::Damaged), "cut to {end}");
        }
        for position in PREFIX.len()..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(changed.parse::<KeyText>().err(), Some(InvalidKey::Damaged), "changed at {position}");
        }
        assert_eq!("omni-api1.AAAA".parse::<KeyText>().err(), Some(InvalidKey::Prefix));
    }
}
