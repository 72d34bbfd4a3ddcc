//! Names of components.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;

/// DNS labels end here, and a component is reachable as `omni-<name>`.
const LONGEST: usize = 63 - "omni-".len();

/// The name of a component: lower-case words joined by hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComponentName(String);

/// Not a name of a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a component name: lower-case letters, digits and single hyphens, a letter first, {LONGEST} characters at most"
)]
pub struct InvalidName(String);

impl ComponentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ComponentName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let letter_first = text.starts_with(|c: char| c.is_ascii_lowercase());
        if letter_first && text.len() <= LONGEST && text.split('-').all(word) {
            Ok(Self(text))
        } else {
            Err(InvalidName(text))
        }
    }
}

impl From<ComponentName> for String {
    fn from(name: ComponentName) -> Self {
        name.0
    }
}

impl Borrow<str> for ComponentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["n8n", "postgres-exporter", "a", "plane-beat-worker"] {
            assert!(ComponentName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", "-a", "a-", "a--b", "8n", "Gitea", "a_b", "a b", "ä", &long] {
            assert!(ComponentName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
