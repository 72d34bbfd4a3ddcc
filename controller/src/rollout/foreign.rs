//! What containers that omni does not own take of a host.

use crate::state::HostPort;
use omni_common::domain::{
    Container, ContainerSample, ContainerState, GpuSample, HostSample, LABEL_ALLOCATION,
    LABEL_COMPOSE_PROJECT,
};
use std::collections::BTreeMap;

/// What omni does not own on a host, as its gateway sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreign {
    /// What foreign containers take, by their compose project; those of none under an empty name.
    pub projects: BTreeMap<String, Taken>,
    /// What processes outside omni's containers take of cards, by index.
    pub gpus: BTreeMap<u32, ForeignGpu>,
}

/// What containers take of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// CPU that they use, thousandths of a core.
    pub millicores: u64,
    /// Memory that they use, bytes.
    pub memory: u64,
    /// Ports that they hold.
    pub ports: Vec<HostPort>,
}

/// What is taken of one card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForeignGpu {
    /// Memory, bytes.
    pub memory: u64,
    /// Processes that work on it.
    pub users: u32,
}

/// A process of the host itself that has less than this part of a card's memory draws windows with it, and leaves it to
/// others; a card that draws a desktop would be good for nothing else otherwise.
const DRAWS: u64 = 8;

impl Foreign {
    /// Sums up a host's foreign containers.
    pub fn of(containers: &BTreeMap<String, Container>, sample: Option<&HostSample>) -> Self {
        let mut sum = Self::default();
        let readings: BTreeMap<&str, &ContainerSample> = sample
            .into_iter()
            .flat_map(|sample| &sample.containers)
            .map(|reading| (reading.id.as_str(), reading))
            .collect();
        for container in containers.values().filter(|container| is_foreign(container)) {
            let project = container.labels.get(LABEL_COMPOSE_PROJECT).cloned().unwrap_or_default();
            let taken = sum.projects.entry(project).or_default();
            taken.ports.extend(ports(container));
            if let Some(reading) = readings.get(container.id.as_str()) {
                // A percent of one core is ten thousandths of it.
                taken.millicores += (f64::from(reading.cpu_percent.unwrap_or(0.0)) * 10.0).max(0.0) as u64;
                taken.memory += reading.memory_used.unwrap_or(0);
            }
        }
        let cards = sample.into_iter().flat_map(|sample| &sample.gpus);
        sum.gpus = cards.map(|card| (card.index, foreign_gpu(card, containers))).collect();
        sum
    }

    /// What is taken by others than these projects.
    pub(super) fn without(&self, adopted: impl Fn(&str) -> bool) -> Taken {
        let mut sum = Taken::default();
        for (_, taken) in self.projects.iter().filter(|(project, _)| !adopted(project)) {
            sum.millicores += taken.millicores;
            sum.memory += taken.memory;
            sum.ports.extend(taken.ports.iter().cloned());
        }
        sum
    }
}

fn foreign_gpu(card: &GpuSample, containers: &BTreeMap<String, Container>) -> ForeignGpu {
    let mut sum = ForeignGpu::default();
    for process in &card.processes {
        let container = process.container.as_ref().and_then(|id| containers.get(id));
        if container.is_some_and(|container| container.labels.contains_key(LABEL_ALLOCATION)) {
            continue;
        }
        let memory = process.memory.unwrap_or(0);
        let draws =
            process.container.is_none() && card.memory_total.is_some_and(|total| memory < total / DRAWS);
        sum.memory += memory;
        sum.users += u32::from(!draws);
    }
    sum
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::container;
    use omni_common::domain::{GpuProcess, Port};

    #[test]
    fn a_project_that_is_taken_over_takes_nothing_from_others() {
        let one = |id: &str, project: Option<&str>, port| {
            let mut one = container(id, id);
            let label = |project: &str| (LABEL_COMPOSE_PROJECT.to_owned(), project.to_owned());
            one.labels.extend(project.map(label));
            one.ports.push(Port {
                host_ip: None,
                host_port: Some(port),
                container_port: 80,
                protocol: "tcp".to_owned(),
            });
            (id.to_owned(), one)
        };
        let all = [one("a", Some("shop"), 80), one("b", Some("wiki"), 81), one("c", None, 82)].into();
        let foreign = Foreign::of(&all, None);
        let ports = |adopted: &str| {
            let taken = foreign.without(|project| project == adopted);
            let mut ports: Vec<u16> = taken.ports.iter().map(|port| port.port).collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!((ports("shop"), ports("other")), (vec![81, 82], vec![80, 81, 82]));
    }

    #[test]
    fn a_card_belongs_to_whoever_works_on_it() {
        let mut own = container("own", "shop-web");
        own.labels.insert(LABEL_ALLOCATION.to_owned(), "1".to_owned());
        let other = container("other", "notebook");
        let containers = [own, other].map(|one| (one.id.clone(), one)).into();
        let process = |container: Option<&str>, memory| GpuProcess {
            pid: 1,
            name: None,
            container: container.map(str::to_owned),
            memory,
        };
        let taken = |processes| {
            let card = GpuSample {
                index: 0,
                utilisation: None,
                memory_utilisation: None,
                memory_used: None,
                memory_total: Some(800),
                temperature: None,
                power: None,
                power_limit: None,
                fan: None,
                processes,
            };
            let sample = HostSample { gpus: vec![card], ..HostSample::default() };
            Foreign::of(&containers, Some(&sample)).gpus[&0]
        };
        assert_eq!(taken(vec![process(Some("own"), Some(700))]), ForeignGpu::default());
        assert_eq!(taken(vec![process(Some("other"), Some(10))]), ForeignGpu { memory: 10, users: 1 });
        assert_eq!(taken(vec![process(None, Some(99))]), ForeignGpu { memory: 99, users: 0 }, "it draws");
        assert_eq!(taken(vec![process(None, Some(100))]), ForeignGpu { memory: 100, users: 1 });
        assert_eq!(taken(vec![process(Some("gone"), None)]), ForeignGpu { memory: 0, users: 1 });
    }
}
