//! Names of secrets, e.g. `backup/home/password`.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Longest name, bytes.
const MAX_NAME: usize = 200;
/// Most parts of a name.
const MAX_PARTS: usize = 10;
/// Largest value, bytes.
pub const MAX_SECRET: usize = 64 << 10;

/// Name of a secret: parts of letters, digits, `.`, `_` and `-`, parted by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, examples("backup/home/password"))]
pub struct SecretName(String);

/// A text that names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret's name is a path of at most {MAX_PARTS} parts and {MAX_NAME} bytes, each part of letters, digits, `.`, `_` or `-` and beginning with a letter or digit"
)]
pub struct InvalidSecretName;

impl SecretName {
    /// Checks a text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSecretName> {
        let text = text.into();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let part =
            |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(good);
        match text.len() <= MAX_NAME && text.split('/').count() <= MAX_PARTS && text.split('/').all(part) {
            true => Ok(Self(text)),
            false => Err(InvalidSecretName),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretName {
    type Error = InvalidSecretName;

    fn try_from(text: String) -> Result<Self, InvalidSecretName> {
        Self::new(text)
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_paths() {
        for good in ["a", "backup/home/password", "A.b-c_d/0"] {
            assert_eq!(SecretName::new(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "/a", "a/", "a//b", "a b", "../a", "a/-b", &"x".repeat(201), &"a/".repeat(11)] {
            assert_eq!(SecretName::new(bad), Err(InvalidSecretName), "{bad}");
        }
    }
}
