//! Networks, volumes and published ports.

use super::{ServiceName, unset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A network of the app, on each host that has an allocation of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NetworkSpec {
    /// Name on the host; absent for one derived from the app.
    #[serde(skip_serializing_if = "unset")]
    pub name: Option<String>,
    /// It exists on its own: it is joined, never made or removed.
    #[serde(skip_serializing_if = "unset")]
    pub external: bool,
    /// Driver; absent for `bridge`.
    #[serde(skip_serializing_if = "unset")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "unset")]
    pub driver_opts: BTreeMap<String, String>,
    /// Containers without a network of their own may join by hand.
    #[serde(skip_serializing_if = "unset")]
    pub attachable: bool,
    /// No way out of it.
    #[serde(skip_serializing_if = "unset")]
    pub internal: bool,
    /// With IPv4; absent for the engine's default.
    #[serde(skip_serializing_if = "unset")]
    pub enable_ipv4: Option<bool>,
    /// With IPv6; absent for the engine's default.
    #[serde(skip_serializing_if = "unset")]
    pub enable_ipv6: Option<bool>,
    /// Who gives addresses; absent for the engine's default.
    #[serde(skip_serializing_if = "unset")]
    pub ipam_driver: Option<String>,
    /// Options of that driver.
    #[serde(skip_serializing_if = "unset")]
    pub ipam_options: BTreeMap<String, String>,
    /// Address ranges.
    #[serde(skip_serializing_if = "unset")]
    pub subnets: Vec<Subnet>,
    /// Labels.
    #[serde(skip_serializing_if = "unset")]
    pub labels: BTreeMap<String, String>,
}

/// An address range of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Subnet {
    /// The range, as `address/bits`.
    #[serde(skip_serializing_if = "unset")]
    pub subnet: Option<String>,
    /// The part of it that containers get addresses from.
    #[serde(skip_serializing_if = "unset")]
    pub ip_range: Option<String>,
    /// The gateway's address.
    #[serde(skip_serializing_if = "unset")]
    pub gateway: Option<String>,
    /// Addresses that are taken, by the name of who has them.
    #[serde(skip_serializing_if = "unset")]
    pub aux_addresses: BTreeMap<String, String>,
}

/// A named volume, on each host that has an allocation with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct VolumeSpec {
    /// Name on the host; absent for one derived from the app.
    #[serde(skip_serializing_if = "unset")]
    pub name: Option<String>,
    /// It exists on its own: it is used, never made or removed.
    #[serde(skip_serializing_if = "unset")]
    pub external: bool,
    /// Driver; absent for `local`.
    #[serde(skip_serializing_if = "unset")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "unset")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "unset")]
    pub labels: BTreeMap<String, String>,
}

/// A service's place in one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NetworkJoin {
    /// Further names for it there.
    #[serde(skip_serializing_if = "unset")]
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    #[serde(skip_serializing_if = "unset")]
    pub ipv4_address: Option<String>,
    /// Fixed IPv6 address.
    #[serde(skip_serializing_if = "unset")]
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    #[serde(skip_serializing_if = "unset")]
    pub link_local_ips: Vec<String>,
    /// MAC address there.
    #[serde(skip_serializing_if = "unset")]
    pub mac_address: Option<String>,
    /// Options of the network's driver for this end.
    #[serde(skip_serializing_if = "unset")]
    pub driver_opts: BTreeMap<String, String>,
    /// Networks with a higher number are joined first.
    #[serde(skip_serializing_if = "unset")]
    pub priority: i64,
    /// The network with the highest number gives the default route; engines before 28 have no such thing.
    #[serde(skip_serializing_if = "unset")]
    pub gateway_priority: i64,
}

/// Where a container's network is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// In the networks it names.
    #[default]
    Networks,
    /// The host's own.
    Host,
    /// None.
    None,
    /// The engine's default bridge.
    Bridge,
    /// That of a service beside it.
    Service(ServiceName),
    /// That of a container of the host, by name.
    Container(String),
}

/// A transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its name, as Docker writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A port of a container, published on its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PortMapping {
    /// Port in the container.
    #[serde(skip_serializing_if = "unset")]
    pub container_port: u16,
    /// Transport.
    #[serde(skip_serializing_if = "unset")]
    pub protocol: Protocol,
    /// Address on the host it is bound to; absent for all of them.
    #[serde(skip_serializing_if = "unset")]
    pub host_ip: Option<String>,
    /// Port on the host; the first of the range when several will do; absent for any free one.
    #[serde(skip_serializing_if = "unset")]
    pub host_port: Option<u16>,
    /// Last port of that range; absent when it has to be `host_port`.
    #[serde(skip_serializing_if = "unset")]
    pub host_port_last: Option<u16>,
    /// A name for people.
    #[serde(skip_serializing_if = "unset")]
    pub name: Option<String>,
    /// What is spoken on it, e.g. `http`.
    #[serde(skip_serializing_if = "unset")]
    pub app_protocol: Option<String>,
}
