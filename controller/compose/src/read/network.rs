//! A service's place in the network.

use super::Reader;
use super::field::Field;
use super::ports::ports;
use super::process::namespace;
use crate::fault::{FaultKind, quoted};
use crate::report::Report;
use omni_common::domain::app::{Namespace, NetworkJoin, NetworkMode, Service, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the network of services that name none.
pub(crate) const DEFAULT: &str = "default";

/// Reads the network of a service.
pub(super) fn read(service: &mut Service, field: &Field<'_>, reader: &mut Reader<'_>) {
    let text = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.text(report));
    service.hostname = text("hostname", reader.report);
    service.domainname = text("domainname", reader.report);
    service.mac_address = text("mac_address", reader.report);
    let list = |key: &str, report: &mut Report| {
        field.get(key).map(|field| field.texts_or_one(report)).unwrap_or_default()
    };
    service.dns = list("dns", reader.report);
    service.dns_opt = list("dns_opt", reader.report);
    service.dns_search = list("dns_search", reader.report);
    service.extra_hosts =
        field.get("extra_hosts").map(|field| extra_hosts(&field, reader.report)).unwrap_or_default();
    service.expose = field.get("expose").map(|field| expose(&field, reader.report)).unwrap_or_default();
    service.ports = field.get("ports").map(|field| ports(&field, reader.report)).unwrap_or_default();
    service.links = field.get("links").map(|field| links(&field, reader)).unwrap_or_default();
    service.network_mode = field.get("network_mode").map(|field| mode(&field, reader)).unwrap_or_default();
    if let Some(networks) = field.get("networks") {
        service.networks = joins(&networks, reader);
    }
    check_mode(service, field, reader);
}

fn mode(field: &Field<'_>, reader: &mut Reader<'_>) -> NetworkMode {
    if field.node.text() == Some("bridge") {
        return NetworkMode::Bridge;
    }
    if field.node.text() == Some("default") {
        return NetworkMode::Networks;
    }
    match namespace(field, &["host", "none", "service", "container", "bridge"], reader) {
        Some(Namespace::Host) => NetworkMode::Host,
        Some(Namespace::None) => NetworkMode::None,
        Some(Namespace::Service(name)) => NetworkMode::Service(name),
        Some(Namespace::Container(name)) => NetworkMode::Container(name),
        _ => NetworkMode::Networks,
    }
}

fn check_mode(service: &mut Service, field: &Field<'_>, reader: &mut Reader<'_>) {
    if service.network_mode == NetworkMode::Networks {
        if field.get("networks").is_none_or(|field| field.entries_or_items() == 0)
            && service.networks.is_empty()
        {
            service.networks.insert(DEFAULT.to_owned(), NetworkJoin::default());
            reader.uses_default_network();
        }
        return;
    }
    if let Some(networks) = field.get("networks").filter(|_| !service.networks.is_empty()) {
        let message = "`networks` and `network_mode` exclude each other";
        networks.fault(reader.report, FaultKind::Conflict, message, "keep one of them");
    }
    if let Some(ports) = field.get("ports").filter(|_| !service.ports.is_empty()) {
        match service.network_mode {
            NetworkMode::Host => {
                ports.note(
                    reader.report,
                    "with the host's network every port is open already; these say nothing",
                );
            }
            NetworkMode::Bridge => {}
            _ => {
                let message = "without a network of its own a service publishes no ports";
                ports.fault(
                    reader.report,
                    FaultKind::Conflict,
                    message,
                    "publish them at the service whose network it has",
                );
            }
        }
        if service.network_mode == NetworkMode::Host {
            service.ports.clear();
        }
    }
}

fn joins(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, NetworkJoin> {
    let mut all = BTreeMap::new();
    if field.is_list() {
        for item in field.items(reader.report) {
            if let Some(name) = item.text(reader.report) {
                reader.uses("networks", &name, &item);
                all.insert(name, NetworkJoin::default());
            }
        }
        return all;
    }
    for (name, part) in field.entries(reader.report) {
        reader.uses("networks", name, &part);
        all.insert(name.to_owned(), join(&part, reader.report));
    }
    all
}

fn join(field: &Field<'_>, report: &mut Report) -> NetworkJoin {
    if field.node.is_null() {
        return NetworkJoin::default();
    }
    let texts =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.texts(report)).unwrap_or_default();
    let number = |key: &str, report: &mut Report| {
        field.get(key).and_then(|field| field.integer(report, -1_000_000, 1_000_000))
    };
    NetworkJoin {
        aliases: texts("aliases", report),
        ipv4_address: address(field, "ipv4_address", report),
        ipv6_address: address(field, "ipv6_address", report),
        link_local_ips: texts("link_local_ips", report),
        mac_address: field.get("mac_address").and_then(|field| field.text(report)),
        driver_opts: field.get("driver_opts").map(|field| field.map(report)).unwrap_or_default(),
        priority: number("priority", report).unwrap_or_default(),
        gateway_priority: number("gw_priority", report).unwrap_or_default(),
    }
}

fn address(field: &Field<'_>, key: &str, report: &mut Report) -> Option<String> {
    let field = field.get(key)?;
    let text = field.text(report)?;
    let fine = if key == "ipv4_address" {
        text.parse::<std::net::Ipv4Addr>().is_ok()
    } else {
        text.parse::<std::net::Ipv6Addr>().is_ok()
    };
    if !fine {
        field.wrong(report, format!("`{}` is no such address", quoted(&text)), "");
    }
    fine.then_some(text)
}

/// `name:address` lines; an address may itself have colons, or be `host-gateway`.
pub(super) fn extra_hosts(field: &Field<'_>, report: &mut Report) -> Vec<String> {
    let mut lines = Vec::new();
    if field.is_list() {
        for item in field.items(report) {
            let Some(text) = item.text(report) else { continue };
            match text
                .split_once(['=', ':'])
                .filter(|(name, address)| !name.is_empty() && !address.is_empty())
            {
                Some((name, address)) => lines.push(host_line(name, address)),
                None => item.wrong(report, format!("`{}` is no host", quoted(&text)), "write `NAME:ADDRESS`"),
            }
        }
        return lines;
    }
    for (name, part) in field.entries(report) {
        lines.extend(part.texts_or_one(report).iter().map(|address| host_line(name, address)));
    }
    lines
}

fn host_line(name: &str, address: &str) -> String {
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    format!("{name}:{bare}")
}

fn expose(field: &Field<'_>, report: &mut Report) -> BTreeSet<String> {
    let mut ports = BTreeSet::new();
    for item in field.items(report) {
        let Some(text) = item.text(report) else { continue };
        match super::ports::parse_short(&text) {
            Ok(read) if read.iter().all(|port| port.host_port.is_none() && port.host_ip.is_none()) => {
                ports.extend(
                    read.iter().map(|port| format!("{}/{}", port.container_port, port.protocol.as_str())),
                );
            }
            _ => item.wrong(report, format!("`{}` is no port", quoted(&text)), "write `PORT[/PROTOCOL]`"),
        }
    }
    ports
}

fn links(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, ServiceName> {
    let mut all = BTreeMap::new();
    for item in field.items(reader.report) {
        let Some(text) = item.text(reader.report) else { continue };
        let (service, alias) = text.split_once(':').unwrap_or((&text, &text));
        if let Some(service) = reader.service_name(service, &item) {
            all.insert(alias.to_owned(), service);
        }
    }
    all
}
