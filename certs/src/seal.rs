//! The cluster key: seals the CA key and all secrets inside the replicated state.

use crate::error::{Error, Result};
use crate::random::random;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// First byte of everything sealed, so that a later format can be told apart.
const FORMAT: u8 = 1;
const KEY_LEN: usize = 32;

/// A symmetric key that every controller of a cluster holds.
///
/// Sealing is AES-256-GCM under a random 96-bit nonce, which is safe for far more values (2^32) than a
/// replicated state ever holds. The layout is `format (1) | nonce (12) | ciphertext | tag (16)`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ClusterKey([u8; KEY_LEN]);

impl ClusterKey {
    /// A fresh key.
    pub fn generate() -> Result<Self> {
        random().map(Self)
    }

    /// From 32 stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| Error::KeyLength(bytes.len()))
    }

    /// Its bytes, for the key file and for a controller that joins.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Encrypts `plain`. `aad` says what it is for and must be given again to open it, so that one sealed
    /// value cannot be put in the place of another.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .cipher()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut sealed[1 + NONCE_LEN..],
            )
            .map_err(|_| Error::Seal(plain.len()))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Decrypts what [`ClusterKey::seal`] made under the same key and `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (&FORMAT, rest) = sealed.split_first().ok_or(Error::Unseal)? else {
            return Err(Error::Unseal);
        };
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::Unseal)?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = self
            .cipher()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer)
            .map_err(|_| Error::Unseal)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("the key has the cipher's length"))
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(masked)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClusterKey {
        ClusterKey::generate().expect("random source works")
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        let key = key();
        for plain in [&b""[..], b"x", &[7; 5000]] {
            let sealed = key.seal(b"ca-key", plain).expect("small");
            let again = ClusterKey::from_bytes(key.as_bytes()).expect("own bytes");
            assert_eq!(again.open(b"ca-key", &sealed).expect("same key and purpose").as_slice(), plain);
        }
    }

    #[test]
    fn equal_values_look_different() {
        let key = key();
        assert_ne!(key.seal(b"a", b"secret").expect("small"), key.seal(b"a", b"secret").expect("small"));
    }

    #[test]
    fn damage_other_keys_and_other_purposes_are_refused() {
        let key = key();
        let sealed = key.seal(b"ca-key", b"secret").expect("small");
        assert!(super::ClusterKey::generate().expect("random").open(b"ca-key", &sealed).is_err());
        assert!(key.open(b"other", &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(key.open(b"ca-key", &sealed[..length]).is_err(), "cut to {length}");
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(b"ca-key", &changed).is_err(), "changed at {position}");
        }
    }

    #[test]
    fn keys_have_one_length_and_are_never_printed() {
        assert!(matches!(ClusterKey::from_bytes(&[0; 31]), Err(Error::KeyLength(31))));
        assert_eq!(format!("{:?}", key()), "ClusterKey(masked)");
    }
}
