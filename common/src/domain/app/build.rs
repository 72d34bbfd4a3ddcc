//! How an image is built.

use super::{ContentDigest, Ulimit, unset};
use crate::domain::{Registry, RegistryLogin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Build {
    /// What is built from.
    #[serde(skip_serializing_if = "unset")]
    pub context: BuildContext,
    /// The Dockerfile, relative to the context; absent for `Dockerfile`.
    #[serde(skip_serializing_if = "unset")]
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    #[serde(skip_serializing_if = "unset")]
    pub dockerfile_inline: Option<String>,
    /// Stage to build; absent for the last.
    #[serde(skip_serializing_if = "unset")]
    pub target: Option<String>,
    /// Arguments; one without a value is left to the Dockerfile.
    #[serde(skip_serializing_if = "unset")]
    pub args: BTreeMap<String, Option<String>>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "unset")]
    pub labels: BTreeMap<String, String>,
    /// Further names of the image.
    #[serde(skip_serializing_if = "unset")]
    pub tags: Vec<String>,
    /// Platforms it is built for.
    #[serde(skip_serializing_if = "unset")]
    pub platforms: Vec<String>,
    /// Images whose layers may be used again.
    #[serde(skip_serializing_if = "unset")]
    pub cache_from: Vec<String>,
    /// Use no layer again.
    #[serde(skip_serializing_if = "unset")]
    pub no_cache: bool,
    /// Pull newer base images.
    #[serde(skip_serializing_if = "unset")]
    pub pull: bool,
    /// Network of its steps.
    #[serde(skip_serializing_if = "unset")]
    pub network: Option<String>,
    /// Lines of `/etc/hosts` in its steps, `name:address`.
    #[serde(skip_serializing_if = "unset")]
    pub extra_hosts: Vec<String>,
    /// Size of `/dev/shm` in its steps, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub shm_size_bytes: Option<u64>,
    /// Resource limits of its steps.
    #[serde(skip_serializing_if = "unset")]
    pub ulimits: BTreeMap<String, Ulimit>,
}

/// What an image is built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildContext {
    /// A folder, by its path relative to the project folder; empty for the project folder itself.
    Folder(String),
    /// A Git repository or an archive, by address.
    Remote(String),
}

impl Default for BuildContext {
    fn default() -> Self {
        Self::Folder(String::new())
    }
}

/// What a host is asked to build. What it is built from follows as a tar file, unless its context is remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildOrder {
    /// The name that the image gets, one that [`BuiltName`] makes.
    pub name: String,
    /// How it is built.
    pub build: Build,
    /// The platform it is for; absent for the host's own.
    pub platform: Option<String>,
    /// How to sign in where its base images come from.
    pub logins: BTreeMap<Registry, RegistryLogin>,
}

/// Most registries that the base images of one build come from.
pub const MAX_BUILD_REGISTRIES: usize = 32;
/// What stands for a registry in the names of images that omni built: `.local` is for no name that DNS resolves (RFC
/// 6762), so that nobody asks a registry for one.
const BUILT_REGISTRY: &str = "omni.local";
/// Digits of the digest that a tag keeps.
const TAG_DIGITS: usize = 16;
/// Longest part of a name that comes from the name of an app or a service; the digest keeps apart what was cut.
const MAX_PART: usize = 63;

/// Names of images that are built for a service: all of one repository, each tagged with a digest of what it was built
/// from, so that the same source has the same name and is built once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltName(String);

impl BuiltName {
    /// The repository for a service of an app.
    pub fn new(environment: &str, app: &str, service: &str) -> Self {
        Self(format!("{BUILT_REGISTRY}/{}/{}/{}", part(environment), part(app), part(service)))
    }

    /// The name without a tag.
    pub fn repository(&self) -> &str {
        &self.0
    }

    /// The name of the image that is built from this.
    pub fn of(&self, source: &ContentDigest) -> String {
        let digest = source.to_string();
        format!("{}:{}", self.0, &digest[..TAG_DIGITS.min(digest.len())])
    }

    /// Whether a name is one of these.
    pub fn made(&self, name: &str) -> bool {
        let tag = name.strip_prefix(&self.0).and_then(|rest| rest.strip_prefix(':'));
        tag.is_some_and(|tag| tag.len() == TAG_DIGITS && tag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// A name as a part of an image's: engines want lower case, and a letter or digit at both ends.
fn part(name: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut out = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if fits(c) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(MAX_PART);
    let out = out.trim_end_matches('-');
    if out.is_empty() { "x".to_owned() } else { out.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_for_what_they_are_built_from() {
        let names = BuiltName::new("default", "Shop_2", "web__API-");
        assert_eq!(names.repository(), "omni.local/default/shop-2/web-api");
        let (one, other) = (names.of(&ContentDigest::of(b"1")), names.of(&ContentDigest::of(b"2")));
        assert!(names.made(&one) && names.made(&other) && one != other);
        assert_eq!(one.len(), names.repository().len() + 1 + TAG_DIGITS);
        for foreign in
            ["web:1", "omni.local/default/shop-2/web-api", "omni.local/default/shop-2/web-api:latest"]
        {
            assert!(!names.made(foreign), "{foreign}");
        }
        assert!(!BuiltName::new("default", "shop", "db").made(&one));
        assert_eq!(BuiltName::new("default", "a", "__").repository(), "omni.local/default/a/x");
    }
}
