//! A service: everything needed to make its containers.

use super::{
    Build, Dependency, Device, FileMount, GpuNeed, Healthcheck, Hook, Limits, Logging, Mount, Namespace,
    NetworkJoin, NetworkMode, OmniOptions, PortMapping, PullPolicy, RestartPolicy, ServiceName, Ulimit,
    unset,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// One service. What is absent or empty is left to the image or to the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Service {
    /// Image to run; absent when it is built and has no name of its own.
    #[serde(skip_serializing_if = "unset")]
    pub image: Option<String>,
    /// How to build the image.
    #[serde(skip_serializing_if = "unset")]
    pub build: Option<Build>,
    /// When to pull the image.
    #[serde(skip_serializing_if = "unset")]
    pub pull_policy: Option<PullPolicy>,
    /// Platform to run on, e.g. `linux/arm64`.
    #[serde(skip_serializing_if = "unset")]
    pub platform: Option<String>,

    /// Arguments in place of the image's command; an empty list takes the image's command away.
    #[serde(skip_serializing_if = "unset")]
    pub command: Option<Vec<String>>,
    /// Program in place of the image's entrypoint; an empty list takes the image's entrypoint away.
    #[serde(skip_serializing_if = "unset")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment; a variable without a value is taken away from what the image sets.
    #[serde(skip_serializing_if = "unset")]
    pub environment: BTreeMap<String, Option<String>>,
    /// User and perhaps group, as `user[:group]`.
    #[serde(skip_serializing_if = "unset")]
    pub user: Option<String>,
    /// Further groups of the process.
    #[serde(skip_serializing_if = "unset")]
    pub group_add: Vec<String>,
    /// Working folder.
    #[serde(skip_serializing_if = "unset")]
    pub working_dir: Option<String>,
    /// Run a small init as process 1.
    #[serde(skip_serializing_if = "unset")]
    pub init: Option<bool>,
    /// Give it a terminal.
    #[serde(skip_serializing_if = "unset")]
    pub tty: bool,
    /// Keep its standard input open.
    #[serde(skip_serializing_if = "unset")]
    pub stdin_open: bool,
    /// Signal that stops it, e.g. `SIGINT`.
    #[serde(skip_serializing_if = "unset")]
    pub stop_signal: Option<String>,
    /// How long it may take to stop, milliseconds; absent for the engine's 10 s.
    #[serde(skip_serializing_if = "unset")]
    pub stop_grace_ms: Option<u64>,
    /// Commands run in the container once it has started; a failure stops it.
    #[serde(skip_serializing_if = "unset")]
    pub post_start: Vec<Hook>,
    /// Commands run in the container before it is stopped.
    #[serde(skip_serializing_if = "unset")]
    pub pre_stop: Vec<Hook>,

    /// Containers of it in one allocation.
    #[serde(skip_serializing_if = "unset")]
    pub containers: Option<u32>,
    /// The container's name on its host; absent for one derived from app, group and service.
    #[serde(skip_serializing_if = "unset")]
    pub container_name: Option<String>,
    /// Labels of its containers.
    #[serde(skip_serializing_if = "unset")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the runtime.
    #[serde(skip_serializing_if = "unset")]
    pub annotations: BTreeMap<String, String>,
    /// When the engine restarts it.
    #[serde(skip_serializing_if = "unset")]
    pub restart: Option<RestartPolicy>,
    /// How its health is judged.
    #[serde(skip_serializing_if = "unset")]
    pub healthcheck: Option<Healthcheck>,
    /// What it waits for, by service.
    #[serde(skip_serializing_if = "unset")]
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "unset")]
    pub logging: Option<Logging>,

    /// Its place in the network.
    #[serde(skip_serializing_if = "unset")]
    pub network_mode: NetworkMode,
    /// Networks it joins, by their name in the app.
    #[serde(skip_serializing_if = "unset")]
    pub networks: BTreeMap<String, NetworkJoin>,
    /// Ports it publishes.
    #[serde(skip_serializing_if = "unset")]
    pub ports: Vec<PortMapping>,
    /// Ports it listens on without publishing them, `port/protocol`.
    #[serde(skip_serializing_if = "unset")]
    pub expose: BTreeSet<String>,
    /// Further names for services beside it: name in the file to service.
    #[serde(skip_serializing_if = "unset")]
    pub links: BTreeMap<String, ServiceName>,
    /// Host name inside the container.
    #[serde(skip_serializing_if = "unset")]
    pub hostname: Option<String>,
    /// Domain name inside the container.
    #[serde(skip_serializing_if = "unset")]
    pub domainname: Option<String>,
    /// MAC address on its first network.
    #[serde(skip_serializing_if = "unset")]
    pub mac_address: Option<String>,
    /// Lines of `/etc/hosts`, `name:address`, in the file's order.
    #[serde(skip_serializing_if = "unset")]
    pub extra_hosts: Vec<String>,
    /// DNS servers.
    #[serde(skip_serializing_if = "unset")]
    pub dns: Vec<String>,
    /// DNS options.
    #[serde(skip_serializing_if = "unset")]
    pub dns_opt: Vec<String>,
    /// DNS search domains.
    #[serde(skip_serializing_if = "unset")]
    pub dns_search: Vec<String>,

    /// Volumes, folders and files in it, ordered by target.
    #[serde(skip_serializing_if = "unset")]
    pub mounts: Vec<Mount>,
    /// Services whose mounts it shares, with `true` for read-only.
    #[serde(skip_serializing_if = "unset")]
    pub volumes_from: BTreeMap<ServiceName, bool>,
    /// Memory file systems: target to mount options.
    #[serde(skip_serializing_if = "unset")]
    pub tmpfs: BTreeMap<String, String>,
    /// Configs mounted as files.
    #[serde(skip_serializing_if = "unset")]
    pub configs: Vec<FileMount>,
    /// Secrets mounted as files.
    #[serde(skip_serializing_if = "unset")]
    pub secrets: Vec<FileMount>,
    /// Root file system is read-only.
    #[serde(skip_serializing_if = "unset")]
    pub read_only: bool,
    /// Size of `/dev/shm`, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub shm_size_bytes: Option<u64>,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "unset")]
    pub storage_opt: BTreeMap<String, String>,

    /// Everything the host may do is allowed in it.
    #[serde(skip_serializing_if = "unset")]
    pub privileged: bool,
    /// Capabilities added.
    #[serde(skip_serializing_if = "unset")]
    pub cap_add: BTreeSet<String>,
    /// Capabilities taken away.
    #[serde(skip_serializing_if = "unset")]
    pub cap_drop: BTreeSet<String>,
    /// Security options, e.g. `no-new-privileges:true`.
    #[serde(skip_serializing_if = "unset")]
    pub security_opt: Vec<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "unset")]
    pub devices: Vec<Device>,
    /// Rules of the device cgroup.
    #[serde(skip_serializing_if = "unset")]
    pub device_cgroup_rules: Vec<String>,
    /// Process namespace.
    #[serde(skip_serializing_if = "unset")]
    pub pid: Option<Namespace>,
    /// Namespace of shared memory and semaphores.
    #[serde(skip_serializing_if = "unset")]
    pub ipc: Option<Namespace>,
    /// Host name namespace: `host`.
    #[serde(skip_serializing_if = "unset")]
    pub uts: Option<Namespace>,
    /// User namespace: `host`.
    #[serde(skip_serializing_if = "unset")]
    pub userns_mode: Option<Namespace>,
    /// Cgroup namespace: `host` or `private`.
    #[serde(skip_serializing_if = "unset")]
    pub cgroup: Option<Namespace>,
    /// Parent cgroup.
    #[serde(skip_serializing_if = "unset")]
    pub cgroup_parent: Option<String>,
    /// OCI runtime, e.g. `nvidia`.
    #[serde(skip_serializing_if = "unset")]
    pub runtime: Option<String>,
    /// Kernel parameters.
    #[serde(skip_serializing_if = "unset")]
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of its processes.
    #[serde(skip_serializing_if = "unset")]
    pub ulimits: BTreeMap<String, Ulimit>,

    /// What it may use at most.
    #[serde(skip_serializing_if = "unset")]
    pub limits: Limits,
    /// What is kept free for each container of it.
    #[serde(skip_serializing_if = "unset")]
    pub reservations: Reservations,

    /// What `x-omni` says about this service.
    #[serde(skip_serializing_if = "unset")]
    pub omni: OmniOptions,
}

/// What is kept free on the host for one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Reservations {
    /// CPUs, in billionths of one.
    #[serde(skip_serializing_if = "unset")]
    pub nano_cpus: u64,
    /// Memory, bytes.
    #[serde(skip_serializing_if = "unset")]
    pub memory_bytes: u64,
    /// GPUs.
    #[serde(skip_serializing_if = "unset")]
    pub gpus: Vec<GpuNeed>,
}

impl Service {
    /// How many containers one allocation has of it.
    pub fn container_count(&self) -> u32 {
        self.containers.unwrap_or(1)
    }
}
