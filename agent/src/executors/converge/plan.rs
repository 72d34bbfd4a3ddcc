//! From what is desired and what is there to what is to be done now. Pure.
//!
//! ```text
//! wishes ─▶ definitions (definition.rs) ─┐
//! containers, by their labels ───────────┴─▶ kept, missing, outdated, left over
//!     missing ─▶ pull, lay ─▶ (outdated and left over stop and go) ─▶ create ─▶ connect ─▶ start, when what it
//!     stands on is as far as its condition asks and, for exclusive ones, the lease is valid
//! ```
//!
//! A plan holds only what can be done at once; when that is done the next plan is made from what the engine says then. So
//! a kill at any moment loses nothing, and there is one way for the first start, a new release and a repair.
//!
//! - A container belongs to the instance (environment, app, group, slot) that its labels name. A new release takes over
//!   the containers of an allocation that is no longer desired where their definition is the same; all others of it make
//!   way, but not before everything that the new release needs is on the host: an image that cannot be pulled stops
//!   nothing.
//! - What no label of omni's is on is never touched. It can only be in the way, and then the allocation fails by name; or the
//!   release names it as one to be taken over (`adopt.rs`).

mod adopt;
mod going;

use super::definition::{self, DEFAULT_NETWORK, Definition, Scene};
use super::names::{self, Own, SlotKey};
use super::phase::{self, Part, Phase, RestartBook, Restarts, Situation, Verdict};
use super::steps::{Action, Layout, Step, Target, Thing};
use super::{mounts, order};
use crate::workloads::Wish;
use omni_common::clock::Time;
use omni_common::domain::app::{
    AppSpec, ContentDigest, DependsCondition, Group, MountSource, NetworkMode, PullPolicy, Service,
    ServiceName,
};
use omni_common::domain::{AllocationState, Container, ContainerState, Health};
use omni_common::ids::{AllocationId, RunId};
use omni_common::wire::DesiredAllocation;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// This host's id, as on its containers.
    pub host: &'a str,
    /// What is desired.
    pub wishes: &'a [Wish],
    /// All containers of the host.
    pub containers: &'a [Container],
    /// The networks that carry omni's labels: name and labels.
    pub networks: &'a BTreeMap<String, BTreeMap<String, String>>,
    /// The volumes that carry omni's labels: name and labels. Absent while they are not known, which only matters when
    /// some are to go.
    pub volumes: Option<&'a BTreeMap<String, BTreeMap<String, String>>>,
    /// The engine's API version.
    pub api: (u32, u32),
    /// The wall clock, which is also the engine's.
    pub now: Time,
    /// Exclusive allocations may run.
    pub leased: bool,
    /// Where files lie.
    pub dirs: &'a Dirs,
    /// What was learned by doing.
    pub memory: &'a Memory,
    /// Ids of the containers that a backup has stopped, and will release.
    pub held: &'a BTreeSet<String>,
    /// Volumes whose data is not whole, by their names on the host, and the run that should have restored it.
    pub barred: &'a BTreeMap<String, RunId>,
}

/// Where files of apps lie on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// On disk.
    pub files: PathBuf,
    /// In memory, for secrets.
    pub secrets: PathBuf,
}

/// What was learned by doing, and is learned again after a restart.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Images that were found or pulled for a specification.
    pub pulled: BTreeSet<(AllocationId, ContentDigest, String)>,
    /// Specifications whose networks, volumes and files are there.
    pub laid: BTreeSet<(AllocationId, ContentDigest)>,
    /// Specifications that were healthy.
    pub healthy: BTreeSet<(AllocationId, ContentDigest)>,
    /// What went wrong, by the key of the step.
    pub troubles: BTreeMap<String, Trouble>,
    /// How pulls are doing, by allocation.
    pub progress: BTreeMap<AllocationId, String>,
    /// Containers that were started again.
    pub restarts: RestartBook,
    /// Containers that the engine was asked to start and has not answered for: they may run at any moment.
    pub starting: BTreeSet<String>,
}

/// A step that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One sentence.
    pub reason: String,
    /// Trying again is not expected to help, though it is tried.
    pub lasting: bool,
    /// How often in a row.
    pub attempts: u32,
    /// When it is tried again.
    pub again: Time,
}

/// What is to be done now, and how far everything is.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// To be done at once, in any order.
    pub steps: Vec<Step>,
    /// How far each allocation is that is desired, or of which something is left.
    pub accounts: BTreeMap<AllocationId, Account>,
    /// When to plan again at the latest, because time alone changes the answer.
    pub wake: Option<Time>,
    /// The files that something desired needs; absent while that is not known of everything.
    pub files: Option<BTreeSet<PathBuf>>,
}

/// How far an allocation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The epoch that this is about.
    pub epoch: u64,
    /// State, reason, and the container whose log says more.
    pub verdict: Verdict,
    /// Its specification, when it is desired.
    pub spec: Option<ContentDigest>,
}

/// Makes the plan.
pub fn plan(view: &View<'_>) -> Plan {
    let own: Vec<Own<'_>> =
        view.containers.iter().filter_map(|container| Own::read(container, view.host)).collect();
    let wished: BTreeSet<AllocationId> = view.wishes.iter().map(|wish| wish.allocation.id).collect();
    let mut planner = Planner {
        view,
        own: &own,
        left: own.iter().filter(|own| !wished.contains(&own.allocation)).collect(),
        plan: Plan { files: Some(BTreeSet::new()), ..Plan::default() },
        networks: BTreeSet::new(),
    };
    // What runs first: it takes over containers of older allocations that what is to stop would take along.
    let (run, rest): (Vec<&Wish>, Vec<&Wish>) = view.wishes.iter().partition(|wish| wish.allocation.run);
    // All of it before any step: nobody may wait for a container to stop that another one takes over.
    let laid: Vec<_> = run.into_iter().map(|wish| (wish, planner.lay(wish))).collect();
    for (wish, laid) in laid {
        let account = planner.bring_up(wish, laid);
        planner.plan.accounts.insert(wish.allocation.id, account);
    }
    for wish in rest {
        let account = if wish.allocation.purge { planner.purge(wish) } else { planner.take_down(wish) };
        planner.plan.accounts.insert(wish.allocation.id, account);
    }
    planner.retire_left_over();
    planner.remove_networks();
    planner.plan
}

struct Planner<'a> {
    view: &'a View<'a>,
    own: &'a [Own<'a>],
    /// Containers of allocations that are no longer desired, and that nobody has taken over or holds on to.
    left: Vec<&'a Own<'a>>,
    plan: Plan,
    /// Names of the networks that something desired is in.
    networks: BTreeSet<String>,
}

/// What is to be and what is there of one allocation, side by side.
struct Match<'a> {
    definitions: Vec<Definition>,
    /// The container for each definition, in the same order.
    kept: Vec<Option<&'a Own<'a>>>,
    /// Containers of the allocation that are to go.
    outdated: Vec<&'a Own<'a>>,
}

/// An allocation that is to run, laid beside what is there.
struct Laid<'a> {
    spec: &'a AppSpec,
    group: &'a Group,
    matched: Match<'a>,
}

impl<'a> Planner<'a> {
    /// Says what the allocation is to have, and takes over what is there of it.
    fn lay(&mut self, wish: &'a Wish) -> Result<Laid<'a>, Verdict> {
        let (spec, group, definitions) = self.target(wish)?;
        if let Some(verdict) = self.adopt(wish, spec, &definitions) {
            return Err(verdict);
        }
        Ok(Laid { spec, group, matched: self.matched(&wish.allocation, spec, definitions) })
    }

    fn bring_up(&mut self, wish: &'a Wish, laid: Result<Laid<'a>, Verdict>) -> Account {
        let allocation = &wish.allocation;
        let verdict = match laid {
            Ok(laid) => self.converge(wish, &laid),
            Err(verdict) => {
                // What cannot even be read stops nothing that runs.
                self.plan.files = None;
                let mine = SlotKey::from(allocation);
                self.hold(&mine, allocation);
                verdict
            }
        };
        Account { epoch: allocation.epoch, verdict, spec: Some(allocation.spec.clone()) }
    }

    /// The containers that the allocation is to have.
    fn target(&mut self, wish: &'a Wish) -> Result<(&'a AppSpec, &'a Group, Vec<Definition>), Verdict> {
        let failed = |reason: String| (AllocationState::Failed, Some(reason), None);
        if let Some((state, reason)) = wish.reason() {
            return Err((state, reason, None));
        }
        let Ok(spec) = &wish.spec else { return Err(failed("its specification is not here".to_owned())) };
        let group = spec.groups.iter().find(|(name, _)| name.as_str() == wish.allocation.group);
        let (_, group) =
            group.ok_or_else(|| failed(format!("the release has no group {}", wish.allocation.group)))?;
        let heights = order::heights(spec, group).map_err(failed)?;
        let scene = self.scene(wish, spec, group);
        self.networks.extend(scene.networks.values().cloned());
        let mut sorted: Vec<(&ServiceName, u32)> = heights.into_iter().collect();
        sorted.sort_by_key(|&(name, height)| (height, name));
        let mut definitions = Vec::new();
        for (name, height) in sorted {
            definitions.extend(definition::define(&scene, name, height).map_err(failed)?);
        }
        let files = definitions.iter().flat_map(|definition| &definition.files);
        if let Some(kept) = &mut self.plan.files {
            kept.extend(files.map(|file| file.path().to_owned()));
        }
        Ok((spec, group, definitions))
    }

    /// The networks' names on this host.
    fn network_names(
        &self,
        allocation: &DesiredAllocation,
        key: &SlotKey,
        spec: &AppSpec,
        group: &Group,
    ) -> BTreeMap<String, String> {
        let services = group.services.iter().filter_map(|name| spec.services.get(name));
        let joined: BTreeSet<&str> = services
            .filter(|service| service.network_mode == NetworkMode::Networks)
            .flat_map(|service| match service.networks.is_empty() {
                true => vec![DEFAULT_NETWORK],
                false => service.networks.keys().map(String::as_str).collect(),
            })
            .collect();
        let name = |network: &str| self.network_name(allocation, key, spec, group, network);
        joined.into_iter().map(|network| (network.to_owned(), name(network))).collect()
    }

    fn network_name(
        &self,
        allocation: &DesiredAllocation,
        key: &SlotKey,
        spec: &AppSpec,
        group: &Group,
        network: &str,
    ) -> String {
        let told = spec.networks.get(network);
        if let Some(name) = told.and_then(|told| told.name.clone()) {
            return name;
        }
        if told.is_some_and(|told| told.external) {
            return network.to_owned();
        }
        let infix = if key.group == "main" { String::new() } else { format!("_{}", key.group) };
        let base = format!("{}{infix}_{network}", key.prefix(group));
        let interim = names::interim(&base, allocation.id);
        let in_it = |name: &str, others: bool| {
            let theirs = |own: &&Own<'_>| {
                others
                    == (own.allocation != allocation.id
                        && !self.left.iter().any(|left| left.container.id == own.container.id))
            };
            let slot = self.own.iter().filter(|own| own.slot == *key).filter(theirs);
            slot.flat_map(|own| &own.container.networks).any(|place| place.network == name)
        };
        match in_it(&interim, false) || (in_it(&base, true) && !in_it(&base, false)) {
            true => interim,
            false => base,
        }
    }

    /// Brings an allocation whose containers are known one step further.
    fn converge(&mut self, wish: &'a Wish, laid: &Laid<'a>) -> Verdict {
        let Laid { spec, group, matched } = laid;
        let allocation = &wish.allocation;
        let newer = matched.outdated.iter().chain(matched.kept.iter().flatten()).map(|own| own.epoch).max();
        let mut situation = Situation {
            was_healthy: self.view.memory.healthy.contains(&(allocation.id, allocation.spec.clone())),
            ..Situation::default()
        };
        if newer.is_some_and(|newer| newer > allocation.epoch) {
            situation.waiting =
                Some("an instance of a newer epoch runs here, which is left alone".to_owned());
        } else {
            self.steps(wish, spec, group, matched, &mut situation);
        }
        phase::judge(&self.parts(matched), &situation)
    }

    /// Lays what is to be beside what is there.
    fn matched(
        &mut self,
        allocation: &DesiredAllocation,
        spec: &'a AppSpec,
        definitions: Vec<Definition>,
    ) -> Match<'a> {
        let key = SlotKey::from(allocation);
        let mut mine: Vec<&Own<'_>> = self.own.iter().filter(|own| own.allocation == allocation.id).collect();
        let mut ids: BTreeMap<&ServiceName, String> = BTreeMap::new();
        let mut kept = Vec::new();
        for definition in &definitions {
            let Some((name, service)) = spec.services.get_key_value(&definition.service) else { continue };
            let joins: Vec<String> = order::joined(service)
                .into_iter()
                .map(|other| ids.get(other).cloned().unwrap_or_default())
                .collect();
            let fits = |own: &&&Own<'_>| {
                own.slot == key
                    && own.service == name.as_str()
                    && own.number == definition.number
                    && own.definition == definition.hash()
                    && own.container.labels.get(names::JOINS).map_or("", String::as_str) == joins.join(",")
                    && !matches!(own.container.state, ContainerState::Removing | ContainerState::Dead)
            };
            let found = mine.iter().find(fits).or_else(|| self.left.iter().find(fits)).copied();
            if let Some(found) = found {
                mine.retain(|own| own.container.id != found.container.id);
                self.left.retain(|own| own.container.id != found.container.id);
                if definition.number == 1 {
                    ids.insert(name, found.container.id.clone());
                }
            }
            kept.push(found);
        }
        Match { definitions, kept, outdated: mine }
    }

    fn steps(
        &mut self,
        wish: &'a Wish,
        spec: &'a AppSpec,
        group: &'a Group,
        matched: &Match<'a>,
        situation: &mut Situation,
    ) {
        let allocation = &wish.allocation;
        let key = SlotKey::from(allocation);
        let missing: Vec<&Definition> = matched
            .definitions
            .iter()
            .zip(&matched.kept)
            .filter(|(_, kept)| kept.is_none())
            .map(|(definition, _)| definition)
            .collect();
        let idle = matched.kept.iter().flatten().any(|own| !phase::is_alive(own.container));
        situation.impossible = missing.iter().find_map(|definition| self.foreign(definition));
        if situation.impossible.is_some()
            || !self.ready(wish, spec, group, matched, &missing, idle, situation)
        {
            // The older containers run on until everything is there that replaces them.
            self.hold(&key, allocation);
            return;
        }
        let before: Vec<&Own<'_>> = matched
            .outdated
            .iter()
            .copied()
            .chain(self.left.iter().copied().filter(|own| own.slot == key))
            .collect();
        self.retire(&matched.outdated);
        match before.first() {
            Some(first) if !missing.is_empty() => {
                situation.waiting = Some(format!("waits for {} to stop and make way", first.container.name));
            }
            _ => self.create(allocation, spec, matched, situation),
        }
        self.mend(allocation, matched);
        self.start(wish, spec, group, matched, situation);
    }

    /// Whether images, networks, volumes and files are there; has them got ready otherwise.
    #[allow(clippy::too_many_arguments, reason = "one allocation's whole picture")]
    fn ready(
        &mut self,
        wish: &'a Wish,
        spec: &AppSpec,
        group: &Group,
        matched: &Match<'a>,
        missing: &[&Definition],
        idle: bool,
        situation: &mut Situation,
    ) -> bool {
        if missing.is_empty() && !idle {
            return true;
        }
        let (id, digest) = (wish.allocation.id, &wish.allocation.spec);
        let mut ready = true;
        for definition in missing {
            let image = definition.image();
            if self.view.memory.pulled.contains(&(id, digest.clone(), image.to_owned())) {
                continue;
            }
            ready = false;
            let service = &spec.services[&definition.service];
            let policy = service.pull_policy.unwrap_or(PullPolicy::Missing);
            let action =
                Action::Pull { image: image.to_owned(), policy, platform: definition.platform.clone() };
            let progress = self.view.memory.progress.get(&id).cloned();
            situation.preparing.get_or_insert(progress.unwrap_or_else(|| format!("gets the image {image}")));
            self.push(Some(id), action, situation);
        }
        if !self.view.memory.laid.contains(&(id, digest.clone())) {
            ready = false;
            let layout = self.layout(wish, spec, group, &matched.definitions);
            situation.preparing.get_or_insert_with(|| "gets networks, volumes and files ready".to_owned());
            self.push(Some(id), Action::Lay(layout), situation);
        }
        ready
    }

    fn layout(&self, wish: &Wish, spec: &AppSpec, group: &Group, definitions: &[Definition]) -> Layout {
        let key = SlotKey::from(&wish.allocation);
        let scene = self.scene(wish, spec, group);
        let mut layout = Layout::default();
        for (name, on_host) in &scene.networks {
            let told = spec.networks.get(name).cloned().unwrap_or_default();
            let mut labels = told.labels.clone();
            labels.extend(key.labels());
            labels.insert(names::HOST.to_owned(), self.view.host.to_owned());
            labels.insert(names::NETWORK.to_owned(), name.clone());
            let named = told.name.is_some();
            layout.networks.insert(on_host.clone(), Thing { spec: told, labels, named });
        }
        let services = group.services.iter().filter_map(|name| spec.services.get(name));
        for mount in services.flat_map(|service| &service.mounts) {
            let MountSource::Volume(volume) = &mount.source else { continue };
            let Some(name) = &volume.volume else { continue };
            layout.volumes.insert(mounts::volume_name(&scene, name), mounts::volume_thing(spec, &key, name));
        }
        let files: BTreeSet<_> =
            definitions.iter().flat_map(|definition| definition.files.iter().cloned()).collect();
        layout.files = files.into_iter().collect();
        layout
    }

    fn scene<'b>(&self, wish: &'b Wish, spec: &'b AppSpec, group: &'b Group) -> Scene<'b>
    where
        'a: 'b,
    {
        let key = SlotKey::from(&wish.allocation);
        Scene {
            allocation: &wish.allocation,
            spec,
            group,
            host: self.view.host,
            api: self.view.api,
            files: key.folder(&self.view.dirs.files),
            secrets: key.folder(&self.view.dirs.secrets),
            networks: self.network_names(&wish.allocation, &key, spec, group),
        }
    }

    /// A sentence about a container that is not omni's and has what this one needs.
    fn foreign(&self, definition: &Definition) -> Option<String> {
        let theirs =
            || self.view.containers.iter().filter(|container| Own::read(container, self.view.host).is_none());
        if let Some(holder) = theirs().find(|container| container.name == definition.name) {
            return Some(format!(
                "the name {} is taken by a container that this agent did not make (id {}, image {}): rename or remove it",
                definition.name,
                holder.short_id(),
                holder.image
            ));
        }
        let running = theirs().filter(|container| phase::is_alive(container));
        let ports = definition.fixed_ports();
        let clash = running.flat_map(|container| container.ports.iter().map(move |port| (container, port)));
        clash.filter_map(|(container, port)| Some((container, port.host_port?, port))).find_map(
            |(container, number, port)| {
                let same =
                    |(wanted, protocol): &(u16, String)| *wanted == number && *protocol == port.protocol;
                ports.iter().any(same).then(|| {
                format!(
                    "port {number}/{} is taken by the container {} (image {}), which this agent did not make",
                    port.protocol, container.name, container.image
                )
            })
            },
        )
    }

    fn create(
        &mut self,
        allocation: &DesiredAllocation,
        spec: &AppSpec,
        matched: &Match<'a>,
        situation: &mut Situation,
    ) {
        let mut ids: BTreeMap<&ServiceName, String> = BTreeMap::new();
        for (definition, kept) in matched.definitions.iter().zip(&matched.kept) {
            if let Some(own) = kept.filter(|_| definition.number == 1) {
                ids.insert(&definition.service, own.container.id.clone());
            }
        }
        for (definition, kept) in matched.definitions.iter().zip(&matched.kept) {
            let service = &spec.services[&definition.service];
            if kept.is_some() || order::joined(service).into_iter().any(|other| !ids.contains_key(other)) {
                continue;
            }
            if let Some(holder) = self.holder_of_port(definition) {
                situation.waiting = Some(holder);
                continue;
            }
            let taken = self.view.containers.iter().any(|container| container.name == definition.name);
            let name =
                if taken { names::interim(&definition.name, allocation.id) } else { definition.name.clone() };
            let definition = Box::new(definition.join(service, &ids));
            self.push(Some(allocation.id), Action::Create { name, definition }, situation);
        }
    }

    /// A sentence about another container of omni's that still has a port of this one.
    fn holder_of_port(&self, definition: &Definition) -> Option<String> {
        let ports = definition.fixed_ports();
        let held = self.own.iter().filter(|own| phase::is_alive(own.container));
        let mut held = held.flat_map(|own| own.container.ports.iter().map(move |port| (own, port)));
        held.find_map(|(own, port)| {
            let number = port.host_port?;
            let same = |(wanted, protocol): &(u16, String)| *wanted == number && *protocol == port.protocol;
            ports.iter().any(same).then(|| {
                format!("waits for {} to give up port {number}/{}", own.container.name, port.protocol)
            })
        })
    }

    /// Gives containers that are there the networks and names that they lack.
    fn mend(&mut self, allocation: &DesiredAllocation, matched: &Match<'a>) {
        let mut unused = Situation::default();
        for (definition, own) in matched.definitions.iter().zip(&matched.kept) {
            let Some(own) = own else { continue };
            let has: BTreeSet<&str> =
                own.container.networks.iter().map(|place| place.network.as_str()).collect();
            for (network, endpoint) in
                definition.connects.iter().filter(|(network, _)| !has.contains(network.as_str()))
            {
                let action = Action::Connect {
                    target: target(own),
                    network: network.clone(),
                    endpoint: Box::new(endpoint.clone()),
                };
                self.push(Some(allocation.id), action, &mut unused);
            }
            let free = !self.view.containers.iter().any(|container| container.name == definition.name);
            // What was taken over keeps the name by which people know it.
            let adopted = own.container.labels.contains_key(names::ADOPTED);
            if own.container.name != definition.name && free && !adopted {
                let action = Action::Rename { target: target(own), to: definition.name.clone() };
                self.push(Some(allocation.id), action, &mut unused);
            }
        }
    }

    fn start(
        &mut self,
        wish: &'a Wish,
        spec: &'a AppSpec,
        group: &'a Group,
        matched: &Match<'a>,
        situation: &mut Situation,
    ) {
        let allocation = &wish.allocation;
        for (definition, own) in matched.definitions.iter().zip(&matched.kept) {
            let Some(own) = *own else { continue };
            let service = &spec.services[&definition.service];
            if self.replaced_below(own, service, matched) {
                let action = self.stop_action(own, true);
                self.push(Some(allocation.id), action, situation);
                continue;
            }
            let Some(at) = self.startable(own) else { continue };
            let connected = definition
                .connects
                .iter()
                .all(|(network, _)| own.container.networks.iter().any(|place| place.network == *network));
            if !connected {
                continue;
            }
            if allocation.exclusive && !self.view.leased {
                situation.barred = Some(
                    "waits for this host's lease, without which it could run elsewhere as well".to_owned(),
                );
                continue;
            }
            if let Some(sentence) = self.unfinished(definition) {
                situation.waiting = Some(sentence);
                continue;
            }
            match self.conditions(service, group, matched) {
                Err(sentence) => situation.impossible = Some(format!("{}: {sentence}", definition.service)),
                Ok(Some(sentence)) => situation.waiting = Some(format!("{} {sentence}", definition.service)),
                Ok(None) if at > self.view.now => self.wake(at),
                Ok(None) => {
                    let (hooks, exclusive) = (service.post_start.clone(), allocation.exclusive);
                    let action = Action::Start { target: target(own), exclusive, hooks };
                    self.push(Some(allocation.id), action, situation);
                }
            }
        }
        if allocation.exclusive && !self.view.leased {
            let lost = "this host's lease has ended, and it could run elsewhere as well";
            situation.barred.get_or_insert_with(|| lost.to_owned());
        }
    }

    /// A sentence about a volume of a container whose data is not whole.
    fn unfinished(&self, definition: &Definition) -> Option<String> {
        let find = |volume: &str| Some((volume.to_owned(), self.view.barred.get(volume)?));
        let (volume, run) = definition.volumes().find_map(find)?;
        Some(format!(
            "waits for a restore of the volume {volume}, whose data is not whole since run {run} began to restore it; \
             restore it again, or remove the file `unfinished` from the agent's data folder while the agent is stopped"
        ))
    }

    /// From when on a container that does not run is to be started; absent when it is not.
    fn startable(&self, own: &Own<'_>) -> Option<Time> {
        match self.phase(own) {
            Phase::Created => Some(self.view.now),
            Phase::Halted(at) => Some(at),
            Phase::Looping(_) if own.container.state == ContainerState::Exited => {
                Some(phase::loop_again(own.container, self.restarts(own)))
            }
            _ => None,
        }
    }

    /// Whether a service that this one is to be restarted with was made anew since it started.
    fn replaced_below(&self, own: &Own<'_>, service: &Service, matched: &Match<'_>) -> bool {
        let with =
            service.depends_on.iter().filter(|(_, dependency)| dependency.restart).map(|(name, _)| name);
        let made = with
            .flat_map(|name| of(matched, name))
            .filter_map(|(_, own)| own)
            .map(|own| own.container.created)
            .max();
        let started = own.container.started.filter(|_| phase::is_alive(own.container));
        matches!((made, started), (Some(made), Some(started)) if made > started)
    }

    /// Whether what the service stands on is as far as it has to be: a sentence says what is waited for; an error that it
    /// will not come.
    fn conditions(
        &self,
        service: &Service,
        group: &Group,
        matched: &Match<'_>,
    ) -> Result<Option<String>, String> {
        let joined = order::joined(service).into_iter().map(|name| (name, DependsCondition::Started));
        let told = service.depends_on.iter().map(|(name, dependency)| (name, dependency.condition));
        // Other groups may be on other hosts, where nothing is known of them.
        for (name, condition) in joined.chain(told).filter(|(name, _)| group.services.contains(*name)) {
            for (definition, own) in of(matched, name) {
                if let Some(sentence) = self.condition(condition, definition, own)? {
                    return Ok(Some(sentence));
                }
            }
        }
        Ok(None)
    }

    fn condition(
        &self,
        condition: DependsCondition,
        definition: &Definition,
        own: Option<&Own<'_>>,
    ) -> Result<Option<String>, String> {
        let name = own.map_or(definition.name.as_str(), |own| own.container.name.as_str());
        let phase = own.map_or(Phase::Missing, |own| self.phase(own));
        let checked = own.is_none_or(|own| own.container.health != Health::None);
        match (condition, phase) {
            (_, Phase::Crashed(text)) => Err(format!("it stands on {name}, which {text}")),
            (DependsCondition::Started, Phase::Missing | Phase::Created | Phase::Halted(_) | Phase::Held) => {
                Ok(Some(format!("waits for {name} to start")))
            }
            (DependsCondition::Started, _) => Ok(None),
            (DependsCondition::Healthy, Phase::Up) if checked => Ok(None),
            (DependsCondition::Healthy, Phase::Up | Phase::Completed) => {
                Err(format!("it waits for {name} to be healthy, which has no health check or has ended"))
            }
            (DependsCondition::Healthy, _) => Ok(Some(format!("waits for {name} to be healthy"))),
            (DependsCondition::Completed, Phase::Completed) => Ok(None),
            (DependsCondition::Completed, _) => Ok(Some(format!("waits for {name} to complete its work"))),
        }
    }

    /// Adds a step, unless it went wrong just now; what went wrong is part of the situation as long as the step is needed.
    fn push(&mut self, allocation: Option<AllocationId>, action: Action, situation: &mut Situation) {
        let step = Step { allocation, action };
        if let Some(trouble) = self.view.memory.troubles.get(&step.key()) {
            situation.trouble.get_or_insert((trouble.reason.clone(), trouble.lasting));
            if trouble.again > self.view.now {
                return self.wake(trouble.again);
            }
        }
        if !self.plan.steps.iter().any(|known| known.key() == step.key()) {
            self.plan.steps.push(step);
        }
    }

    fn wake(&mut self, at: Time) {
        self.plan.wake = Some(self.plan.wake.map_or(at, |known| known.min(at)));
    }

    fn parts(&mut self, matched: &Match<'_>) -> Vec<Part> {
        let mut parts = Vec::new();
        for (definition, own) in matched.definitions.iter().zip(&matched.kept) {
            let phase = own.map_or(Phase::Missing, |own| self.phase(own));
            if matches!(phase, Phase::Shaky(_) | Phase::Looping(_)) {
                // It counts as running again after a while without another event.
                self.wake(self.view.now.plus(RECHECK));
            }
            parts.push(Part {
                name: own.map_or_else(|| definition.name.clone(), |own| own.container.name.clone()),
                id: own.map(|own| own.container.id.clone()),
                phase,
            });
        }
        parts
    }

    fn phase(&self, own: &Own<'_>) -> Phase {
        if self.view.held.contains(&own.container.id) && !phase::is_alive(own.container) {
            return Phase::Held;
        }
        phase::phase(own, self.restarts(own), self.view.now)
    }

    fn restarts(&self, own: &Own<'_>) -> Restarts {
        self.view.memory.restarts.get(&own.container.id).copied().unwrap_or_default()
    }
}

/// A container that was restarted is looked at again after this time.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(5);

fn target(own: &Own<'_>) -> Target {
    Target { id: own.container.id.clone(), name: own.container.name.clone() }
}

/// A service's containers.
fn of<'m, 'a>(
    matched: &'m Match<'a>,
    name: &'m ServiceName,
) -> impl Iterator<Item = (&'m Definition, Option<&'a Own<'a>>)> {
    let pairs = matched.definitions.iter().zip(&matched.kept);
    pairs
        .filter(move |(definition, _)| definition.service == *name)
        .map(|(definition, own)| (definition, *own))
}
