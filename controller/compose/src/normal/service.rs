//! One service as a compose file has it.

use super::out::Out;
use crate::paths::{is_path, written};
use crate::units::{show_decimal, show_duration};
use omni_common::domain::app::{
    BlockIo, Build, BuildContext, DependsCondition, FileMount, GpuCount, GpuNeed, Healthcheck, Hook, Limits,
    Mount, MountSource, Namespace, NetworkJoin, NetworkMode, PortMapping, PullPolicy, RestartPolicy, Service,
    Ulimit,
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Billionths of a CPU.
const NANOS: u64 = 1_000_000_000;

/// The service, without what it says about its group.
pub(super) fn service(service: &Service) -> Out {
    let mut out = Out::default();
    image(service, &mut out);
    process(service, &mut out);
    network(service, &mut out);
    storage(service, &mut out);
    security(service, &mut out);
    limits(&service.limits, &mut out);
    resources(service, &mut out);
    out
}

fn image(service: &Service, out: &mut Out) {
    out.maybe("image", service.image.clone());
    out.maybe("build", service.build.as_ref().map(build));
    out.maybe("platform", service.platform.clone());
    out.maybe(
        "pull_policy",
        service.pull_policy.map(|policy| match policy {
            PullPolicy::Always => "always".to_owned(),
            PullPolicy::Never => "never".to_owned(),
            PullPolicy::Missing => "missing".to_owned(),
            PullPolicy::Build => "build".to_owned(),
            PullPolicy::OlderThan(ms) => format!("every_{}", show_duration(ms)),
        }),
    );
    out.maybe("container_name", service.container_name.clone());
    out.map("labels", &service.labels);
    out.map("annotations", &service.annotations);
}

fn build(build: &Build) -> Json {
    let mut out = Out::default();
    out.put(
        "context",
        match &build.context {
            BuildContext::Folder(path) => written(path),
            BuildContext::Remote(address) => address.clone(),
        },
    );
    out.maybe("dockerfile", build.dockerfile.clone());
    out.maybe("dockerfile_inline", build.dockerfile_inline.clone());
    out.maybe("target", build.target.clone());
    out.map("args", &build.args);
    out.map("labels", &build.labels);
    out.texts("tags", &build.tags);
    out.texts("platforms", &build.platforms);
    out.texts("cache_from", &build.cache_from);
    out.flag("no_cache", build.no_cache);
    out.flag("pull", build.pull);
    out.maybe("network", build.network.clone());
    out.texts("extra_hosts", &build.extra_hosts);
    out.maybe("shm_size", build.shm_size_bytes);
    out.section("ulimits", build.ulimits.iter().map(ulimit));
    out.into_json()
}

fn process(service: &Service, out: &mut Out) {
    out.maybe("command", service.command.clone());
    out.maybe("entrypoint", service.entrypoint.clone());
    out.map("environment", &service.environment);
    out.maybe("user", service.user.clone());
    out.texts("group_add", &service.group_add);
    out.maybe("working_dir", service.working_dir.clone());
    out.maybe("init", service.init);
    out.flag("tty", service.tty);
    out.flag("stdin_open", service.stdin_open);
    out.maybe("stop_signal", service.stop_signal.clone());
    out.maybe("stop_grace_period", service.stop_grace_ms.map(show_duration));
    out.list("post_start", service.post_start.iter().map(hook));
    out.list("pre_stop", service.pre_stop.iter().map(hook));
    out.maybe("restart", service.restart.map(restart));
    out.maybe("healthcheck", service.healthcheck.as_ref().map(healthcheck));
    let depends = service.depends_on.iter().map(|(name, dependency)| {
        let mut out = Out::default();
        let condition = match dependency.condition {
            DependsCondition::Started => "service_started",
            DependsCondition::Healthy => "service_healthy",
            DependsCondition::Completed => "service_completed_successfully",
        };
        out.put("condition", condition);
        out.flag("restart", dependency.restart);
        if dependency.optional {
            out.put("required", false);
        }
        (name.to_string(), out.into_json())
    });
    out.section("depends_on", depends);
    if let Some(logging) = &service.logging {
        out.below("logging", |out| {
            out.maybe("driver", logging.driver.clone());
            out.map("options", &logging.options);
        });
    }
}

fn hook(hook: &Hook) -> Json {
    let mut out = Out::default();
    out.put("command", &hook.command);
    out.maybe("user", hook.user.clone());
    out.flag("privileged", hook.privileged);
    out.maybe("working_dir", hook.working_dir.clone());
    out.map("environment", &hook.environment);
    out.into_json()
}

fn restart(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => "no".to_owned(),
        RestartPolicy::Always => "always".to_owned(),
        RestartPolicy::UnlessStopped => "unless-stopped".to_owned(),
        RestartPolicy::OnFailure(None) => "on-failure".to_owned(),
        RestartPolicy::OnFailure(Some(count)) => format!("on-failure:{count}"),
    }
}

fn healthcheck(check: &Healthcheck) -> Json {
    if check.is_disabled() && check.interval_ms.is_none() && check.retries.is_none() {
        return json!({ "disable": true });
    }
    let mut out = Out::default();
    out.texts("test", &check.test);
    out.maybe("interval", check.interval_ms.map(show_duration));
    out.maybe("timeout", check.timeout_ms.map(show_duration));
    out.maybe("start_period", check.start_period_ms.map(show_duration));
    out.maybe("start_interval", check.start_interval_ms.map(show_duration));
    out.maybe("retries", check.retries);
    out.into_json()
}

fn network(service: &Service, out: &mut Out) {
    let mode = match &service.network_mode {
        NetworkMode::Networks => None,
        NetworkMode::Host => Some("host".to_owned()),
        NetworkMode::None => Some("none".to_owned()),
        NetworkMode::Bridge => Some("bridge".to_owned()),
        NetworkMode::Service(name) => Some(format!("service:{name}")),
        NetworkMode::Container(name) => Some(format!("container:{name}")),
    };
    out.maybe("network_mode", mode);
    let plain = |(name, join): (&String, &NetworkJoin)| name == "default" && *join == NetworkJoin::default();
    if !(service.networks.len() == 1 && service.networks.iter().all(plain)) {
        out.section("networks", service.networks.iter().map(|(name, spec)| (name.clone(), join(spec))));
    }
    out.list("ports", service.ports.iter().map(port));
    out.set("expose", &service.expose);
    out.list("links", service.links.iter().map(|(alias, name)| Json::from(format!("{name}:{alias}"))));
    out.maybe("hostname", service.hostname.clone());
    out.maybe("domainname", service.domainname.clone());
    out.maybe("mac_address", service.mac_address.clone());
    out.texts("extra_hosts", &service.extra_hosts);
    out.texts("dns", &service.dns);
    out.texts("dns_opt", &service.dns_opt);
    out.texts("dns_search", &service.dns_search);
}

fn join(join: &NetworkJoin) -> Json {
    if *join == NetworkJoin::default() {
        return Json::Null;
    }
    let mut out = Out::default();
    out.texts("aliases", &join.aliases);
    out.maybe("ipv4_address", join.ipv4_address.clone());
    out.maybe("ipv6_address", join.ipv6_address.clone());
    out.texts("link_local_ips", &join.link_local_ips);
    out.maybe("mac_address", join.mac_address.clone());
    out.map("driver_opts", &join.driver_opts);
    out.maybe("priority", Some(join.priority).filter(|number| *number != 0));
    out.maybe("gw_priority", Some(join.gateway_priority).filter(|number| *number != 0));
    out.into_json()
}

fn port(port: &PortMapping) -> Json {
    let published = match (port.host_port, port.host_port_last) {
        (Some(first), Some(last)) => Some(format!("{first}-{last}")),
        (Some(first), None) => Some(first.to_string()),
        (None, _) => None,
    };
    if port.name.is_some() || port.app_protocol.is_some() {
        let mut out = Out::default();
        out.maybe("name", port.name.clone());
        out.maybe("app_protocol", port.app_protocol.clone());
        out.maybe("host_ip", port.host_ip.clone());
        out.maybe("published", published);
        out.put("target", port.container_port);
        out.put("protocol", port.protocol.as_str());
        return out.into_json();
    }
    let host = match (&port.host_ip, published) {
        (Some(ip), published) if ip.contains(':') => format!("[{ip}]:{}:", published.unwrap_or_default()),
        (Some(ip), published) => format!("{ip}:{}:", published.unwrap_or_default()),
        (None, Some(published)) => format!("{published}:"),
        (None, None) => String::new(),
    };
    Json::from(format!("{host}{}/{}", port.container_port, port.protocol.as_str()))
}

fn storage(service: &Service, out: &mut Out) {
    out.list("volumes", service.mounts.iter().map(mount));
    let from = |(name, read_only): (_, &bool)| {
        Json::from(format!("{name}:{}", if *read_only { "ro" } else { "rw" }))
    };
    out.list("volumes_from", service.volumes_from.iter().map(from));
    let tmpfs = service.tmpfs.iter().map(|(target, options)| {
        let gap = if options.is_empty() { "" } else { ":" };
        Json::from(format!("{target}{gap}{options}"))
    });
    out.list("tmpfs", tmpfs);
    out.list("configs", service.configs.iter().map(file_mount));
    out.list("secrets", service.secrets.iter().map(file_mount));
    out.flag("read_only", service.read_only);
    out.maybe("shm_size", service.shm_size_bytes);
    out.map("storage_opt", &service.storage_opt);
    let device = |device: &omni_common::domain::app::Device| {
        format!("{}:{}:{}", device.host_path, device.container_path, device.permissions)
    };
    out.list("devices", service.devices.iter().map(|it| Json::from(device(it))));
    out.texts("device_cgroup_rules", &service.device_cgroup_rules);
}

fn mount(mount: &Mount) -> Json {
    short_mount(mount).map_or_else(|| long_mount(mount), Json::from)
}

/// The short syntax, where it can say everything.
fn short_mount(mount: &Mount) -> Option<String> {
    let mut words: Vec<&str> = if mount.read_only { vec!["ro"] } else { Vec::new() };
    let source = match &mount.source {
        MountSource::Volume(volume) if volume.subpath.is_none() => {
            words.extend(volume.no_copy.then_some("nocopy"));
            words.extend(volume.selinux.as_deref());
            match &volume.volume {
                Some(name) if !is_path(name) => name.clone(),
                None if words.is_empty() && !mount.target.contains(':') => return Some(mount.target.clone()),
                _ => return None,
            }
        }
        MountSource::Host(host) if host.create => {
            words.extend(host.propagation.as_deref().into_iter().chain(host.selinux.as_deref()));
            host.path.clone()
        }
        MountSource::Project(project) => {
            words.extend(project.propagation.as_deref().into_iter().chain(project.selinux.as_deref()));
            written(&project.path)
        }
        _ => return None,
    };
    if source.contains(':') || mount.target.contains(':') {
        return None;
    }
    let gap = if words.is_empty() { "" } else { ":" };
    Some(format!("{source}:{}{gap}{}", mount.target, words.join(",")))
}

fn long_mount(mount: &Mount) -> Json {
    let mut out = Out::default();
    out.put("target", &mount.target);
    out.flag("read_only", mount.read_only);
    match &mount.source {
        MountSource::Volume(volume) => {
            out.put("type", "volume");
            out.maybe("source", volume.volume.clone());
            // The specification has this word under `bind` only; it means the same here.
            out.below("bind", |out| out.maybe("selinux", volume.selinux.as_ref()));
            out.below("volume", |out| {
                out.flag("nocopy", volume.no_copy);
                out.maybe("subpath", volume.subpath.clone());
            });
        }
        MountSource::Host(host) => {
            bind(&host.path, host.propagation.as_ref(), host.selinux.as_ref(), &mut out);
            if !host.create {
                out.below("bind", |out| out.put("create_host_path", false));
            }
        }
        MountSource::Project(project) => {
            bind(&written(&project.path), project.propagation.as_ref(), project.selinux.as_ref(), &mut out);
        }
        MountSource::Tmpfs(tmpfs) => {
            out.put("type", "tmpfs");
            out.below("tmpfs", |out| {
                out.maybe("size", tmpfs.size_bytes);
                out.maybe("mode", tmpfs.mode.map(octal));
            });
        }
    }
    out.into_json()
}

fn bind(path: &str, propagation: Option<&String>, selinux: Option<&String>, out: &mut Out) {
    out.put("type", "bind");
    out.put("source", path);
    out.below("bind", |out| {
        out.maybe("propagation", propagation);
        out.maybe("selinux", selinux);
    });
}

/// Permission bits as text, which every reader takes for octal.
fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn file_mount(mount: &FileMount) -> Json {
    let mut out = Out::default();
    out.put("source", &mount.source);
    out.put("target", &mount.target);
    out.maybe("uid", mount.uid.clone());
    out.maybe("gid", mount.gid.clone());
    out.maybe("mode", mount.mode.map(octal));
    out.into_json()
}

fn security(service: &Service, out: &mut Out) {
    out.flag("privileged", service.privileged);
    out.set("cap_add", &service.cap_add);
    out.set("cap_drop", &service.cap_drop);
    out.texts("security_opt", &service.security_opt);
    let namespaces = [
        ("pid", &service.pid),
        ("ipc", &service.ipc),
        ("uts", &service.uts),
        ("userns_mode", &service.userns_mode),
        ("cgroup", &service.cgroup),
    ];
    for (key, value) in namespaces {
        out.maybe(key, value.as_ref().map(namespace));
    }
    out.maybe("cgroup_parent", service.cgroup_parent.clone());
    out.maybe("runtime", service.runtime.clone());
    out.map("sysctls", &service.sysctls);
    out.section("ulimits", service.ulimits.iter().map(ulimit));
}

fn namespace(namespace: &Namespace) -> String {
    match namespace {
        Namespace::Host => "host".to_owned(),
        Namespace::Private => "private".to_owned(),
        Namespace::Shareable => "shareable".to_owned(),
        Namespace::None => "none".to_owned(),
        Namespace::Service(name) => format!("service:{name}"),
        Namespace::Container(name) => format!("container:{name}"),
    }
}

fn ulimit((name, limit): (&String, &Ulimit)) -> (String, Json) {
    let both = limit.soft == limit.hard;
    (
        name.clone(),
        if both { Json::from(limit.soft) } else { json!({ "soft": limit.soft, "hard": limit.hard }) },
    )
}

fn limits(limits: &Limits, out: &mut Out) {
    out.maybe("mem_reservation", limits.memory_reservation_bytes);
    out.maybe("memswap_limit", limits.memory_swap_bytes);
    out.maybe("mem_swappiness", limits.memory_swappiness);
    out.maybe("cpu_shares", limits.cpu_shares);
    out.maybe("cpu_quota", limits.cpu_quota_us);
    out.maybe("cpu_period", limits.cpu_period_us);
    out.maybe("cpu_rt_runtime", limits.cpu_rt_runtime_us);
    out.maybe("cpu_rt_period", limits.cpu_rt_period_us);
    out.maybe("cpuset", limits.cpuset.clone());
    out.flag("oom_kill_disable", limits.oom_kill_disable);
    out.maybe("oom_score_adj", limits.oom_score_adj);
    out.maybe("blkio_config", limits.block_io.as_ref().map(block_io));
}

fn block_io(spec: &BlockIo) -> Json {
    let mut out = Out::default();
    out.maybe("weight", spec.weight);
    out.list(
        "weight_device",
        spec.device_weight.iter().map(|(path, weight)| json!({ "path": path, "weight": weight })),
    );
    let rates = |rates: &BTreeMap<String, u64>| -> Vec<Json> {
        rates.iter().map(|(path, rate)| json!({ "path": path, "rate": rate })).collect()
    };
    out.list("device_read_bps", rates(&spec.read_bytes_per_second).into_iter());
    out.list("device_write_bps", rates(&spec.write_bytes_per_second).into_iter());
    out.list("device_read_iops", rates(&spec.read_ops_per_second).into_iter());
    out.list("device_write_iops", rates(&spec.write_ops_per_second).into_iter());
    out.into_json()
}

fn resources(service: &Service, out: &mut Out) {
    let (limits, kept) = (&service.limits, &service.reservations);
    let mut at_most = Out::default();
    at_most.maybe("cpus", limits.nano_cpus.map(|cpus| show_decimal(cpus, NANOS)));
    at_most.maybe("memory", limits.memory_bytes.map(|bytes| bytes.to_string()));
    at_most.maybe("pids", limits.pids);
    let mut at_least = Out::default();
    at_least
        .maybe("cpus", Some(kept.nano_cpus).filter(|cpus| *cpus > 0).map(|cpus| show_decimal(cpus, NANOS)));
    at_least
        .maybe("memory", Some(kept.memory_bytes).filter(|bytes| *bytes > 0).map(|bytes| bytes.to_string()));
    at_least.list("devices", kept.gpus.iter().map(gpu));
    out.below("deploy", |deploy| {
        deploy.below("resources", |resources| {
            resources.object("limits", at_most);
            resources.object("reservations", at_least);
        });
    });
}

fn gpu(need: &GpuNeed) -> Json {
    let mut out = Out::default();
    out.set("capabilities", &need.capabilities);
    out.maybe("driver", need.driver.clone());
    out.set("device_ids", &need.device_ids);
    if need.device_ids.is_empty() {
        out.put(
            "count",
            match need.count {
                GpuCount::All => Json::from("all"),
                GpuCount::Count(count) => Json::from(count),
            },
        );
    }
    let mut options: Map<String, Json> =
        need.options.iter().map(|(key, value)| (key.clone(), Json::from(value.as_str()))).collect();
    options.extend(need.model.as_ref().map(|model| ("omni.model".to_owned(), Json::from(model.as_str()))));
    options.extend(need.memory_bytes.map(|bytes| ("omni.memory".to_owned(), Json::from(bytes.to_string()))));
    if !options.is_empty() {
        out.put("options", options);
    }
    out.into_json()
}
