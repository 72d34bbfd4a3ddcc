//! How an image is built.

use super::{Ulimit, unset};
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
