//! Names inside an app, and the digest that names content.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Longest name of a service, group, volume, network, config or secret: a service's name is also its DNS name.
pub const MAX_APP_NAME: usize = 63;

/// A text that cannot name a part of an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be a name here: use 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`")]
pub struct InvalidAppName(pub String);

/// Checks a name of a service, group, volume, network, config or secret, as the Compose Specification has it.
pub fn check_app_name(name: &str) -> Result<(), InvalidAppName> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= MAX_APP_NAME && name.chars().all(fine) {
        Ok(())
    } else {
        Err(InvalidAppName(name.chars().take(MAX_APP_NAME + 1).collect()))
    }
}

macro_rules! app_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// The name, when it can be one.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidAppName> {
                let name = name.into();
                check_app_name(&name)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidAppName;
            fn try_from(name: String) -> Result<Self, InvalidAppName> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

app_name! {
    /// Name of a service, and its name in DNS for the services beside it.
    ServiceName
}
app_name! {
    /// Name of a group: what is placed as one.
    GroupName
}

impl GroupName {
    /// The group of every service that says nothing else.
    pub const MAIN: &'static str = "main";

    /// That group.
    pub fn main() -> Self {
        Self(Self::MAIN.to_owned())
    }
}

/// SHA-256 of some bytes, as 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct ContentDigest(String);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: it has 64 digits of 0-9 and a-f")]
pub struct InvalidDigest(pub String);

impl ContentDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContentDigest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(digit) {
            Ok(Self(text))
        } else {
            Err(InvalidDigest(text.chars().take(65).collect()))
        }
    }
}

impl From<ContentDigest> for String {
    fn from(digest: ContentDigest) -> Self {
        digest.0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_also_when_they_come_as_json() {
        assert!(ServiceName::new("web_1.blue-2").is_ok());
        for bad in ["", "a b", "a/b", "ü", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<GroupName>("\"a b\"").is_err());
    }

    #[test]
    fn a_digest_is_sha256_in_hex() {
        let empty = ContentDigest::of(b"");
        assert_eq!(empty.as_str(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(ContentDigest::try_from("E3".repeat(32)).is_err());
    }
}
