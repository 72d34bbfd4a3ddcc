//! Content that travels with a release, named by digest.

use super::ContentDigest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most bytes of packed content in one release; above it, content belongs in an image or a volume.
pub const MAX_PACKED_BYTES: usize = 1024 * 1024;

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct FileRef {
    /// Digest of its bytes.
    pub digest: ContentDigest,
    /// Size, bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Where a config comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// It travels with the release.
    Packed(PackedFile),
    /// It exists on its own in the platform, under this name.
    External(String),
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// It was given with the release; its bytes are kept sealed.
    Packed(PackedFile),
    /// It is one of the platform's secrets, under this name.
    External(String),
}

/// Content with the place it was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackedFile {
    /// The content.
    pub content: FileRef,
    /// Where it was taken from.
    pub origin: FileOrigin,
    /// Labels, as written.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Where packed content was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileOrigin {
    /// A file, by its path relative to the project folder.
    File(String),
    /// A variable of the caller's environment.
    Environment(String),
    /// The compose file itself.
    Inline,
    /// One of the platform's secrets, by its full name, as it was when the release was made.
    Secret(String),
}
