//! What a host does: one reading of everything that changes by the second.

use super::{ContainerSample, GpuSample};
use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// CPU time since the sample before, in percent of all CPUs together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CpuSample {
    /// All that was not idle.
    pub total: f32,
    /// Programs.
    pub user: f32,
    /// Kernel.
    pub system: f32,
    /// Waiting for disks.
    pub iowait: f32,
    /// Taken by the hypervisor.
    pub steal: f32,
    /// Each logical CPU's total.
    pub cores: Vec<f32>,
}

/// Memory, bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemorySample {
    /// Installed.
    pub total: u64,
    /// What programs could still get, by the kernel's own estimate.
    pub available: u64,
    /// Page cache and buffers.
    pub cached: u64,
    /// Swap installed.
    pub swap_total: u64,
    /// Swap in use.
    pub swap_used: u64,
}

impl MemorySample {
    /// Installed less available.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }
}

/// Pressure stall information: percent of the last ten seconds in which some (or all) tasks waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PressureSample {
    /// Some tasks waited for a CPU.
    pub cpu_some: f32,
    /// Some waited for memory.
    pub memory_some: f32,
    /// All waited for memory.
    pub memory_full: f32,
    /// Some waited for I/O.
    pub io_some: f32,
    /// All waited for I/O.
    pub io_full: f32,
}

/// A block device since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskSample {
    /// Kernel name, e.g. `nvme0n1`.
    pub device: String,
    /// Bytes read per second.
    pub read_bytes: f32,
    /// Bytes written per second.
    pub write_bytes: f32,
    /// Reads per second.
    pub reads: f32,
    /// Writes per second.
    pub writes: f32,
    /// Percent of the time it had work.
    pub busy: f32,
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilesystemSample {
    /// Mount point.
    pub mount: String,
    /// Backing device.
    pub device: String,
    /// Type, e.g. `ext4`.
    pub kind: String,
    /// Size, bytes.
    pub total: u64,
    /// Left for ordinary users, bytes.
    pub available: u64,
}

/// A network interface since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkSample {
    /// Interface name.
    pub name: String,
    /// Bytes received per second.
    pub rx_bytes: f32,
    /// Bytes sent per second.
    pub tx_bytes: f32,
    /// Receive and send errors per second.
    pub errors: f32,
    /// Packets dropped per second.
    pub drops: f32,
}

/// A temperature sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TemperatureSample {
    /// Sensor name.
    pub sensor: String,
    /// Degrees Celsius.
    pub celsius: f32,
}

/// One reading of a host. A source that the host lacks is absent (or an empty list), never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostSample {
    /// When it was taken, by the host's clock.
    pub at: Time,
    /// Milliseconds since the sample before, over which rates are averaged; zero in the first.
    pub interval_ms: u32,
    /// Samples that were taken but dropped since the last one sent.
    pub dropped: u32,
    /// CPU; absent in the first sample.
    pub cpu: Option<CpuSample>,
    /// Load average over 1, 5 and 15 minutes.
    pub load: Option<[f32; 3]>,
    /// Memory and swap.
    pub memory: Option<MemorySample>,
    /// Pressure; absent on kernels without it.
    pub pressure: Option<PressureSample>,
    /// Block devices.
    pub disks: Vec<DiskSample>,
    /// File systems on block devices and network mounts.
    pub filesystems: Vec<FilesystemSample>,
    /// Physical and virtual interfaces, without containers' ends.
    pub networks: Vec<NetworkSample>,
    /// Temperature sensors.
    pub temperatures: Vec<TemperatureSample>,
    /// GPUs.
    pub gpus: Vec<GpuSample>,
    /// Running containers.
    pub containers: Vec<ContainerSample>,
    /// The agent's own resident memory, bytes.
    pub agent_rss: Option<u64>,
}

/// A process, reported on request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// Process id in the host's namespace.
    pub pid: u32,
    /// Command name.
    pub name: String,
    /// Percent of one core since the reading before.
    pub cpu_percent: f32,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Docker id of the container it runs in, when it does.
    pub container: Option<String>,
}
