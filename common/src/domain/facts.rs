//! What a host is, as opposed to what it does: changes rarely, sent when it does.

use super::GpuFacts;
use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A source that this host does not have, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Absence {
    /// The collector: `docker`, `nvml`, `pressure`, `temperatures` …
    pub source: String,
    /// Why there is nothing to report, for a person.
    pub reason: String,
}

/// The Docker engine of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DockerFacts {
    /// Engine version.
    pub version: String,
    /// Newest API version it speaks.
    pub api_version: String,
    /// Storage driver.
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Where it keeps its data.
    pub root_dir: String,
    /// Runtimes it knows, e.g. `runc`, `nvidia`.
    pub runtimes: Vec<String>,
}

/// A host's hardware, kernel and software.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostFacts {
    /// The machine's own host name.
    pub hostname: String,
    /// Distribution, e.g. `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// CPU architecture, e.g. `x86_64`.
    pub arch: String,
    /// CPU model name; absent where the kernel does not say.
    pub cpu_model: Option<String>,
    /// Logical CPUs.
    pub cpus: u32,
    /// Physical cores; absent where the kernel does not say.
    pub physical_cores: Option<u32>,
    /// Memory, bytes.
    pub memory_total: u64,
    /// Swap, bytes.
    pub swap_total: u64,
    /// When the machine booted.
    pub booted: Option<Time>,
    /// The Docker engine; absent when none answers.
    pub docker: Option<DockerFacts>,
    /// GPUs, in index order.
    pub gpus: Vec<GpuFacts>,
    /// Non-loopback addresses.
    pub addresses: Vec<String>,
    /// The agent's version.
    pub agent_version: String,
    /// What could not be collected here, and why.
    pub absent: Vec<Absence>,
}
