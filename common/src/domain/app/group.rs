//! Groups: what is placed as one on one host, and by which rules.

use super::{GpuNeed, Protocol, ServiceName, unset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Services that share a host, a private network and a fate.
///
/// There is no network across hosts, so services that find each other by name share a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Group {
    /// Its services.
    #[serde(skip_serializing_if = "unset")]
    pub services: BTreeSet<ServiceName>,
    /// How many of it there are.
    #[serde(skip_serializing_if = "unset")]
    pub mode: GroupMode,
    /// Never two running instances of one allocation: it owns writable data, or asked for it.
    #[serde(skip_serializing_if = "unset")]
    pub exclusive: bool,
    /// What happens when its host is lost.
    #[serde(skip_serializing_if = "unset")]
    pub failover: Failover,
    /// What a host must be like.
    #[serde(skip_serializing_if = "unset")]
    pub constraints: Vec<Constraint>,
    /// Host properties over whose values the replicas are spread evenly, most important first.
    #[serde(skip_serializing_if = "unset")]
    pub spread: Vec<HostProperty>,
    /// Most replicas on one host.
    #[serde(skip_serializing_if = "unset")]
    pub max_per_host: Option<u32>,
    /// Region it has to be in.
    #[serde(skip_serializing_if = "unset")]
    pub region: Option<String>,
    /// Platforms its services insist on, e.g. `linux/arm64`; a host must run all of them.
    #[serde(skip_serializing_if = "unset")]
    pub platforms: BTreeSet<String>,
    /// What one allocation reserves on its host.
    #[serde(skip_serializing_if = "unset")]
    pub resources: Resources,
    /// Host ports that one allocation binds; a host where one is taken cannot have it.
    #[serde(skip_serializing_if = "unset")]
    pub ports: BTreeSet<HostPort>,
    /// Data that one allocation writes and that outlives its containers.
    #[serde(skip_serializing_if = "unset")]
    pub data: BTreeSet<DataSource>,
    /// How a new release replaces an older one.
    #[serde(skip_serializing_if = "unset")]
    pub update: RolloutPolicy,
    /// How an older release is brought back.
    #[serde(skip_serializing_if = "unset")]
    pub rollback: RolloutPolicy,
    /// Who goes first when not everything can.
    #[serde(skip_serializing_if = "unset")]
    pub priority: Priority,
}

/// How many allocations a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupMode {
    /// This many, on hosts that the scheduler chooses.
    Replicated(u32),
    /// One on every host that fits.
    Global,
}

impl Default for GroupMode {
    fn default() -> Self {
        Self::Replicated(1)
    }
}

/// What happens to a group when its host is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Failover {
    /// The way it comes back.
    #[serde(skip_serializing_if = "unset")]
    pub mode: FailoverMode,
    /// Oldest snapshot that may be restored, in milliseconds before the loss; absent for any age.
    #[serde(skip_serializing_if = "unset")]
    pub max_data_age_ms: Option<u64>,
}

/// Ways in which a group comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailoverMode {
    /// Started again: elsewhere when it has no data, else only where its data is.
    #[default]
    Restart,
    /// Its data is restored elsewhere from the newest usable snapshot, then it starts.
    Restore,
    /// It waits for its host.
    Never,
}

/// A condition on hosts, from `deploy.placement.constraints`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Constraint {
    /// What is compared.
    pub property: HostProperty,
    /// Whether it must be the value or must not be it.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// What a constraint or a preference looks at, in Compose's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostProperty {
    /// `node.id`: the host's id.
    Id,
    /// `node.hostname`: the host's name.
    Name,
    /// `node.platform.os`, always `linux` today.
    Os,
    /// `node.platform.arch`, e.g. `x86_64` or `aarch64`.
    Architecture,
    /// `node.region`: the region it joined with.
    Region,
    /// `node.zone`: the zone it joined with.
    Zone,
    /// `node.labels.KEY`: a label given to the host.
    Label(String),
    /// `engine.labels.KEY`: a label of its Docker engine.
    EngineLabel(String),
}

/// Resources that one allocation reserves: the sum over its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Resources {
    /// CPUs, in billionths of one.
    #[serde(skip_serializing_if = "unset")]
    pub nano_cpus: u64,
    /// Memory, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub memory_bytes: u64,
    /// GPUs, one entry for each request of each container.
    #[serde(skip_serializing_if = "unset")]
    pub gpus: Vec<GpuNeed>,
}

/// A port of the host that an allocation binds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct HostPort {
    /// Address it is bound to; absent for all of them.
    #[serde(default, skip_serializing_if = "unset")]
    pub host_ip: Option<String>,
    /// The port; the first of the range when any of several will do.
    pub port: u16,
    /// Last port of the range; equal to `port` when it has to be this one.
    pub last: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Something that a group writes and that outlives its containers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataSource {
    /// A named volume, by its name in the app.
    Volume(String),
    /// A folder in the app's folder on the host, relative to it.
    Project(String),
    /// A folder or file of the host itself.
    Host(String),
}

/// How one release replaces another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RolloutPolicy {
    /// Allocations replaced at a time; 0 for all at once; absent for one.
    #[serde(skip_serializing_if = "unset")]
    pub parallelism: Option<u32>,
    /// Wait between two rounds, milliseconds.
    #[serde(skip_serializing_if = "unset")]
    pub delay_ms: u64,
    /// How long a new allocation is watched before it counts as well, milliseconds; absent for the platform's default.
    #[serde(skip_serializing_if = "unset")]
    pub monitor_ms: Option<u64>,
    /// What to do when more fail than may.
    #[serde(skip_serializing_if = "unset")]
    pub on_failure: Option<OnFailure>,
    /// Share of allocations that may fail, in millionths.
    #[serde(skip_serializing_if = "unset")]
    pub max_failure_millionths: u32,
    /// Which goes first; absent for start-first where nothing stands in its way, stop-first for exclusive groups.
    #[serde(skip_serializing_if = "unset")]
    pub order: Option<RolloutOrder>,
}

/// What a rollout does when too much fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Wait for a person.
    Pause,
    /// Go on.
    Continue,
    /// Bring the older release back.
    Rollback,
}

/// Which of old and new goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOrder {
    /// The new one runs before the old one is stopped.
    StartFirst,
    /// The old one is stopped before the new one starts.
    StopFirst,
}

/// Who goes first when not everything can run: critical before others, then by tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Priority {
    /// A service of it carries `omni.quantum.critical: "true"`.
    #[serde(skip_serializing_if = "unset")]
    pub critical: bool,
    /// Its highest tier.
    #[serde(skip_serializing_if = "unset")]
    pub tier: Tier,
}

/// Tiers, lowest first; read from `omni.quantum.tier`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The tier of what names none.
    #[default]
    Standard,
    /// Above standard.
    Medium,
    /// Above medium.
    High,
    /// The platform stands on it.
    Critical,
}
