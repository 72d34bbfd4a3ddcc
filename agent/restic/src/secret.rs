//! Words that must not be seen, and the means to take them out of what restic says.

use std::fmt;
use zeroize::Zeroizing;

/// What stands in the place of a secret.
const MASK: &str = "***";
/// Secrets shorter than this are not searched for: masking each `a` of a message would hide the message and
/// give the secret away by its gaps.
const SHORTEST_MASKED: usize = 4;

/// A password or key. Not printed by `Debug`, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Only for handing it to the child.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(masked)")
    }
}

/// Takes the secrets of one operation out of text. restic masks the passwords it knows of, but not what it
/// quotes from a server or from `ssh`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks(Vec<Secret>);

impl Masks {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<_> =
            secrets.into_iter().filter(|secret| secret.reveal().len() >= SHORTEST_MASKED).collect();
        // A secret that contains another is looked for first, or its rest would stay.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self(secrets)
    }

    /// The text without the secrets.
    pub(crate) fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.reveal()) { text.replace(secret.reveal(), MASK) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("open sesame");
        assert_eq!(format!("{secret:?}"), "Secret(masked)");
        assert_eq!(secret.reveal(), "open sesame");
    }

    #[test]
    fn secrets_are_taken_out_of_text_longest_first() {
        let masks = Masks::new(["sesame", "open sesame", "ab", ""].map(Secret::new));
        for (text, masked) in [
            ("he said open sesame twice: sesame", "he said *** twice: ***"),
            ("no secret, abc", "no secret, abc"),
            ("", ""),
        ] {
            assert_eq!(masks.apply(text), masked);
        }
    }
}
