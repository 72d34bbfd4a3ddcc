//! Containers as the Docker engine reports them.

use crate::clock::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Label by which a container of the platform names its component.
pub const LABEL_COMPONENT: &str = "omni.quantum.component";
/// Label with the component's tier: `critical`, `high`, `medium` or `standard`.
pub const LABEL_TIER: &str = "omni.quantum.tier";
/// Label with `true` when the platform cannot do without the component.
pub const LABEL_CRITICAL: &str = "omni.quantum.critical";
/// Label by which a container asks to be scraped by Prometheus.
pub const LABEL_SCRAPE: &str = "prometheus.scrape";
/// Label with the port to scrape.
pub const LABEL_SCRAPE_PORT: &str = "prometheus.port";
/// Label with the path to scrape; `/metrics` when absent.
pub const LABEL_SCRAPE_PATH: &str = "prometheus.path";
/// Docker compose's label for the project.
pub const LABEL_COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Docker compose's label for the service.
pub const LABEL_COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// A container's life-cycle state in Docker's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs.
    Restarting,
    /// Being deleted.
    Removing,
    /// Its main process ended.
    Exited,
    /// Docker could not remove it.
    Dead,
    /// A state that this version does not know.
    Unknown,
}

/// What the container's own health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No check is defined: nothing is known about its health.
    None,
    /// Within its start period.
    Starting,
    /// The last check passed.
    Healthy,
    /// Enough checks failed in a row.
    Unhealthy,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// Address on the host it is bound to; absent when it is only exposed.
    pub host_ip: Option<String>,
    /// Port on the host; absent when it is only exposed.
    pub host_port: Option<u16>,
    /// Port inside the container.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct NetworkAddress {
    /// The network's name.
    pub network: String,
    /// The container's address in it; absent while it is not running.
    pub address: Option<String>,
}

/// A container's role in the platform, read from its labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlatformRole {
    /// Component name in the catalogue.
    pub component: String,
    /// Tier, as written on the label.
    pub tier: Option<String>,
    /// Whether the platform cannot do without it.
    pub critical: bool,
}

/// One container on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Container {
    /// Docker's id, 64 hex digits.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image reference it was made from.
    pub image: String,
    /// Digest of that image on this host.
    pub image_id: String,
    /// Life-cycle state.
    pub state: ContainerState,
    /// Health check state.
    pub health: Health,
    /// The last lines of the last failed health check, cut to a short text; absent when healthy.
    pub health_output: Option<String>,
    /// Exit code of the last run; absent while running.
    pub exit_code: Option<i64>,
    /// The kernel killed it for memory in its last run.
    pub oom_killed: bool,
    /// When it was made.
    pub created: Time,
    /// When it last started.
    pub started: Option<Time>,
    /// When it last ended.
    pub finished: Option<Time>,
    /// How often Docker's restart policy has restarted it.
    pub restarts: u32,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Exposed and published ports.
    pub ports: Vec<Port>,
    /// Networks it is attached to.
    pub networks: Vec<NetworkAddress>,
    /// It was made with a terminal, so its log is one raw stream.
    pub tty: bool,
    /// Docker's log driver for it.
    pub log_driver: Option<String>,
    /// Main process on the host; absent while not running.
    pub pid: Option<i64>,
}

impl Container {
    /// The container's place in the platform, when its labels give it one.
    pub fn platform_role(&self) -> Option<PlatformRole> {
        let component = self.labels.get(LABEL_COMPONENT).filter(|value| !value.is_empty())?;
        Some(PlatformRole {
            component: component.clone(),
            tier: self.labels.get(LABEL_TIER).cloned(),
            critical: self.labels.get(LABEL_CRITICAL).is_some_and(|value| value == "true"),
        })
    }

    /// First twelve digits of the id, as Docker shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// What a container used since the sample before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerSample {
    /// Docker's id.
    pub id: String,
    /// Percent of one core; 200 is two cores busy. Absent in the first sample of a container.
    pub cpu_percent: Option<f32>,
    /// Memory in use without reclaimable page cache, bytes.
    pub memory_used: Option<u64>,
    /// Memory limit, bytes; absent when unlimited.
    pub memory_limit: Option<u64>,
    /// Bytes received per second over all its interfaces.
    pub rx_bytes: Option<f32>,
    /// Bytes sent per second.
    pub tx_bytes: Option<f32>,
    /// Bytes read from block devices per second.
    pub read_bytes: Option<f32>,
    /// Bytes written to block devices per second.
    pub write_bytes: Option<f32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}
