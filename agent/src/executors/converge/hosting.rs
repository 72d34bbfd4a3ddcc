//! Where a service's container runs: limits, namespaces, devices, ports, rights. Pure.

use super::definition::Scene;
use super::mounts::Mounted;
use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, PortBinding,
    PortMap, ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy as EngineRestart,
    RestartPolicyNameEnum, ThrottleDevice,
};
use omni_common::domain::app::{
    BlockIo, Device, GpuCount, GpuNeed, Limits, Logging, Namespace, NetworkMode, PortMapping, RestartPolicy,
    Service, ServiceName,
};
use std::collections::{BTreeMap, HashMap};

/// Everything but networks and joined containers.
pub(super) fn host_config(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    mounted: &Mounted,
) -> Result<HostConfig, String> {
    needs(scene, !service.annotations.is_empty(), (1, 43), "annotations")?;
    let start_interval = service.healthcheck.as_ref().is_some_and(|check| check.start_interval_ms.is_some());
    needs(scene, start_interval, (1, 44), "healthcheck.start_interval")?;
    let set = |on: bool| on.then_some(true);
    let mut host = HostConfig {
        restart_policy: Some(restart(service.restart, scene.allocation.exclusive)),
        init: service.init,
        binds: list(&mounted.binds),
        mounts: (!mounted.mounts.is_empty()).then(|| mounted.mounts.clone()),
        tmpfs: map(&service.tmpfs),
        port_bindings: ports(&service.ports),
        log_config: service.logging.as_ref().map(logging),
        group_add: list(&service.group_add),
        extra_hosts: list(&service.extra_hosts),
        dns: list(&service.dns),
        dns_options: list(&service.dns_opt),
        dns_search: list(&service.dns_search),
        readonly_rootfs: set(service.read_only),
        shm_size: service.shm_size_bytes.map(signed),
        storage_opt: map(&service.storage_opt),
        annotations: map(&service.annotations),
        privileged: set(service.privileged),
        cap_add: list(&service.cap_add.iter().cloned().collect::<Vec<_>>()),
        cap_drop: list(&service.cap_drop.iter().cloned().collect::<Vec<_>>()),
        security_opt: list(&service.security_opt),
        devices: (!service.devices.is_empty()).then(|| service.devices.iter().map(device).collect()),
        device_cgroup_rules: list(&service.device_cgroup_rules),
        device_requests: gpus(&service.reservations.gpus, dealt(scene, name)),
        pid_mode: service.pid.as_ref().map(namespace),
        ipc_mode: service.ipc.as_ref().map(namespace),
        uts_mode: service.uts.as_ref().map(namespace),
        userns_mode: service.userns_mode.as_ref().map(namespace),
        cgroupns_mode: service.cgroup.as_ref().map(cgroup_namespace).transpose()?,
        cgroup_parent: service.cgroup_parent.clone(),
        runtime: service.runtime.clone(),
        sysctls: map(&service.sysctls),
        ulimits: ulimits(service),
        ..HostConfig::default()
    };
    limit(&mut host, &service.limits);
    if host.memory_reservation.is_none() && service.reservations.memory_bytes > 0 {
        host.memory_reservation = Some(signed(service.reservations.memory_bytes));
    }
    Ok(host)
}

/// Fills in the containers that this one shares namespaces and volumes with.
pub(super) fn join(host: &mut HostConfig, service: &Service, id: impl Fn(&ServiceName) -> String) {
    let of = |namespace: &Option<Namespace>| match namespace {
        Some(Namespace::Service(other)) => Some(format!("container:{}", id(other))),
        _ => None,
    };
    if let NetworkMode::Service(other) = &service.network_mode {
        host.network_mode = Some(format!("container:{}", id(other)));
    }
    for (mode, namespace) in [
        (&mut host.pid_mode, &service.pid),
        (&mut host.ipc_mode, &service.ipc),
        (&mut host.uts_mode, &service.uts),
    ] {
        if let Some(joined) = of(namespace) {
            *mode = Some(joined);
        }
    }
    if !service.volumes_from.is_empty() {
        let from = service.volumes_from.iter();
        let access = |read_only: &bool| if *read_only { "ro" } else { "rw" };
        host.volumes_from =
            Some(from.map(|(other, read_only)| format!("{}:{}", id(other), access(read_only))).collect());
    }
}

/// Refuses what this engine is too old for; it would leave it out without a word.
pub(super) fn needs(scene: &Scene<'_>, used: bool, api: (u32, u32), what: &str) -> Result<(), String> {
    if !used || scene.api >= api {
        return Ok(());
    }
    let (have, want) = (scene.api, api);
    Err(format!(
        "{what} needs a Docker engine with API {}.{} or newer, and this host's has {}.{}",
        want.0, want.1, have.0, have.1
    ))
}

/// Containers that may run only under a lease are started by the agent alone: the engine would start them after a reboot
/// without asking anybody. For the others the engine's own policy works also while the agent is away; `always` is told as
/// `unless-stopped`, or the engine would bring back after its own restart what is to be stopped.
fn restart(policy: Option<RestartPolicy>, exclusive: bool) -> EngineRestart {
    let (name, most) = match policy {
        _ if exclusive => (RestartPolicyNameEnum::NO, None),
        None | Some(RestartPolicy::No) => (RestartPolicyNameEnum::NO, None),
        Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => {
            (RestartPolicyNameEnum::UNLESS_STOPPED, None)
        }
        Some(RestartPolicy::OnFailure(most)) => (RestartPolicyNameEnum::ON_FAILURE, most.map(i64::from)),
    };
    EngineRestart { name: Some(name), maximum_retry_count: most }
}

fn limit(host: &mut HostConfig, limits: &Limits) {
    host.nano_cpus = limits.nano_cpus.map(signed);
    host.memory = limits.memory_bytes.map(signed);
    host.memory_reservation = limits.memory_reservation_bytes.map(signed);
    host.memory_swap = limits.memory_swap_bytes;
    host.memory_swappiness = limits.memory_swappiness.map(i64::from);
    host.pids_limit = limits.pids;
    host.cpu_shares = limits.cpu_shares.map(signed);
    host.cpu_quota = limits.cpu_quota_us;
    host.cpu_period = limits.cpu_period_us.map(signed);
    host.cpu_realtime_runtime = limits.cpu_rt_runtime_us.map(signed);
    host.cpu_realtime_period = limits.cpu_rt_period_us.map(signed);
    host.cpuset_cpus = limits.cpuset.clone();
    host.oom_kill_disable = limits.oom_kill_disable.then_some(true);
    host.oom_score_adj = limits.oom_score_adj.map(i64::from);
    if let Some(block_io) = &limits.block_io {
        limit_block_io(host, block_io);
    }
}

fn limit_block_io(host: &mut HostConfig, limits: &BlockIo) {
    let rates = |rates: &BTreeMap<String, u64>| {
        let rate = |(path, rate): (&String, &u64)| ThrottleDevice {
            path: Some(path.clone()),
            rate: Some(signed(*rate)),
        };
        (!rates.is_empty()).then(|| rates.iter().map(rate).collect::<Vec<_>>())
    };
    let weight = |(path, weight): (&String, &u16)| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some(usize::from(*weight)),
    };
    host.blkio_weight = limits.weight;
    host.blkio_weight_device =
        (!limits.device_weight.is_empty()).then(|| limits.device_weight.iter().map(weight).collect());
    host.blkio_device_read_bps = rates(&limits.read_bytes_per_second);
    host.blkio_device_write_bps = rates(&limits.write_bytes_per_second);
    host.blkio_device_read_iops = rates(&limits.read_ops_per_second);
    host.blkio_device_write_iops = rates(&limits.write_ops_per_second);
}

fn ulimits(service: &Service) -> Option<Vec<ResourcesUlimits>> {
    let limits = service.ulimits.iter().map(|(name, limit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    });
    (!service.ulimits.is_empty()).then(|| limits.collect())
}

fn ports(mappings: &[PortMapping]) -> Option<PortMap> {
    let mut map: PortMap = HashMap::new();
    for mapping in mappings {
        let port = format!("{}/{}", mapping.container_port, mapping.protocol.as_str());
        let host_port = match (mapping.host_port, mapping.host_port_last) {
            (Some(first), Some(last)) if last > first => Some(format!("{first}-{last}")),
            (Some(port), _) => Some(port.to_string()),
            (None, _) => None,
        };
        let binding = PortBinding { host_ip: mapping.host_ip.clone(), host_port };
        map.entry(port).or_insert_with(|| Some(Vec::new())).get_or_insert_default().push(binding);
    }
    (!map.is_empty()).then_some(map)
}

fn logging(logging: &Logging) -> HostConfigLogConfig {
    HostConfigLogConfig { typ: logging.driver.clone(), config: map(&logging.options) }
}

fn device(device: &Device) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.host_path.clone()),
        path_in_container: Some(device.container_path.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

/// How NVIDIA's driver names cards and their slices. A container can ask for no others by name.
const NAMED: [&str; 2] = ["GPU-", "MIG-"];

/// The cards of one service: the allocation's in their order, after those of the services before it.
fn dealt<'a>(scene: &Scene<'a>, name: &ServiceName) -> &'a [String] {
    let named = |card: &String| NAMED.iter().any(|prefix| card.starts_with(prefix));
    if !scene.allocation.gpus.iter().all(named) {
        return &[];
    }
    let counted = |service: &Service| -> usize {
        let needs = service.reservations.gpus.iter();
        needs
            .map(|need| match need.count {
                GpuCount::Count(count) => count as usize,
                GpuCount::All => 0,
            })
            .sum()
    };
    let before = scene.group.services.iter().take_while(|other| *other != name);
    let skipped: usize = before.filter_map(|other| scene.spec.services.get(other)).map(counted).sum();
    scene.allocation.gpus.get(skipped..).unwrap_or_default()
}

/// A need of a number of cards gets the next of those dealt; one that names its cards, or takes all, is passed on.
fn gpus(needs: &[GpuNeed], mut dealt: &[String]) -> Option<Vec<DeviceRequest>> {
    let mut request = |need: &GpuNeed| {
        let mut ids: Vec<String> = need.device_ids.iter().cloned().collect();
        if let (true, GpuCount::Count(count)) = (ids.is_empty(), need.count)
            && let Some((own, rest)) = dealt.split_at_checked(count as usize)
        {
            ids = own.to_vec();
            dealt = rest;
        }
        let chosen = !ids.is_empty();
        let count = match need.count {
            _ if chosen => None,
            GpuCount::All => Some(-1),
            GpuCount::Count(count) => Some(i64::from(count)),
        };
        let capabilities: Vec<String> = match need.capabilities.is_empty() {
            true => vec!["gpu".to_owned()],
            false => need.capabilities.iter().cloned().collect(),
        };
        DeviceRequest {
            driver: need.driver.clone(),
            count,
            device_ids: chosen.then_some(ids),
            capabilities: Some(vec![capabilities]),
            options: map(&need.options),
        }
    };
    (!needs.is_empty()).then(|| needs.iter().map(&mut request).collect())
}

fn namespace(namespace: &Namespace) -> String {
    match namespace {
        Namespace::Host => "host".to_owned(),
        Namespace::Private => "private".to_owned(),
        Namespace::Shareable => "shareable".to_owned(),
        Namespace::None => "none".to_owned(),
        Namespace::Service(other) => format!("container:{other}"),
        Namespace::Container(name) => format!("container:{name}"),
    }
}

fn cgroup_namespace(namespace: &Namespace) -> Result<HostConfigCgroupnsModeEnum, String> {
    match namespace {
        Namespace::Host => Ok(HostConfigCgroupnsModeEnum::HOST),
        Namespace::Private => Ok(HostConfigCgroupnsModeEnum::PRIVATE),
        _ => Err("cgroup can only be `host` or `private`".to_owned()),
    }
}

pub(super) fn list(items: &[String]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| items.to_vec())
}

pub(super) fn map(pairs: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect())
}

/// The engine counts everything in signed numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
