//! What a container may use, and GPUs.

use super::unset;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// What one container may use at most. Absent is without limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Limits {
    /// CPUs, in billionths of one.
    #[serde(skip_serializing_if = "unset")]
    pub nano_cpus: Option<u64>,
    /// Memory, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub memory_bytes: Option<u64>,
    /// Soft limit of memory, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub memory_reservation_bytes: Option<u64>,
    /// Memory and swap together, bytes; -1 for swap without limit.
    #[serde(skip_serializing_if = "unset")]
    pub memory_swap_bytes: Option<i64>,
    /// Readiness to swap, 0 to 100.
    #[serde(skip_serializing_if = "unset")]
    pub memory_swappiness: Option<u8>,
    /// Processes; -1 without limit.
    #[serde(skip_serializing_if = "unset")]
    pub pids: Option<i64>,
    /// Relative weight against other containers.
    #[serde(skip_serializing_if = "unset")]
    pub cpu_shares: Option<u64>,
    /// CPU time in each period, microseconds.
    #[serde(skip_serializing_if = "unset")]
    pub cpu_quota_us: Option<i64>,
    /// Length of that period, microseconds.
    #[serde(skip_serializing_if = "unset")]
    pub cpu_period_us: Option<u64>,
    /// Real-time CPU time in each real-time period, microseconds.
    #[serde(skip_serializing_if = "unset")]
    pub cpu_rt_runtime_us: Option<u64>,
    /// Length of that period, microseconds.
    #[serde(skip_serializing_if = "unset")]
    pub cpu_rt_period_us: Option<u64>,
    /// CPUs it may run on, e.g. `0-3,8`.
    #[serde(skip_serializing_if = "unset")]
    pub cpuset: Option<String>,
    /// Weight and rates of block devices.
    #[serde(skip_serializing_if = "unset")]
    pub block_io: Option<BlockIo>,
    /// Do not kill it when memory is out.
    #[serde(skip_serializing_if = "unset")]
    pub oom_kill_disable: bool,
    /// Readiness to kill it when memory is out, -1000 to 1000.
    #[serde(skip_serializing_if = "unset")]
    pub oom_score_adj: Option<i32>,
}

/// Limits of block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BlockIo {
    /// Relative weight, 10 to 1000.
    #[serde(skip_serializing_if = "unset")]
    pub weight: Option<u16>,
    /// Relative weight by device.
    #[serde(skip_serializing_if = "unset")]
    pub device_weight: BTreeMap<String, u16>,
    /// Reading, bytes a second by device.
    #[serde(skip_serializing_if = "unset")]
    pub read_bytes_per_second: BTreeMap<String, u64>,
    /// Writing, bytes a second by device.
    #[serde(skip_serializing_if = "unset")]
    pub write_bytes_per_second: BTreeMap<String, u64>,
    /// Reading, operations a second by device.
    #[serde(skip_serializing_if = "unset")]
    pub read_ops_per_second: BTreeMap<String, u64>,
    /// Writing, operations a second by device.
    #[serde(skip_serializing_if = "unset")]
    pub write_ops_per_second: BTreeMap<String, u64>,
}

/// A limit of processes; -1 without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ulimit {
    /// In force at the start.
    pub soft: i64,
    /// As far as a process may raise it.
    pub hard: i64,
}

/// GPUs, or other devices of a driver, that a container asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GpuNeed {
    /// How many.
    #[serde(skip_serializing_if = "unset")]
    pub count: GpuCount,
    /// These ones, by id; then `count` says nothing.
    #[serde(skip_serializing_if = "unset")]
    pub device_ids: BTreeSet<String>,
    /// Driver, e.g. `nvidia`; absent for any that has the capabilities.
    #[serde(skip_serializing_if = "unset")]
    pub driver: Option<String>,
    /// Capabilities, e.g. `gpu`, `compute`.
    #[serde(skip_serializing_if = "unset")]
    pub capabilities: BTreeSet<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "unset")]
    pub options: BTreeMap<String, String>,
    /// Part of the model's name that each must carry, e.g. `A100`; from the option `omni.model`.
    #[serde(skip_serializing_if = "unset")]
    pub model: Option<String>,
    /// Memory that each must have free, bytes; the rest may be shared; from the option `omni.memory`.
    #[serde(skip_serializing_if = "unset")]
    pub memory_bytes: Option<u64>,
}

/// How many GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuCount {
    /// All of the host's.
    All,
    /// This many.
    Count(u32),
}

impl Default for GpuCount {
    fn default() -> Self {
        Self::Count(1)
    }
}
