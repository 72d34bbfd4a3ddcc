//! A service of a release as the container that it comes to. Pure: every field of [`Service`] is dealt with here, in
//! `hosting.rs` or in `mounts.rs`, and what this engine cannot do is a sentence instead of a gap.

use super::names::{self, SlotKey};
use super::{hosting, mounts, order};
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, MountType, NetworkingConfig,
};
use omni_common::domain::app::{
    AppSpec, ContentDigest, Group, Healthcheck, NetworkJoin, NetworkMode, PullPolicy, RestartPolicy, Service,
    ServiceName,
};
use omni_common::domain::{LABEL_COMPOSE_PROJECT, LABEL_COMPOSE_SERVICE};
use omni_common::wire::DesiredAllocation;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

/// Name of the network that services join which name none.
pub const DEFAULT_NETWORK: &str = "default";
/// Digits of the definition's hash.
const HASH_DIGITS: usize = 24;

/// Where and for what a definition is made.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The allocation.
    pub allocation: &'a DesiredAllocation,
    /// Its app.
    pub spec: &'a AppSpec,
    /// Its group.
    pub group: &'a Group,
    /// This host's id, as on its containers.
    pub host: &'a str,
    /// The engine's API version, e.g. 1 and 41.
    pub api: (u32, u32),
    /// Folder of the slot for files.
    pub files: PathBuf,
    /// Folder of the slot for secrets, in memory.
    pub secrets: PathBuf,
    /// The networks' names on the host, by their names in the app.
    pub networks: BTreeMap<String, String>,
}

/// A container as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its service.
    pub service: ServiceName,
    /// Which of the service's containers, from one.
    pub number: u32,
    /// The name it is to have.
    pub name: String,
    /// What the engine is told. Containers whose namespaces it shares are still missing: see [`Definition::join`].
    pub body: ContainerCreateBody,
    /// Platform of the image, when it has to be a certain one.
    pub platform: Option<String>,
    /// Networks it joins beyond the first, which is part of `body`: older engines take only one there.
    pub connects: Vec<(String, EndpointSettings)>,
    /// What has to lie on the host before it starts.
    pub files: Vec<mounts::OnHost>,
    /// Names of the networks it is in.
    pub networks: BTreeSet<String>,
}

/// The containers of one service in one allocation.
///
/// # Errors
/// A sentence that says what this engine or this version cannot do.
pub fn define(scene: &Scene<'_>, name: &ServiceName, height: u32) -> Result<Vec<Definition>, String> {
    let service =
        scene.spec.services.get(name).ok_or_else(|| format!("the release has no service {name}"))?;
    let mine = |reason: String| format!("service {name}: {reason}");
    (1..=service.container_count())
        .map(|number| one(scene, name, service, height, number).map_err(mine))
        .collect()
}

fn one(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    height: u32,
    number: u32,
) -> Result<Definition, String> {
    let key = SlotKey::from(scene.allocation);
    let mounted = mounts::mounts(scene, name, service)?;
    let mut endpoints = endpoints(scene, name, service)?;
    let mut host = hosting::host_config(scene, name, service, &mounted)?;
    host.network_mode = Some(network_mode(service, &endpoints));
    let first = (!endpoints.is_empty()).then(|| endpoints.remove(0));
    let mut body = body(service)?;
    body.networking_config = first.clone().map(|(network, endpoint)| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network, endpoint)])),
    });
    body.host_config = Some(host);
    body.labels = Some(labels(scene, &key, name, service, height, number)?);
    let networks = first.iter().chain(&endpoints).map(|(network, _)| network.clone()).collect();
    let mut definition = Definition {
        service: name.clone(),
        number,
        name: names::container_name(&key, scene.group, name, service, number),
        body,
        platform: service.platform.clone(),
        connects: endpoints,
        files: mounted.on_host,
        networks,
    };
    let hash = hash(scene, service, &definition);
    definition.label(names::DEFINITION, hash);
    Ok(definition)
}

impl Definition {
    /// Hash of everything that makes the container what it is.
    pub fn hash(&self) -> &str {
        self.body.labels.as_ref().and_then(|labels| labels.get(names::DEFINITION)).map_or("", String::as_str)
    }

    /// The image.
    pub fn image(&self) -> &str {
        self.body.image.as_deref().unwrap_or_default()
    }

    /// The names on the host of the volumes it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        let mounts = self.body.host_config.iter().filter_map(|host| host.mounts.as_ref()).flatten();
        mounts
            .filter(|mount| mount.typ == Some(MountType::VOLUME))
            .filter_map(|mount| mount.source.as_deref())
    }

    /// The ports of the host that it has to have, and no others.
    pub fn fixed_ports(&self) -> Vec<(u16, String)> {
        let bindings = self.body.host_config.iter().filter_map(|host| host.port_bindings.as_ref()).flatten();
        let number = |(port, bound): (&String, &Option<Vec<bollard::models::PortBinding>>)| {
            let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol).to_owned();
            let ports = bound.iter().flatten().filter_map(|binding| binding.host_port.as_ref()?.parse().ok());
            ports.map(|port| (port, protocol.clone())).collect::<Vec<(u16, String)>>()
        };
        bindings.flat_map(number).collect()
    }

    /// The same as a part of these containers, by service: shares their namespaces and volumes.
    pub fn join(&self, service: &Service, ids: &BTreeMap<&ServiceName, String>) -> Self {
        let mut joined = self.clone();
        let id = |other: &ServiceName| ids.get(other).cloned().unwrap_or_default();
        if let Some(host) = &mut joined.body.host_config {
            hosting::join(host, service, id);
        }
        let links: Vec<String> =
            service.links.iter().map(|(name, other)| format!("{}:{name}", id(other))).collect();
        if !links.is_empty() {
            let first =
                joined.body.networking_config.iter_mut().flat_map(|config| &mut config.endpoints_config);
            let endpoints =
                first.flat_map(HashMap::values_mut).chain(joined.connects.iter_mut().map(|(_, end)| end));
            endpoints.for_each(|endpoint| endpoint.links = Some(links.clone()));
        }
        let joins: Vec<String> = order::joined(service).into_iter().map(id).collect();
        if !joins.is_empty() {
            joined.label(names::JOINS, joins.join(","));
        }
        joined
    }

    fn label(&mut self, name: &str, value: String) {
        self.body.labels.get_or_insert_default().insert(name.to_owned(), value);
    }
}

/// What the container is, apart from where it runs.
fn body(service: &Service) -> Result<ContainerCreateBody, String> {
    let set = |on: bool| on.then_some(true);
    let list = |items: &[String]| (!items.is_empty()).then(|| items.to_vec());
    let image = service.image.clone().ok_or_else(|| {
        "building is not available yet: build its image, push it to a registry and name it with `image:`"
            .to_owned()
    })?;
    let exposed: BTreeSet<String> = service
        .ports
        .iter()
        .map(|port| format!("{}/{}", port.container_port, port.protocol.as_str()))
        .chain(service.expose.iter().cloned())
        .collect();
    Ok(ContainerCreateBody {
        image: Some(image),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        tty: set(service.tty),
        open_stdin: set(service.stdin_open),
        env: list(&environment(service)),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(health),
        working_dir: service.working_dir.clone(),
        exposed_ports: (!exposed.is_empty()).then(|| exposed.into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_ms.map(|ms| i64::try_from(ms.div_ceil(1000)).unwrap_or(i64::MAX)),
        ..ContainerCreateBody::default()
    })
}

/// `NAME=value`, and a bare `NAME` for what the image must not set.
fn environment(service: &Service) -> Vec<String> {
    let pair = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    service.environment.iter().map(pair).collect()
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |ms: u64| i64::try_from(ms.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    HealthConfig {
        test: (!check.test.is_empty()).then(|| check.test.clone()),
        interval: check.interval_ms.map(nanos),
        timeout: check.timeout_ms.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period_ms.map(nanos),
        start_interval: check.start_interval_ms.map(nanos),
    }
}

/// The networks it joins, the first one first.
fn endpoints(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
) -> Result<Vec<(String, EndpointSettings)>, String> {
    if service.network_mode != NetworkMode::Networks {
        return Ok(Vec::new());
    }
    let usual = BTreeMap::from([(DEFAULT_NETWORK.to_owned(), NetworkJoin::default())]);
    let joins = if service.networks.is_empty() { &usual } else { &service.networks };
    let mut sorted: Vec<(&String, &NetworkJoin)> = joins.iter().collect();
    sorted.sort_by_key(|(_, join)| std::cmp::Reverse(join.priority));
    let mut endpoints = Vec::new();
    for (position, (network, join)) in sorted.into_iter().enumerate() {
        let on_host =
            scene.networks.get(network).ok_or_else(|| format!("the release has no network {network}"))?;
        let mac = join.mac_address.clone().or_else(|| service.mac_address.clone().filter(|_| position == 0));
        endpoints.push((on_host.clone(), endpoint(scene, name, join, mac)?));
    }
    Ok(endpoints)
}

fn endpoint(
    scene: &Scene<'_>,
    name: &ServiceName,
    join: &NetworkJoin,
    mac_address: Option<String>,
) -> Result<EndpointSettings, String> {
    hosting::needs(scene, mac_address.is_some(), (1, 44), "a MAC address")?;
    hosting::needs(scene, join.gateway_priority != 0, (1, 48), "gw_priority")?;
    let ipam = EndpointIpamConfig {
        ipv4_address: join.ipv4_address.clone(),
        ipv6_address: join.ipv6_address.clone(),
        link_local_ips: (!join.link_local_ips.is_empty()).then(|| join.link_local_ips.clone()),
    };
    let aliases: BTreeSet<String> = join.aliases.iter().cloned().chain([name.to_string()]).collect();
    Ok(EndpointSettings {
        ipam_config: (ipam != EndpointIpamConfig::default()).then_some(ipam),
        aliases: Some(aliases.into_iter().collect()),
        mac_address,
        driver_opts: hosting::map(&join.driver_opts),
        gw_priority: (join.gateway_priority != 0).then_some(join.gateway_priority),
        ..EndpointSettings::default()
    })
}

fn network_mode(service: &Service, endpoints: &[(String, EndpointSettings)]) -> String {
    match &service.network_mode {
        NetworkMode::Networks => endpoints.first().map_or("none", |(network, _)| network.as_str()).to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Service(other) => format!("container:{other}"),
        NetworkMode::Container(name) => format!("container:{name}"),
    }
}

fn labels(
    scene: &Scene<'_>,
    key: &SlotKey,
    name: &ServiceName,
    service: &Service,
    height: u32,
    number: u32,
) -> Result<HashMap<String, String>, String> {
    let mut labels: HashMap<String, String> = service.labels.clone().into_iter().collect();
    labels.extend(key.labels());
    let grace = service.stop_grace_ms.unwrap_or(names::DEFAULT_GRACE_MS);
    let ours = [
        (names::HOST, scene.host.to_owned()),
        (names::SERVICE, name.to_string()),
        (names::NUMBER, number.to_string()),
        (names::RELEASE, scene.allocation.release.to_string()),
        (names::ALLOCATION, scene.allocation.id.to_string()),
        (names::EPOCH, scene.allocation.epoch.to_string()),
        (names::EXCLUSIVE, scene.allocation.exclusive.to_string()),
        (names::ORDER, height.to_string()),
        (names::STOP_GRACE, grace.to_string()),
        (names::RESTART, restart_word(service.restart)),
        (LABEL_COMPOSE_PROJECT, scene.spec.name.clone()),
        (LABEL_COMPOSE_SERVICE, name.to_string()),
        ("com.docker.compose.container-number", number.to_string()),
    ];
    labels.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    if !service.pre_stop.is_empty() {
        let hooks = serde_json::to_string(&service.pre_stop).map_err(|error| format!("pre_stop: {error}"))?;
        if hooks.len() > MAX_HOOKS {
            return Err(format!("pre_stop is longer than {MAX_HOOKS} bytes"));
        }
        labels.insert(names::PRE_STOP.to_owned(), hooks);
    }
    Ok(labels)
}

/// Longest form of `pre_stop`: it travels on a label, and longer ones are not read back whole.
const MAX_HOOKS: usize = 4 << 10;

/// A restart policy in Compose's words.
pub fn restart_word(policy: Option<RestartPolicy>) -> String {
    match policy {
        None | Some(RestartPolicy::No) => "no".to_owned(),
        Some(RestartPolicy::Always) => "always".to_owned(),
        Some(RestartPolicy::UnlessStopped) => "unless-stopped".to_owned(),
        Some(RestartPolicy::OnFailure(None)) => "on-failure".to_owned(),
        Some(RestartPolicy::OnFailure(Some(most))) => format!("on-failure:{most}"),
    }
}

/// Labels that say for which allocation a container was made, and nothing about what it is.
const PASSING: &[&str] = &[names::RELEASE, names::ALLOCATION, names::EPOCH, names::DEFINITION, names::JOINS];

/// What makes two containers the same: everything the engine is told but the labels of the allocation, and the networks
/// by their names in the app. A service that is always pulled is another one with each release.
fn hash(scene: &Scene<'_>, service: &Service, definition: &Definition) -> String {
    let logical: BTreeMap<&String, &String> =
        scene.networks.iter().map(|(name, on_host)| (on_host, name)).collect();
    let in_app = |on_host: &String| {
        logical.get(on_host).map_or_else(|| on_host.clone(), |name| format!("app network {name}"))
    };
    let mut body = definition.body.clone();
    for label in PASSING {
        body.labels.get_or_insert_default().remove(*label);
    }
    let endpoints =
        body.networking_config.take().and_then(|config| config.endpoints_config).unwrap_or_default();
    if let Some(host) = &mut body.host_config {
        host.network_mode = host.network_mode.as_ref().map(in_app);
    }
    let endpoints: BTreeMap<String, EndpointSettings> = endpoints
        .into_iter()
        .chain(definition.connects.iter().cloned())
        .map(|(name, end)| (in_app(&name), end))
        .collect();
    let release = (service.pull_policy == Some(PullPolicy::Always)).then_some(scene.allocation.release);
    let whole = json!({
        "body": body, "endpoints": endpoints, "platform": definition.platform, "release": release,
        "post_start": service.post_start,
    });
    let mut text = String::new();
    canonical(&whole, &mut text);
    ContentDigest::of(text.as_bytes()).as_str()[..HASH_DIGITS].to_owned()
}

/// JSON with keys in order and without nulls, whatever order the maps had.
fn canonical(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            out.push('{');
            let sorted: BTreeMap<_, _> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            for (name, value) in sorted {
                out.push_str(&serde_json::Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
