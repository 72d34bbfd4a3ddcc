//! Names and labels that people give.

use std::collections::BTreeMap;

/// Longest name of a host, controller, environment or token.
pub const MAX_NAME: usize = 63;
/// Most labels on one thing.
pub const MAX_LABELS: usize = 64;
/// Longest label key or value.
pub const MAX_LABEL_TEXT: usize = 256;

/// A name or label that cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty, too long, or uses other characters.
    #[error(
        "`{0}` cannot be a name: use 1 to 63 of a-z, A-Z, 0-9, `-`, `_` and `.`, beginning and ending with a letter or digit"
    )]
    Name(String),
    /// A label key or value is too long or empty, or holds control characters.
    #[error(
        "label `{0}` cannot be used: keys are 1 to 256 printable characters without `=` or spaces, values at most 256"
    )]
    Label(String),
    /// There are too many labels.
    #[error("{0} labels are more than the {MAX_LABELS} that one thing can have")]
    TooManyLabels(usize),
}

/// Checks a name of a host, controller, environment or token.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fine = name.len() <= MAX_NAME
        && outer(name.chars().next())
        && outer(name.chars().last())
        && name.chars().all(inner);
    if fine { Ok(()) } else { Err(InvalidName::Name(name.chars().take(MAX_NAME + 1).collect())) }
}

/// Checks a set of labels.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), InvalidName> {
    if labels.len() > MAX_LABELS {
        return Err(InvalidName::TooManyLabels(labels.len()));
    }
    for (key, value) in labels {
        let key_fine = !key.is_empty()
            && key.len() <= MAX_LABEL_TEXT
            && key.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '=');
        let value_fine = value.len() <= MAX_LABEL_TEXT && value.chars().all(|c| !c.is_control());
        if !key_fine || !value_fine {
            return Err(InvalidName::Label(key.chars().take(MAX_NAME).collect()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_dns_and_people_can_read() {
        for good in ["a", "web-1", "db.eu_2", "GPU0"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "ü", "a/b", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
