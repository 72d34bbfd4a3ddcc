//! An engine made of values.

use crate::executors::converge::names;
use crate::executors::converge::phase::Verdict;
use crate::executors::converge::plan::{Dirs, Memory, Plan, Trouble, View, plan};
use crate::executors::converge::steps::{Action, Step, Target};
use crate::workloads::{Missing, Wish};
use omni_common::clock::Time;
use omni_common::domain::app::{
    AppSpec, Dependency, DependsCondition, Group, GroupName, Healthcheck, RestartPolicy, Service, ServiceName,
};
use omni_common::domain::{
    AllocationState, Container, ContainerState, Health, LABEL_COMPOSE_PROJECT, LABEL_COMPOSE_SERVICE,
    NetworkAddress, Port,
};
use omni_common::ids::{AllocationId, HostId, RunId};
use omni_common::wire::DesiredAllocation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A service in few words: `NAME IMAGE [>OTHER] [>+OTHER] [>.OTHER] [check] [always] [xN] [:PORT]`, where `>` waits for
/// the other to be started, `>+` to be healthy, `>.` to be completed.
pub(super) fn app(services: &[&str]) -> AppSpec {
    let mut spec = AppSpec { name: "shop".to_owned(), ..AppSpec::default() };
    let mut group = Group::default();
    for text in services {
        let (name, service) = service(text);
        group.services.insert(name.clone());
        spec.services.insert(name, service);
    }
    spec.groups.insert(GroupName::main(), group);
    spec
}

pub(super) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a name")
}

fn service(text: &str) -> (ServiceName, Service) {
    let mut words = text.split_whitespace();
    let named = name(words.next().expect("a name"));
    let mut service = Service { image: words.next().map(str::to_owned), ..Service::default() };
    for word in words {
        let depends = |condition| Dependency { condition, restart: false, optional: false };
        if let Some(other) = word.strip_prefix(">+") {
            service.depends_on.insert(name(other), depends(DependsCondition::Healthy));
        } else if let Some(other) = word.strip_prefix(">.") {
            service.depends_on.insert(name(other), depends(DependsCondition::Completed));
        } else if let Some(other) = word.strip_prefix('>') {
            service.depends_on.insert(name(other), depends(DependsCondition::Started));
        } else if let Some(count) = word.strip_prefix('x') {
            service.containers = Some(count.parse().expect("a number"));
        } else if let Some(port) = word.strip_prefix(':') {
            let port = port.parse().expect("a port");
            let mapping = omni_common::domain::app::PortMapping {
                container_port: port,
                host_port: Some(port),
                ..Default::default()
            };
            service.ports.push(mapping);
        } else if word == "check" {
            service.healthcheck =
                Some(Healthcheck { test: vec!["CMD".into(), "ok".into()], ..Healthcheck::default() });
        } else if word == "always" {
            service.restart = Some(RestartPolicy::Always);
        } else {
            panic!("what is `{word}`?");
        }
    }
    (named, service)
}

/// A wish for the app's main group.
pub(super) fn wish(id: u128, release: u64, spec: &AppSpec) -> Wish {
    let allocation = DesiredAllocation {
        id: AllocationId::from_u128(id),
        epoch: release,
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        release,
        spec: spec.digest(),
        exclusive: false,
        run: true,
        purge: false,
        gpus: Vec::new(),
    };
    Wish { allocation, spec: Ok(Arc::new(spec.clone())), lacks: None }
}

/// A wish whose specification has not arrived.
pub(super) fn unknown(mut wish: Wish) -> Wish {
    wish.spec = Err(Missing::Awaited("its specification has not arrived yet".to_owned()));
    wish
}

/// A wish of which a file has not arrived.
pub(super) fn incomplete(mut wish: Wish) -> Wish {
    wish.lacks = Some("a file of its release has not arrived yet".to_owned());
    wish
}

/// The host.
#[derive(Clone)]
pub(super) struct World {
    pub(super) host: String,
    pub(super) wishes: Vec<Wish>,
    pub(super) containers: Vec<Container>,
    pub(super) networks: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) volumes: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) memory: Memory,
    pub(super) held: BTreeSet<String>,
    pub(super) barred: BTreeMap<String, RunId>,
    pub(super) leased: bool,
    pub(super) now: Time,
    pub(super) api: (u32, u32),
    /// What was done, in order.
    pub(super) trace: Vec<String>,
    made: u32,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            host: HostId::from_u128(9).to_string(),
            wishes: Vec::new(),
            containers: Vec::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            memory: Memory::default(),
            held: BTreeSet::new(),
            barred: BTreeMap::new(),
            leased: true,
            now: Time::from_secs(1_800_000_000),
            api: (1, 41),
            trace: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let dirs = Dirs { files: "/data/apps".into(), secrets: "/run/omni/secrets".into() };
        plan(&View {
            host: &self.host,
            wishes: &self.wishes,
            containers: &self.containers,
            networks: &self.networks,
            volumes: Some(&self.volumes),
            api: self.api,
            now: self.now,
            leased: self.leased,
            dirs: &dirs,
            memory: &self.memory,
            held: &self.held,
            barred: &self.barred,
        })
    }

    /// A container that somebody else made.
    pub(super) fn foreign(&mut self, name: &str, port: Option<u16>) {
        let mut container = crate::sim::container(name);
        container.labels.clear();
        container.ports.extend(port.map(|port| Port {
            host_ip: None,
            host_port: Some(port),
            container_port: port,
            protocol: "tcp".to_owned(),
        }));
        self.containers.push(container);
    }

    /// A container that compose made for a service of the project `shop`.
    pub(super) fn composed(&mut self, service: &str, number: u32, port: Option<u16>) -> String {
        let name = format!("shop_{service}_{number}");
        self.foreign(&name, port);
        let container = self.container(&name);
        let labels = [(LABEL_COMPOSE_PROJECT, "shop"), (LABEL_COMPOSE_SERVICE, service)];
        container.labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        container.networks = vec![NetworkAddress { network: "shop_default".to_owned(), address: None }];
        container.id.clone()
    }

    /// Does what is planned until nothing is left to do, and returns what was done since the last call.
    pub(super) fn settle(&mut self) -> Vec<String> {
        for _ in 0..200 {
            let plan = self.plan();
            self.remember(&plan);
            let Some(step) = plan.steps.first() else { return std::mem::take(&mut self.trace) };
            self.perform(&step.clone());
        }
        panic!("it never settles: {:?}", self.trace);
    }

    /// What the runner remembers of a plan.
    fn remember(&mut self, plan: &Plan) {
        for (id, account) in &plan.accounts {
            if let (AllocationState::Healthy, Some(spec)) = (account.verdict.0, &account.spec) {
                self.memory.healthy.insert((*id, spec.clone()));
            }
        }
    }

    pub(super) fn perform(&mut self, step: &Step) {
        let id = step.allocation.unwrap_or(AllocationId::from_u128(0));
        let wished = self.wishes.iter().find(|wish| wish.allocation.id == id);
        let spec = wished.map(|wish| wish.allocation.spec.clone());
        let said = match &step.action {
            Action::Pull { image, .. } => {
                if image.starts_with("fail") {
                    let reason = format!("there is no image {image}");
                    let trouble = Trouble {
                        reason,
                        lasting: true,
                        attempts: 1,
                        again: self.now.plus(Duration::from_secs(60)),
                    };
                    self.memory.troubles.insert(step.key(), trouble);
                } else if let Some(spec) = spec {
                    self.memory.pulled.insert((id, spec, image.clone()));
                }
                format!("pull {image}")
            }
            Action::Lay(layout) => {
                for (name, network) in &layout.networks {
                    self.networks.insert(name.clone(), network.labels.clone());
                }
                for (name, volume) in layout.volumes.iter().filter(|(_, volume)| !volume.spec.external) {
                    self.volumes.entry(name.clone()).or_insert_with(|| volume.labels.clone());
                }
                self.memory.laid.extend(spec.map(|spec| (id, spec)));
                "lay".to_owned()
            }
            Action::Create { name, definition } => {
                self.made += 1;
                assert!(self.containers.iter().all(|known| known.name != *name), "{name} is taken");
                let labels = definition.body.labels.clone().unwrap_or_default().into_iter().collect();
                let first =
                    definition.body.networking_config.clone().and_then(|config| config.endpoints_config);
                let networks = first.unwrap_or_default().into_keys();
                let place = |network| NetworkAddress { network, address: None };
                self.containers.push(Container {
                    id: format!("{:064x}", self.made),
                    state: ContainerState::Created,
                    health: Health::None,
                    image: definition.image().to_owned(),
                    labels,
                    started: None,
                    created: self.now,
                    networks: networks.map(place).collect(),
                    ports: definition
                        .fixed_ports()
                        .into_iter()
                        .map(|(port, protocol)| Port {
                            host_ip: None,
                            host_port: Some(port),
                            container_port: port,
                            protocol,
                        })
                        .collect(),
                    ..crate::sim::container(name)
                });
                format!("create {name}")
            }
            Action::Adopt { target, labels, .. } => {
                let found = self.containers.iter_mut().find(|one| one.id == target.id).expect("it is there");
                assert!(!found.labels.contains_key(names::ALLOCATION), "{} is somebody's", found.name);
                assert!(found.labels.contains_key(LABEL_COMPOSE_PROJECT), "{} is no project's", found.name);
                found.labels.extend(labels.clone());
                format!("adopt {}", target.name)
            }
            Action::Connect { target, network, .. } => {
                let place = NetworkAddress { network: network.clone(), address: None };
                self.at(target).networks.push(place);
                format!("connect {} {network}", target.name)
            }
            Action::Start { target, .. } => {
                let now = self.now;
                let container = self.at(target);
                container.state = ContainerState::Running;
                container.started = Some(now);
                container.health =
                    match (container.image.starts_with("sick"), container.image.contains("checked")) {
                        (true, _) => Health::Unhealthy,
                        (_, true) => Health::Starting,
                        _ => Health::None,
                    };
                format!("start {}", target.name)
            }
            Action::Stop { target, again, .. } => {
                self.end(target, 143);
                self.memory.restarts.entry(target.id.clone()).or_default().stopped |= *again;
                format!("stop {}", target.name)
            }
            Action::Remove(target) => {
                assert!(
                    self.at(target).state != ContainerState::Running,
                    "an engine refuses to remove what runs"
                );
                self.containers.retain(|container| container.id != target.id);
                format!("remove {}", target.name)
            }
            Action::Rename { target, to } => {
                self.at(target).name.clone_from(to);
                format!("rename {} {to}", target.name)
            }
            Action::RemoveNetwork(name) => {
                self.networks.remove(name).expect("it was there");
                format!("remove network {name}")
            }
            Action::RemoveVolume(name) => {
                self.volumes.remove(name).expect("it was there");
                format!("remove volume {name}")
            }
        };
        self.trace.push(said);
    }

    fn end(&mut self, target: &Target, code: i64) {
        let now = self.now;
        let container = self.at(target);
        container.state = ContainerState::Exited;
        (container.exit_code, container.finished, container.health) = (Some(code), Some(now), Health::None);
    }

    fn at(&mut self, target: &Target) -> &mut Container {
        let found =
            self.containers.iter_mut().find(|container| container.id == target.id).expect("it is there");
        assert_eq!(found.labels.get(names::HOST), Some(&self.host), "{} is not this agent's", found.name);
        found
    }

    /// A container by its name.
    pub(super) fn container(&mut self, name: &str) -> &mut Container {
        self.containers.iter_mut().find(|container| container.name == name).expect("it is there")
    }

    /// A container ends by itself.
    pub(super) fn ends(&mut self, name: &str, code: i64) {
        let container = self.container(name);
        let target = Target { id: container.id.clone(), name: container.name.clone() };
        self.end(&target, code);
    }

    pub(super) fn passes(&mut self, secs: u64) {
        self.now = self.now.plus(Duration::from_secs(secs));
    }

    pub(super) fn verdict(&self, id: u128) -> Verdict {
        let plan = self.plan();
        let account = plan.accounts.get(&AllocationId::from_u128(id));
        account.expect("there is an account").verdict.clone()
    }

    /// State and reason in one text.
    pub(super) fn says(&self, id: u128) -> String {
        let (state, reason, _) = self.verdict(id);
        match reason {
            Some(reason) => format!("{state}: {reason}"),
            None => state.to_string(),
        }
    }

    /// Names and states, in order.
    pub(super) fn shows(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .containers
            .iter()
            .map(|container| format!("{} {:?}", container.name, container.state))
            .collect();
        all.sort();
        all
    }
}
