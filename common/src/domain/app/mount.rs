//! What is mounted into a container.

use super::{FileRef, unset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// Absolute path in the container.
    pub target: String,
    /// Where it comes from.
    pub source: MountSource,
    /// Whether the container may only read.
    pub read_only: bool,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A volume.
    Volume(VolumeMount),
    /// A folder, file or socket of the host.
    Host(HostMount),
    /// Something beside the compose file.
    Project(ProjectMount),
    /// A file system in memory.
    Tmpfs(TmpfsMount),
}

/// A volume as a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct VolumeMount {
    /// Its name in the app; absent for a volume without a name, which lives as long as its container.
    #[serde(skip_serializing_if = "unset")]
    pub volume: Option<String>,
    /// Path within the volume.
    #[serde(skip_serializing_if = "unset")]
    pub subpath: Option<String>,
    /// Do not fill a new volume with what the image has at the target.
    #[serde(skip_serializing_if = "unset")]
    pub no_copy: bool,
    /// SELinux relabelling: `z` or `Z`.
    #[serde(skip_serializing_if = "unset")]
    pub selinux: Option<String>,
}

/// A path of the host as a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HostMount {
    /// Absolute path on the host.
    #[serde(skip_serializing_if = "unset")]
    pub path: String,
    /// Make a folder there when nothing is.
    #[serde(skip_serializing_if = "unset")]
    pub create: bool,
    /// Propagation of mounts below it, e.g. `rslave`.
    #[serde(skip_serializing_if = "unset")]
    pub propagation: Option<String>,
    /// SELinux relabelling: `z` or `Z`.
    #[serde(skip_serializing_if = "unset")]
    pub selinux: Option<String>,
}

/// Something beside the compose file as a mount. It lies in the app's folder on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ProjectMount {
    /// Path relative to the app's folder, with `/`, without `.` or `..`; empty for the folder itself.
    #[serde(skip_serializing_if = "unset")]
    pub path: String,
    /// What the release brings.
    #[serde(skip_serializing_if = "unset")]
    pub content: ProjectContent,
    /// Propagation of mounts below it, e.g. `rslave`.
    #[serde(skip_serializing_if = "unset")]
    pub propagation: Option<String>,
    /// SELinux relabelling: `z` or `Z`.
    #[serde(skip_serializing_if = "unset")]
    pub selinux: Option<String>,
}

/// What a release brings for a path beside the compose file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectContent {
    /// Nothing: a folder that lives on the host and is made there when it is absent.
    #[default]
    OnHost,
    /// A file, written anew with each release.
    File(FileRef),
    /// A folder that is exactly these files with each release, by path relative to it.
    Folder(BTreeMap<String, FileRef>),
    /// A folder that lives on the host; these files are put there only when the folder is absent.
    Seed(BTreeMap<String, FileRef>),
}

/// A file system in memory as a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TmpfsMount {
    /// Largest size, bytes; absent for half of the host's memory.
    #[serde(skip_serializing_if = "unset")]
    pub size_bytes: Option<u64>,
    /// Permission bits of its root.
    #[serde(skip_serializing_if = "unset")]
    pub mode: Option<u32>,
}

/// A config or secret as a file in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileMount {
    /// Name of the config or secret in the app.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Owner, as a number or name; absent for root.
    #[serde(default, skip_serializing_if = "unset")]
    pub uid: Option<String>,
    /// Group, as a number or name; absent for root.
    #[serde(default, skip_serializing_if = "unset")]
    pub gid: Option<String>,
    /// Permission bits; absent for 0444.
    #[serde(default, skip_serializing_if = "unset")]
    pub mode: Option<u32>,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Path on the host.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}
