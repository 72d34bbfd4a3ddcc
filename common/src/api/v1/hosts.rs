//! Hosts.

use super::{CommaList, LivenessTimes};
use crate::clock::Time;
use crate::domain::{HostFacts, HostSample, Process};
use crate::ids::{ControllerId, HostId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Whether a host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostStatus {
    /// Enrolled, never heard of since.
    Pending,
    /// Its heartbeats arrive.
    Up,
    /// Heartbeats are missing; not yet long enough to act.
    Suspect,
    /// Given up: its lease has run out and the margin after it.
    Down,
}

/// The newest sample of a host in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SampleSummary {
    /// When it was taken, by the host's clock.
    pub at: Time,
    /// How long ago it reached a controller, milliseconds.
    pub age_ms: u64,
    /// Percent of all CPUs together.
    pub cpu_percent: Option<f32>,
    /// Load average over one minute.
    pub load1: Option<f32>,
    /// Memory in use, bytes.
    pub memory_used: Option<u64>,
    /// Memory installed, bytes.
    pub memory_total: Option<u64>,
    /// Percent in use of the fullest file system.
    pub disk_percent: Option<f32>,
    /// Bytes received per second over all interfaces.
    pub rx_bytes: Option<f32>,
    /// Bytes sent per second over all interfaces.
    pub tx_bytes: Option<f32>,
    /// Mean utilisation of its GPUs in percent.
    pub gpu_percent: Option<f32>,
    /// GPU memory in use over all its GPUs, bytes.
    pub gpu_memory_used: Option<u64>,
    /// GPU memory over all its GPUs, bytes.
    pub gpu_memory_total: Option<u64>,
}

impl SampleSummary {
    /// Sums up `sample`, which reached a controller `age_ms` ago.
    pub fn of(sample: &HostSample, age_ms: u64) -> Self {
        let networks = (!sample.networks.is_empty()).then_some(&sample.networks);
        let busy: Vec<f32> = sample.gpus.iter().filter_map(|gpu| gpu.utilisation).collect();
        let fullness = |total: u64, available: u64| {
            (total > 0).then(|| (total.saturating_sub(available)) as f32 * 100.0 / total as f32)
        };
        Self {
            at: sample.at,
            age_ms,
            cpu_percent: sample.cpu.as_ref().map(|cpu| cpu.total),
            load1: sample.load.map(|load| load[0]),
            memory_used: sample.memory.as_ref().map(|memory| memory.used()),
            memory_total: sample.memory.as_ref().map(|memory| memory.total),
            disk_percent: sample
                .filesystems
                .iter()
                .filter_map(|fs| fullness(fs.total, fs.available))
                .reduce(f32::max),
            rx_bytes: networks.map(|list| list.iter().map(|n| n.rx_bytes).sum()),
            tx_bytes: networks.map(|list| list.iter().map(|n| n.tx_bytes).sum()),
            gpu_percent: (!busy.is_empty()).then(|| busy.iter().sum::<f32>() / busy.len() as f32),
            gpu_memory_used: sum_known(sample.gpus.iter().map(|gpu| gpu.memory_used)),
            gpu_memory_total: sum_known(sample.gpus.iter().map(|gpu| gpu.memory_total)),
        }
    }
}

/// The sum of what is known; absent when nothing is.
fn sum_known(values: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    values.flatten().fold(None, |sum: Option<u64>, value| Some(sum.unwrap_or(0).saturating_add(value)))
}

/// How many containers a host or a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerCounts {
    /// All of them.
    pub total: u32,
    /// Running.
    pub running: u32,
    /// Running with a failing health check.
    pub unhealthy: u32,
    /// Between two runs.
    pub restarting: u32,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// Its id.
    pub id: HostId,
    /// Its name; unique in the cluster.
    pub name: String,
    /// Whether it answers.
    pub status: HostStatus,
    /// Since when it has that status.
    pub status_since: Time,
    /// Nothing new is placed on it.
    pub cordoned: bool,
    /// It is being emptied, or has been: nothing is placed on it either.
    #[serde(default)]
    pub draining: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// When it joined.
    pub joined: Time,
    /// What it is; absent until its agent has reported.
    pub facts: Option<HostFacts>,
    /// What it does; absent when no controller within reach has a sample.
    pub sample: Option<SampleSummary>,
    /// The controller that holds its session.
    pub gateway: Option<ControllerId>,
    /// Its containers; absent when no controller within reach has a listing.
    pub containers: Option<ContainerCounts>,
    /// When a controller last heard from it.
    pub last_seen: Option<Time>,
    /// Its own failure detection; absent while the cluster's applies.
    pub liveness: Option<LivenessTimes>,
    /// Grows with each change of what people can change; the `ETag` of the resource.
    pub revision: u64,
}

/// Filters of the list of hosts. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HostsQuery {
    /// Any of these: `up`, `suspect`, `down`, `pending`, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CommaList>,
    /// All of these: `key=value`, or `key` for any value, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<CommaList>,
    /// This region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Names that contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A change to a host; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateHost {
    /// Whether nothing new may be placed on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordoned: Option<bool>,
    /// Labels to set; `null` removes one, labels not named stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, Option<String>>>,
    /// Failure detection of its own, for a slow link; `null` goes back to the cluster's.
    #[schema(value_type = Option<LivenessTimes>)]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present_or_null")]
    pub liveness: Option<Option<LivenessTimes>>,
}

/// Tells a field that is `null` from one that is absent.
mod present_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

/// The process table of a host, read when asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Processes {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub host_name: String,
    /// Its processes.
    pub items: Vec<Process>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GpuSample;

    fn gpu(utilisation: Option<f32>, memory_used: Option<u64>) -> GpuSample {
        GpuSample {
            index: 0,
            utilisation,
            memory_utilisation: None,
            memory_used,
            memory_total: None,
            temperature: None,
            power: None,
            power_limit: None,
            fan: None,
            processes: vec![],
        }
    }

    #[test]
    fn what_a_host_lacks_is_absent_in_the_summary() {
        let summary = SampleSummary::of(&HostSample::default(), 7);
        let empty = SampleSummary { age_ms: 7, ..SampleSummary::default() };
        assert_eq!(summary, empty);
    }

    #[test]
    fn null_is_told_from_absent() {
        let parse = |text| serde_json::from_str::<UpdateHost>(text).expect("valid").liveness;
        assert_eq!(parse("{}"), None);
        assert_eq!(parse("{\"liveness\":null}"), Some(None));
        let reset = UpdateHost { liveness: Some(None), ..UpdateHost::default() };
        let text = serde_json::to_string(&reset).expect("plain value");
        assert_eq!(text, "{\"liveness\":null}");
    }

    #[test]
    fn silent_gpus_do_not_count_as_idle() {
        let sample =
            HostSample { gpus: vec![gpu(Some(80.0), Some(3)), gpu(None, None)], ..HostSample::default() };
        let summary = SampleSummary::of(&sample, 0);
        assert_eq!(summary.gpu_percent, Some(80.0));
        assert_eq!((summary.gpu_memory_used, summary.gpu_memory_total), (Some(3), None));
    }
}
