//! GPUs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which driver a GPU is read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GpuVendor {
    /// NVIDIA, through NVML.
    Nvidia,
    /// AMD, through the amdgpu driver's sysfs files.
    Amd,
}

/// A Multi-Instance GPU slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigInstance {
    /// Index under its parent.
    pub index: u32,
    /// Its own UUID, by which containers ask for it.
    pub uuid: String,
    /// Name with the profile, e.g. `NVIDIA A100 MIG 1g.5gb`; absent when the driver does not say.
    pub name: Option<String>,
    /// Memory of the slice, bytes; absent when the driver does not say.
    pub memory_total: Option<u64>,
}

/// A GPU's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuFacts {
    /// Index on its host.
    pub index: u32,
    /// Driver family.
    pub vendor: GpuVendor,
    /// Vendor's stable id; the PCI address where the card has none.
    pub uuid: String,
    /// Model name.
    pub model: String,
    /// PCI address.
    pub pci: Option<String>,
    /// Memory, bytes.
    pub memory_total: Option<u64>,
    /// Driver version.
    pub driver: Option<String>,
    /// Whether MIG is on; absent where the card cannot do it.
    pub mig: Option<bool>,
    /// Slices, when MIG is on.
    pub instances: Vec<MigInstance>,
}

/// A process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuProcess {
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Command name; absent when it has gone or is hidden.
    pub name: Option<String>,
    /// Docker id of the container it runs in, when it does.
    pub container: Option<String>,
    /// GPU memory, bytes; absent when the driver does not say.
    pub memory: Option<u64>,
}

/// What a GPU does now. Every reading a card does not offer is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GpuSample {
    /// Index on its host.
    pub index: u32,
    /// Percent of time its compute was busy.
    pub utilisation: Option<f32>,
    /// Percent of time its memory interface was busy.
    pub memory_utilisation: Option<f32>,
    /// Memory in use, bytes.
    pub memory_used: Option<u64>,
    /// Memory, bytes.
    pub memory_total: Option<u64>,
    /// Degrees Celsius.
    pub temperature: Option<f32>,
    /// Watts drawn.
    pub power: Option<f32>,
    /// Watts allowed.
    pub power_limit: Option<f32>,
    /// Percent of full fan speed.
    pub fan: Option<f32>,
    /// Processes on it.
    pub processes: Vec<GpuProcess>,
}
