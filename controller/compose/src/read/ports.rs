//! Published ports.

use super::field::Field;
use crate::fault::{FaultKind, quoted};
use crate::report::Report;
use crate::yaml::{Node, Value};
use omni_common::domain::app::{PortMapping, Protocol};
use std::net::IpAddr;

/// Most ports that one service publishes. Each costs the engine a process or a rule.
const MAX_PORTS: usize = 1024;

/// Ports of a service.
pub(super) fn ports(field: &Field<'_>, report: &mut Report) -> Vec<PortMapping> {
    let mut all: Vec<PortMapping> = Vec::new();
    for item in field.items(report) {
        let read = if item.is_mapping() { long(&item, report) } else { short(&item, report) };
        for port in read {
            if !all.contains(&port) {
                all.push(port);
            }
        }
        if all.len() > MAX_PORTS {
            let message = format!("the service publishes more than {MAX_PORTS} ports");
            item.fault(
                report,
                FaultKind::TooLarge,
                message,
                "give it the host's network: `network_mode: host`",
            );
            return Vec::new();
        }
    }
    all
}

fn short(item: &Field<'_>, report: &mut Report) -> Vec<PortMapping> {
    let Some(text) = item.text(report) else { return Vec::new() };
    match parse_short(&text) {
        Ok(ports) => ports,
        Err(why) => {
            let message = format!("`{}` is no port: {why}", quoted(&text));
            item.wrong(
                report,
                message,
                "write `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`, in quotes, e.g. `\"8080:80\"`",
            );
            Vec::new()
        }
    }
}

/// Reads `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`.
pub(super) fn parse_short(text: &str) -> Result<Vec<PortMapping>, String> {
    let (text, protocol) = match text.split_once('/') {
        Some((text, name)) => (text, parse_protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, container) = match text.rsplit_once(':') {
        Some((rest, container)) => (Some(rest), container),
        None => (None, text),
    };
    let container = range(container)?;
    let (address, host) = match rest {
        None => (None, None),
        Some(rest) => match rest.rsplit_once(':') {
            Some((address, host)) => (Some(parse_address(address)?), host_range(host)?),
            None => (None, host_range(rest)?),
        },
    };
    pair_up(container, host, address, protocol)
}

fn host_range(text: &str) -> Result<Option<(u16, u16)>, String> {
    if text.is_empty() || text == "0" { Ok(None) } else { range(text).map(Some) }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(format!("`{}` is not from 1 to 65535", quoted(text))),
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last { Err(format!("the range {first}-{last} runs backwards")) } else { Ok((first, last)) }
}

fn parse_protocol(name: &str) -> Result<Protocol, String> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("`{}` is none of tcp, udp and sctp", quoted(name))),
    }
}

fn parse_address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("`{}` is no address of a host", quoted(text))),
    }
}

/// One mapping for each port: ranges of equal length pair up, one container port may have a range of the host.
fn pair_up(
    container: (u16, u16),
    host: Option<(u16, u16)>,
    host_ip: Option<String>,
    protocol: Protocol,
) -> Result<Vec<PortMapping>, String> {
    let ports = container.0..=container.1;
    let count = usize::from(container.1 - container.0) + 1;
    if count > MAX_PORTS {
        return Err(format!("the range has more than {MAX_PORTS} ports; give it the host's network"));
    }
    let mapping = |container_port, host_port, host_port_last| PortMapping {
        container_port,
        protocol,
        host_ip: host_ip.clone(),
        host_port,
        host_port_last,
        ..PortMapping::default()
    };
    match host {
        None => Ok(ports.map(|port| mapping(port, None, None)).collect()),
        Some((first, last)) if usize::from(last - first) + 1 == count => {
            Ok(ports.zip(first..=last).map(|(port, host)| mapping(port, Some(host), None)).collect())
        }
        Some((first, last)) if count == 1 => Ok(vec![mapping(container.0, Some(first), Some(last))]),
        Some((first, last)) => {
            Err(format!("{count} ports of the container and {} of the host do not pair up", last - first + 1))
        }
    }
}

fn long(item: &Field<'_>, report: &mut Report) -> Vec<PortMapping> {
    let Some(target) = item.get("target") else {
        item.wrong(report, "the port has no `target`", "`target` is the port in the container");
        return Vec::new();
    };
    let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
    let target = target.text(report).unwrap_or_default();
    let published = text("published", report).filter(|published| published != "0" && !published.is_empty());
    let protocol = text("protocol", report).filter(|protocol| !protocol.is_empty());
    let address = text("host_ip", report).filter(|address| !address.is_empty());
    let (name, app_protocol) = (text("name", report), text("app_protocol", report));
    mode(item, report);
    let parts = (|| {
        let protocol = protocol.as_deref().map_or(Ok(Protocol::Tcp), parse_protocol)?;
        let address = address.as_deref().map(parse_address).transpose()?;
        pair_up(range(&target)?, published.as_deref().map(range).transpose()?, address, protocol)
    })();
    match parts {
        Ok(ports) => ports
            .into_iter()
            .map(|port| PortMapping { name: name.clone(), app_protocol: app_protocol.clone(), ..port })
            .collect(),
        Err(why) => {
            item.wrong(report, format!("this is no port: {why}"), "");
            Vec::new()
        }
    }
}

fn mode(item: &Field<'_>, report: &mut Report) {
    let Some(field) = item.get("mode") else { return };
    match field.text(report).as_deref() {
        Some("ingress") => {
            field.note(
                report,
                "there is no ingress network: the port is published on the host that the container is on",
            );
        }
        Some("host") | None => {}
        Some(other) => {
            field.wrong(report, format!("`{}` is no mode of a port", quoted(other)), "write `host`")
        }
    }
}

/// What makes a published port the same in two files.
pub(crate) fn port_key(item: &Node) -> Option<String> {
    let ports = match &item.value {
        Value::Scalar { text, .. } => match parse_short(text) {
            Ok(ports) => ports,
            Err(_) => return Some(text.clone()),
        },
        // A throw-away report: what is wrong is told when the merged document is read.
        Value::Mapping(_) => long(&Field::new(item, ""), &mut Report::new()),
        _ => return None,
    };
    let keys = ports.iter().map(|port| {
        let host = (port.host_ip.as_deref().unwrap_or("0.0.0.0"), port.host_port, port.host_port_last);
        format!("{host:?}:{}/{}", port.container_port, port.protocol.as_str())
    });
    Some(keys.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let one = |port: &PortMapping| {
            let ip = port.host_ip.as_ref().map_or(String::new(), |ip| format!("{ip}|"));
            let last = port.host_port_last.map_or(String::new(), |last| format!("..{last}"));
            let host = port.host_port.map_or("*".to_owned(), |host| host.to_string());
            format!("{ip}{host}{last}>{}/{}", port.container_port, port.protocol.as_str())
        };
        match parse_short(text) {
            Ok(ports) => ports.iter().map(one).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn short_ports() {
        for (text, expected) in [
            ("80", "*>80/tcp"),
            ("8080:80", "8080>80/tcp"),
            ("53:53/udp", "53>53/udp"),
            ("127.0.0.1:8001:80", "127.0.0.1|8001>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1|*>80/tcp"),
            ("[::1]:80:80", "::1|80>80/tcp"),
            ("3000-3001", "*>3000/tcp *>3001/tcp"),
            ("9090-9091:8080-8081", "9090>8080/tcp 9091>8081/tcp"),
            ("8000-9000:80", "8000..9000>80/tcp"),
            ("0:80", "*>80/tcp"),
            ("99999:80", "`99999` is not from 1 to 65535"),
            ("80/icmp", "`icmp` is none of tcp, udp and sctp"),
            ("a:80", "`a` is not from 1 to 65535"),
            ("host:80:80", "`host` is no address of a host"),
            ("90-80:1", "the range 90-80 runs backwards"),
            ("1-3:1-2", "2 ports of the container and 3 of the host do not pair up"),
            ("", "`` is not from 1 to 65535"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }
}
