//! HTTP service discovery for Prometheus: every running container labelled `prometheus.scrape=true`, on every
//! host, at an address that can be reached from other hosts where there is one.

use super::App;
use crate::state::{Host, State};
use omni_common::domain::{
    Container, ContainerState, LABEL_SCRAPE, LABEL_SCRAPE_PATH, LABEL_SCRAPE_PORT, Port,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// Host label with the address that Prometheus should use for it.
const LABEL_ADDRESS: &str = "omni.address";
/// Name of Docker's network without a namespace of its own.
const HOST_NETWORK: &str = "host";

/// Targets that share labels, as Prometheus reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetGroup {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels for all of them. Names with two leading underscores only help relabelling.
    pub labels: BTreeMap<String, String>,
}

impl App {
    /// All targets, by host and container.
    pub fn scrape_targets(&self, state: &State) -> Vec<TargetGroup> {
        let groups = state.hosts.values().flat_map(|host| {
            let observed = self.observed.host(host.id).unwrap_or_default();
            let containers = observed.containers.clone().unwrap_or_default();
            containers.values().filter_map(|container| group(host, container)).collect::<Vec<_>>()
        });
        groups.collect()
    }
}

/// Where a target is, and how far away it can be reached.
struct Address {
    text: String,
    /// Whether other hosts can reach it.
    published: bool,
}

fn group(host: &Host, container: &Container) -> Option<TargetGroup> {
    let wanted = container.labels.get(LABEL_SCRAPE).is_some_and(|value| value == "true");
    if !wanted || container.state != ContainerState::Running {
        return None;
    }
    let address = address(host, container)?;
    Some(TargetGroup { labels: labels(host, container, &address), targets: vec![address.text] })
}

fn address(host: &Host, container: &Container) -> Option<Address> {
    let port = port(container)?;
    let bound = container.ports.iter().find(|one| is_tcp(one) && one.container_port == port && is_open(one));
    if let Some(Port { host_port: Some(public), host_ip, .. }) = bound {
        let own = host_ip.as_deref().filter(|ip| !is_any(ip)).map(str::to_owned);
        return Some(Address { text: join(&own.or_else(|| host_address(host))?, *public), published: true });
    }
    if container.networks.iter().any(|place| place.network == HOST_NETWORK) {
        return Some(Address { text: join(&host_address(host)?, port), published: true });
    }
    let inner =
        container.networks.iter().find_map(|place| place.address.as_deref().filter(|a| !a.is_empty()))?;
    Some(Address { text: join(inner, port), published: false })
}

/// The port named by label, or else the lowest TCP port it has.
fn port(container: &Container) -> Option<u16> {
    match container.labels.get(LABEL_SCRAPE_PORT) {
        Some(text) => text.parse().ok().filter(|port| *port > 0),
        None => container.ports.iter().filter(|port| is_tcp(port)).map(|port| port.container_port).min(),
    }
}

fn is_tcp(port: &Port) -> bool {
    port.protocol == "tcp"
}

/// Whether a port is published to other hosts, and not only to its own.
fn is_open(port: &Port) -> bool {
    let loopback = |ip: &String| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    port.host_port.is_some() && !port.host_ip.as_ref().is_some_and(loopback)
}

fn is_any(ip: &str) -> bool {
    ip.parse::<IpAddr>().map_or(true, |ip| ip.is_unspecified())
}

/// The address of a host: the one its label names, else its first IPv4 address, else its first.
fn host_address(host: &Host) -> Option<String> {
    if let Some(named) = host.labels.get(LABEL_ADDRESS) {
        return Some(named.clone());
    }
    let addresses = &host.facts.as_ref()?.addresses;
    let parsed: Vec<IpAddr> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let usable = |ip: &&IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let v4 = parsed.iter().filter(usable).find(|ip| ip.is_ipv4());
    v4.or_else(|| parsed.iter().find(usable)).map(ToString::to_string)
}

fn join(host: &str, port: u16) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

fn labels(host: &Host, container: &Container, address: &Address) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("omni_host".to_owned(), host.name.clone()),
        ("omni_container".to_owned(), container.name.clone()),
        ("__meta_omni_image".to_owned(), container.image.clone()),
        ("__meta_omni_container_id".to_owned(), container.id.clone()),
        ("__meta_omni_published".to_owned(), address.published.to_string()),
    ]);
    if let Some(role) = container.platform_role() {
        labels.insert("omni_component".to_owned(), role.component);
        labels.extend(role.tier.map(|tier| ("omni_tier".to_owned(), tier)));
    }
    if let Some(path) = container.labels.get(LABEL_SCRAPE_PATH) {
        labels.insert("__metrics_path__".to_owned(), path.clone());
    }
    for (key, value) in &host.labels {
        labels.insert(format!("__meta_omni_host_label_{}", sanitise(key)), value.clone());
    }
    for (key, value) in &container.labels {
        labels.insert(format!("__meta_omni_container_label_{}", sanitise(key)), value.clone());
    }
    labels
}

/// A label name as Prometheus takes it.
fn sanitise(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{container, host};
    use super::*;
    use omni_common::domain::{HostFacts, NetworkAddress};

    fn scraped(ports: Vec<Port>) -> Container {
        let mut one = container("c1", "web");
        one.labels.insert(LABEL_SCRAPE.to_owned(), "true".to_owned());
        one.ports = ports;
        one.networks =
            vec![NetworkAddress { network: "bridge".to_owned(), address: Some("172.17.0.2".to_owned()) }];
        one
    }

    fn port(container_port: u16, published: Option<(&str, u16)>) -> Port {
        Port {
            host_ip: published.map(|(ip, _)| ip.to_owned()),
            host_port: published.map(|(_, port)| port),
            container_port,
            protocol: "tcp".to_owned(),
        }
    }

    fn target(container: &Container) -> Option<(String, String)> {
        let mut on = host(1, "web-1");
        let addresses = ["169.254.1.1", "fd00::1", "10.0.0.5"];
        on.facts =
            Some(HostFacts { addresses: addresses.map(str::to_owned).to_vec(), ..HostFacts::default() });
        let group = group(&on, container)?;
        Some((group.targets[0].clone(), group.labels["__meta_omni_published"].clone()))
    }

    fn expect(container: &Container, address: &str, published: bool) {
        assert_eq!(target(container), Some((address.to_owned(), published.to_string())));
    }

    #[test]
    fn a_published_port_is_reached_through_the_host() {
        expect(&scraped(vec![port(9100, Some(("0.0.0.0", 19100)))]), "10.0.0.5:19100", true);
        expect(&scraped(vec![port(9100, Some(("10.9.9.9", 19100)))]), "10.9.9.9:19100", true);
    }

    #[test]
    fn an_unpublished_port_is_marked() {
        expect(&scraped(vec![port(9100, None)]), "172.17.0.2:9100", false);
        expect(&scraped(vec![port(9100, Some(("127.0.0.1", 9100)))]), "172.17.0.2:9100", false);
    }

    #[test]
    fn the_label_names_the_port_and_the_lowest_is_the_default() {
        let mut one = scraped(vec![port(9200, None), port(9100, None)]);
        expect(&one, "172.17.0.2:9100", false);
        one.labels.insert(LABEL_SCRAPE_PORT.to_owned(), "9300".to_owned());
        expect(&one, "172.17.0.2:9300", false);
        one.labels.insert(LABEL_SCRAPE_PORT.to_owned(), "none".to_owned());
        assert_eq!(target(&one), None);
    }

    #[test]
    fn the_host_network_is_the_host() {
        let mut one = scraped(vec![]);
        one.labels.insert(LABEL_SCRAPE_PORT.to_owned(), "80".to_owned());
        one.networks[0] = NetworkAddress { network: HOST_NETWORK.to_owned(), address: None };
        expect(&one, "10.0.0.5:80", true);
    }

    #[test]
    fn only_running_containers_that_ask_for_it() {
        let mut one = scraped(vec![port(80, None)]);
        one.state = ContainerState::Exited;
        assert_eq!(target(&one), None);
        one.state = ContainerState::Running;
        one.labels.remove(LABEL_SCRAPE);
        assert_eq!(target(&one), None);
    }

    #[test]
    fn ipv6_goes_in_brackets() {
        assert_eq!(join("fd00::1", 80), "[fd00::1]:80");
        assert_eq!(join("db.lan", 80), "db.lan:80");
    }
}
