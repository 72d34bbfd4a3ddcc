//! Secrets: sealed under the cluster key before they come here.

use omni_common::clock::Time;
use omni_common::domain::SecretName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Secrets that may exist at once.
pub const MAX_SECRETS: usize = 10_000;
/// Versions kept of one; the oldest go first.
pub const MAX_SECRET_VERSIONS: usize = 10;
/// All versions of all secrets together, bytes as kept.
pub const MAX_SECRETS_SIZE: u64 = 64 << 20;

/// A secret and its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// When its first version was put.
    pub created: Time,
    /// Number that the next version gets. Never reused while the secret exists.
    pub next_version: u64,
    /// The versions that are kept, by number; never empty.
    pub versions: BTreeMap<u64, SecretVersion>,
    /// Log index of the last change.
    pub revision: u64,
}

/// One value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretVersion {
    /// When it was put.
    pub at: Time,
    /// Who put it.
    pub by: String,
    /// Bytes of the value.
    pub size: u32,
    /// The value, sealed for the secret's name.
    pub sealed: Vec<u8>,
}

impl Secret {
    /// The newest version.
    pub fn newest(&self) -> Option<(u64, &SecretVersion)> {
        self.versions.last_key_value().map(|(number, version)| (*number, version))
    }
}

/// What a secret is sealed for, so that one cannot stand in for another.
pub fn secret_context(name: &SecretName) -> Vec<u8> {
    format!("omni secret {name}").into_bytes()
}
