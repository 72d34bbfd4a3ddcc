//! What containers that omni does not own take of a host.

use crate::state::HostPort;
use omni_common::domain::{Container, ContainerState, HostSample, LABEL_ALLOCATION};
use std::collections::{BTreeMap, BTreeSet};

/// What omni does not own on a host, as its gateway sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreign {
    /// CPU that foreign containers use, thousandths of a core.
    pub millicores: u64,
    /// Memory that they use, bytes.
    pub memory: u64,
    /// Ports that they hold.
    pub ports: Vec<HostPort>,
}

impl Foreign {
    /// Sums up a host's foreign containers.
    pub fn of(containers: &BTreeMap<String, Container>, sample: Option<&HostSample>) -> Self {
        let others: Vec<&Container> = containers.values().filter(|container| is_foreign(container)).collect();
        let ids: BTreeSet<&str> = others.iter().map(|container| container.id.as_str()).collect();
        let mut sum =
            Self { ports: others.iter().flat_map(|container| ports(container)).collect(), ..Self::default() };
        let readings = sample.into_iter().flat_map(|sample| &sample.containers);
        for reading in readings.filter(|reading| ids.contains(reading.id.as_str())) {
            // A percent of one core is ten thousandths of it.
            sum.millicores += (f64::from(reading.cpu_percent.unwrap_or(0.0)) * 10.0).max(0.0) as u64;
            sum.memory += reading.memory_used.unwrap_or(0);
        }
        sum
    }
}

fn is_foreign(container: &Container) -> bool {
    let takes = matches!(
        container.state,
        ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
    );
    takes && !container.labels.contains_key(LABEL_ALLOCATION)
}

fn ports(container: &Container) -> impl Iterator<Item = HostPort> {
    container.ports.iter().filter_map(|port| {
        Some(HostPort { ip: port.host_ip.clone(), port: port.host_port?, protocol: port.protocol.clone() })
    })
}
