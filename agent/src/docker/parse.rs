//! The engine's JSON to omni's containers. Pure.
//!
//! bollard models an engine far newer than those in the field, so every field is optional and an absent one
//! means unknown. Whatever a container can make arbitrarily large is cut here, so that one container always
//! fits a frame.

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as State, ContainerSummary,
    ContainerSummaryStateEnum as Listed, EndpointSettings, Health as EngineHealth, HealthStatusEnum, PortMap,
    SystemInfo, SystemVersion,
};
use omni_common::clock::Time;
use omni_common::domain::{Container, ContainerState, DockerFacts, Health, NetworkAddress, Port};
use std::collections::{BTreeMap, HashMap};

/// Most labels kept of one container, and most bytes of all of them together.
const MAX_LABELS: usize = 256;
const MAX_LABEL_BYTES: usize = 32 << 10;
/// Longest label value kept, bytes.
const MAX_LABEL_VALUE: usize = 4 << 10;
/// Most ports kept: a published range can have 65,535, twice.
const MAX_PORTS: usize = 1024;
/// Most networks kept.
const MAX_NETWORKS: usize = 64;
/// Longest name or image reference kept, bytes.
const MAX_TEXT: usize = 1024;
/// Longest output of a failed health check kept, bytes: its end, which has the verdict.
const MAX_HEALTH_OUTPUT: usize = 1024;
/// Labels that omni itself acts on; they are kept first.
const OUR_LABELS: &[&str] = &["omni.", "prometheus.", "com.docker.compose."];

/// A container as `inspect` shows it; absent when the answer has no id.
pub(super) fn from_inspect(inspect: ContainerInspectResponse) -> Option<Container> {
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    let host = inspect.host_config.unwrap_or_default();
    let network = inspect.network_settings.unwrap_or_default();
    let life = state.status.map_or(ContainerState::Unknown, life);
    let alive = is_alive(life);
    let health = health(life, state.health.as_ref());
    Some(Container {
        id: inspect.id?,
        name: name(inspect.name.as_deref().unwrap_or_default()),
        image: cut_text(config.image.unwrap_or_default()),
        image_id: cut_text(inspect.image.unwrap_or_default()),
        state: life,
        health,
        health_output: state.health.filter(|_| health == Health::Unhealthy).and_then(last_failure),
        exit_code: state.exit_code.filter(|_| !alive && life != ContainerState::Created),
        oom_killed: state.oom_killed.unwrap_or(false),
        created: inspect.created.as_deref().and_then(moment).unwrap_or_default(),
        started: state.started_at.as_deref().and_then(moment),
        finished: state.finished_at.as_deref().and_then(moment),
        restarts: inspect.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        labels: labels(config.labels.unwrap_or_default()),
        ports: ports(network.ports, host.port_bindings, config.exposed_ports.unwrap_or_default()),
        networks: networks(network.networks.unwrap_or_default()),
        tty: config.tty.unwrap_or(false),
        log_driver: host.log_config.and_then(|log| log.typ).filter(|driver| !driver.is_empty()),
        pid: state.pid.filter(|&pid| pid > 0),
    })
}

/// A container as the list shows it, for one that cannot be inspected: less is known.
pub(super) fn from_summary(summary: ContainerSummary) -> Option<Container> {
    let life = summary.state.map_or(ContainerState::Unknown, listed);
    let status = summary.status.unwrap_or_default();
    let first_name = summary.names.and_then(|names| names.into_iter().next());
    Some(Container {
        id: summary.id?,
        name: name(&first_name.unwrap_or_default()),
        image: cut_text(summary.image.unwrap_or_default()),
        image_id: cut_text(summary.image_id.unwrap_or_default()),
        state: life,
        health: health_in_words(life, &status),
        health_output: None,
        exit_code: None,
        oom_killed: false,
        created: summary.created.map(Time::from_secs).unwrap_or_default(),
        started: None,
        finished: None,
        restarts: 0,
        labels: labels(summary.labels.unwrap_or_default()),
        ports: listed_ports(summary.ports.unwrap_or_default()),
        networks: networks(
            summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default(),
        ),
        tty: false,
        log_driver: None,
        pid: None,
    })
}

/// The engine itself.
pub(super) fn facts(info: SystemInfo, version: SystemVersion) -> DockerFacts {
    let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
    runtimes.sort();
    DockerFacts {
        version: version.version.or(info.server_version).unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        // Engines before 20.10 do not say, and know only version 1.
        cgroup_version: info.cgroup_version.map_or_else(|| "1".to_owned(), |version| version.to_string()),
        root_dir: info.docker_root_dir.unwrap_or_default(),
        runtimes,
    }
}

fn life(state: State) -> ContainerState {
    match state {
        State::CREATED => ContainerState::Created,
        State::RUNNING | State::STOPPING => ContainerState::Running,
        State::PAUSED => ContainerState::Paused,
        State::RESTARTING => ContainerState::Restarting,
        State::REMOVING => ContainerState::Removing,
        State::EXITED => ContainerState::Exited,
        State::DEAD => ContainerState::Dead,
        State::EMPTY => ContainerState::Unknown,
    }
}

fn listed(state: Listed) -> ContainerState {
    match state {
        Listed::CREATED => ContainerState::Created,
        Listed::RUNNING | Listed::STOPPING => ContainerState::Running,
        Listed::PAUSED => ContainerState::Paused,
        Listed::RESTARTING => ContainerState::Restarting,
        Listed::REMOVING => ContainerState::Removing,
        Listed::EXITED => ContainerState::Exited,
        Listed::DEAD => ContainerState::Dead,
        Listed::EMPTY => ContainerState::Unknown,
    }
}

fn is_alive(state: ContainerState) -> bool {
    matches!(state, ContainerState::Running | ContainerState::Paused)
}

/// The engine keeps the last verdict of a container that has stopped; that proves nothing any more.
fn health(state: ContainerState, health: Option<&EngineHealth>) -> Health {
    if !is_alive(state) {
        return Health::None;
    }
    match health.and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

/// Health from a status such as `Up 3 hours (unhealthy)`.
fn health_in_words(state: ContainerState, status: &str) -> Health {
    match status.rsplit_once('(').map(|(_, word)| word) {
        _ if !is_alive(state) => Health::None,
        Some("healthy)") => Health::Healthy,
        Some("unhealthy)") => Health::Unhealthy,
        Some("health: starting)") => Health::Starting,
        _ => Health::None,
    }
}

fn last_failure(health: EngineHealth) -> Option<String> {
    let failed = health.log?.into_iter().rev().find(|run| run.exit_code != Some(0))?;
    let output = failed.output.unwrap_or_default();
    let output = output.trim_end();
    (!output.is_empty()).then(|| tail(output, MAX_HEALTH_OUTPUT).to_owned())
}

fn name(name: &str) -> String {
    cut_text(name.trim_start_matches('/').to_owned())
}

/// The engine writes the year 1 for "never".
fn moment(text: &str) -> Option<Time> {
    let at: Time = text.parse().ok()?;
    (at.as_millis() > 0).then_some(at)
}

fn labels(all: HashMap<String, String>) -> BTreeMap<String, String> {
    let ours = |key: &str| OUR_LABELS.iter().any(|prefix| key.starts_with(prefix));
    let mut sorted: Vec<(String, String)> = all.into_iter().collect();
    sorted.sort_by(|(a, _), (b, _)| (!ours(a), a).cmp(&(!ours(b), b)));
    let mut left = MAX_LABEL_BYTES;
    let mut kept = BTreeMap::new();
    for (key, value) in sorted {
        let value = cut(value, MAX_LABEL_VALUE);
        let size = key.len() + value.len();
        if kept.len() < MAX_LABELS && size <= left {
            left -= size;
            kept.insert(key, value);
        }
    }
    kept
}

/// Ports as they are bound now, or, for a container that does not run, as they will be.
fn ports(bound: Option<PortMap>, wanted: Option<PortMap>, exposed: Vec<String>) -> Vec<Port> {
    let map = bound.filter(|map| !map.is_empty()).or(wanted).unwrap_or_default();
    let mut ports: Vec<Port> = map
        .iter()
        .flat_map(|(key, bindings)| bindings_of(key, bindings.as_deref().unwrap_or_default()))
        .collect();
    let only_exposed = exposed.iter().filter(|key| !map.contains_key(*key));
    ports.extend(only_exposed.flat_map(|key| bindings_of(key, &[])));
    ports.sort();
    ports.dedup();
    ports.truncate(MAX_PORTS);
    ports
}

/// The ports of one entry such as `80/tcp`.
fn bindings_of(key: &str, bindings: &[bollard::models::PortBinding]) -> Vec<Port> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let Ok(container_port) = number.parse() else {
        return Vec::new();
    };
    let port = |host_ip: Option<String>, host_port| Port {
        host_ip,
        host_port,
        container_port,
        protocol: protocol.to_owned(),
    };
    if bindings.is_empty() {
        return vec![port(None, None)];
    }
    bindings
        .iter()
        .map(|binding| {
            let host_port: Option<u16> = binding.host_port.as_deref().and_then(|text| text.parse().ok());
            let host_ip = binding.host_ip.clone().filter(|ip| !ip.is_empty());
            port(host_ip, host_port.filter(|&number| number > 0))
        })
        .collect()
}

fn listed_ports(listed: Vec<bollard::models::PortSummary>) -> Vec<Port> {
    let mut ports: Vec<Port> = listed
        .into_iter()
        .map(|port| Port {
            host_ip: port.ip.filter(|ip| !ip.is_empty()),
            host_port: port.public_port,
            container_port: port.private_port,
            protocol: port.typ.map_or_else(|| "tcp".to_owned(), |kind| kind.to_string()),
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports.truncate(MAX_PORTS);
    ports
}

fn networks(all: HashMap<String, EndpointSettings>) -> Vec<NetworkAddress> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut networks: Vec<NetworkAddress> = all
        .into_iter()
        .map(|(network, endpoint)| NetworkAddress {
            network: cut_text(network),
            address: filled(endpoint.ip_address).or(filled(endpoint.global_ipv6_address)),
        })
        .collect();
    networks.sort();
    networks.truncate(MAX_NETWORKS);
    networks
}

fn cut_text(text: String) -> String {
    cut(text, MAX_TEXT)
}

/// At most `max` bytes from the front, never half a character.
fn cut(mut text: String, max: usize) -> String {
    text.truncate(text.floor_char_boundary(max));
    text
}

/// At most `max` bytes from the end, never half a character.
fn tail(text: &str, max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(max))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What engine 20.10 answered, recorded.
    fn inspect(name: &str) -> Container {
        let path = format!("{}/fixtures/docker/inspect-{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a recorded answer");
        from_inspect(serde_json::from_str(&text).expect("what bollard reads")).expect("it has an id")
    }

    #[test]
    fn a_running_container_of_the_platform() {
        let web = inspect("web");
        assert_eq!((web.name.as_str(), web.image.as_str()), ("web", "omni/busybox:1"));
        assert_eq!((web.state, web.health), (ContainerState::Running, Health::Healthy));
        assert_eq!((web.exit_code, web.finished, web.health_output.as_ref()), (None, None, None));
        assert!(web.pid.is_some() && web.started.is_some() && !web.tty);
        assert_eq!(web.log_driver.as_deref(), Some("json-file"));
        let role = web.platform_role().expect("it has the labels");
        assert_eq!((role.component.as_str(), role.critical), ("web", true));
        assert_eq!(
            web.ports,
            [Port { host_ip: None, host_port: None, container_port: 8080, protocol: "tcp".into() }]
        );
        assert_eq!(web.networks, [NetworkAddress { network: "none".into(), address: None }]);
    }

    #[test]
    fn states_and_exits() {
        let sick = inspect("sick");
        assert_eq!((sick.health, sick.health_output.as_deref()), (Health::Unhealthy, Some("no")));
        let gone = inspect("gone");
        assert_eq!((gone.state, gone.exit_code, gone.pid), (ContainerState::Exited, Some(7), None));
        assert!(gone.finished >= gone.started);
        let fresh = inspect("fresh");
        assert_eq!((fresh.state, fresh.exit_code, fresh.started), (ContainerState::Created, None, None));
        let flap = inspect("flap");
        assert_eq!((flap.restarts, flap.exit_code), (3, Some(3)));
        assert_eq!(inspect("frozen").state, ContainerState::Paused);
        assert!(inspect("tty").tty);
    }

    #[test]
    fn published_ports_and_addresses() {
        let ported = inspect("ported");
        let shown: Vec<String> = ported
            .ports
            .iter()
            .map(|p| {
                format!("{:?} {:?} {}/{}", p.host_ip.as_deref(), p.host_port, p.container_port, p.protocol)
            })
            .collect();
        assert_eq!(shown.len(), 8, "{shown:?}");
        assert!(shown.contains(&"None None 443/tcp".to_owned()));
        assert!(shown.contains(&"Some(\"127.0.0.1\") Some(8080) 80/tcp".to_owned()));
        assert!(shown.contains(&"Some(\"::\") Some(9002) 9002/udp".to_owned()));
        assert_eq!(ported.networks[0].address.as_deref(), Some("172.18.0.2"));
        let fresh = inspect("fresh");
        assert_eq!(fresh.ports.len(), 4, "a stopped container shows what it will publish: {:?}", fresh.ports);
    }

    #[test]
    fn the_list_agrees_with_inspect() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/docker/list.json"))
            .expect("a recorded answer");
        let list: Vec<ContainerSummary> = serde_json::from_str(&text).expect("what bollard reads");
        let listed: Vec<Container> = list.into_iter().filter_map(from_summary).collect();
        assert_eq!(listed.len(), 7);
        for summary in listed {
            let full = inspect(&summary.name);
            assert_eq!((summary.id, summary.state, summary.labels), (full.id, full.state, full.labels));
            assert_eq!(summary.health, full.health, "{}", full.name);
        }
    }

    #[test]
    fn the_engine() {
        let read = |name: &str| {
            let path = format!("{}/fixtures/docker/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).expect("a recorded answer")
        };
        let facts = facts(
            serde_json::from_str(&read("info")).expect("what bollard reads"),
            serde_json::from_str(&read("version")).expect("what bollard reads"),
        );
        assert_eq!(facts.version, "20.10.24+dfsg1");
        assert_eq!((facts.api_version.as_str(), facts.cgroup_version.as_str()), ("1.41", "1"));
        assert!(facts.runtimes.contains(&"runc".to_owned()));
    }

    #[test]
    fn the_largest_container_fits_a_frame() {
        let big = "ü".repeat(100_000);
        let mut container = inspect("web");
        let all = (0..500)
            .map(|n| (format!("label.{n}"), big.clone()))
            .chain([("omni.x".to_owned(), "1".to_owned())]);
        container.labels = labels(all.collect());
        assert_eq!(container.labels.get("omni.x").map(String::as_str), Some("1"));
        let map: PortMap = (1..=u16::MAX).map(|port| (format!("{port}/tcp"), None)).collect();
        container.ports = ports(Some(map), None, Vec::new());
        container.name = name(&big);
        container.health_output = Some(tail(&big, MAX_HEALTH_OUTPUT).to_owned());
        let bytes = omni_common::codec::encode(&container).expect("fits");
        assert!(bytes.len() < 128 << 10, "{}", bytes.len());
        assert!(bytes.len() <= crate::inventory::estimate(&container) + 1024, "the estimate is no guess");
    }
}
