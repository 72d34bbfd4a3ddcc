//! Images on hosts, and what their names mean.

use super::app::ContentDigest;
use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest name of an image: a registry, a path, a tag and a digest.
pub const MAX_IMAGE_NAME: usize = 512;
/// The tag that is meant where none is written.
const DEFAULT_TAG: &str = "latest";
/// The registry that is meant where none is written, under the names it goes by.
const DEFAULT_REGISTRIES: [&str; 2] = ["docker.io/", "index.docker.io/"];
/// The folder of that registry that is meant where none is written.
const DEFAULT_FOLDER: &str = "library/";

/// An image that a host has under at least one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HostImage {
    /// What its engine calls it: the digest of its configuration, in engines that keep layers with a storage driver.
    pub id: ContentDigest,
    /// Names with their tags, as the engine shows them.
    pub tags: Vec<String>,
    /// What all its layers take unpacked, bytes.
    pub size_bytes: u64,
    /// When it was built, by whoever built it.
    pub created: Option<Time>,
}

/// A name that an image cannot be looked up by on other hosts, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// The digest is that of what a registry sent, which an engine does not keep beside the image.
    #[error("it is named by a digest, which only its registry can vouch for")]
    Pinned,
    /// It is no name of an image at all.
    #[error("it is no name of an image")]
    Invalid,
}

/// The form in which engines show an image's name: without what goes without saying, and always with a tag.
///
/// # Errors
/// When the name holds a digest, or cannot be a name.
pub fn familiar_name(reference: &str) -> Result<String, UnknownName> {
    if reference.contains('@') {
        return Err(UnknownName::Pinned);
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':');
    let starts = reference.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !starts || reference.len() > MAX_IMAGE_NAME || !reference.chars().all(fine) {
        return Err(UnknownName::Invalid);
    }
    let in_default = DEFAULT_REGISTRIES.iter().find_map(|registry| reference.strip_prefix(registry));
    let short = in_default.unwrap_or(reference);
    // `library/redis` without a registry in front is the same image; a registry of that name would have a dot or port.
    let short = short.strip_prefix(DEFAULT_FOLDER).filter(|rest| !rest.contains('/')).unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    match last.split_once(':') {
        Some((name, tag)) if name.is_empty() || tag.is_empty() || tag.contains(':') => {
            Err(UnknownName::Invalid)
        }
        Some(_) => Ok(short.to_owned()),
        None if last.is_empty() => Err(UnknownName::Invalid),
        None => Ok(format!("{short}:{DEFAULT_TAG}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_goes_without_saying() {
        for (written, shown) in [
            ("redis", "redis:latest"),
            ("redis:7", "redis:7"),
            ("docker.io/library/redis:7", "redis:7"),
            ("index.docker.io/library/redis", "redis:latest"),
            ("library/redis", "redis:latest"),
            ("docker.io/team/app:1", "team/app:1"),
            ("registry:5000/app", "registry:5000/app:latest"),
            ("registry.example/library/app:1.2-x", "registry.example/library/app:1.2-x"),
        ] {
            assert_eq!(familiar_name(written).as_deref(), Ok(shown), "{written}");
            assert_eq!(familiar_name(shown).as_deref(), Ok(shown), "{shown} stays as it is");
        }
    }

    #[test]
    fn what_cannot_be_looked_up_says_why() {
        assert_eq!(familiar_name("redis@sha256:12"), Err(UnknownName::Pinned));
        assert_eq!(familiar_name("redis:7@sha256:12"), Err(UnknownName::Pinned));
        for bad in
            ["", "/redis", "redis:", ":7", "a:1:2", "a b", "ü", "team/", &"a".repeat(MAX_IMAGE_NAME + 1)]
        {
            assert_eq!(familiar_name(bad), Err(UnknownName::Invalid), "{bad}");
        }
    }
}
