//! A mesh made of the pure parts alone: the state, its `apply`, the planner, and agents that do as they are told.

use crate::rollout::{Decision, Foreign, Ids, decide};
use crate::state::command::{HostTransition, NewRelease, PlanStep};
use crate::state::*;
use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::{AllocationState, DockerFacts, GpuFacts, GpuVendor, HostFacts};
use omni_common::ids::{AllocationId, ClusterId, ControllerId, DeploymentId, HostId, RequestId, TokenId};
use omni_common::wire::AllocationReport;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Time,
    next: u64,
    ids: Counter,
    /// Images whose containers fail at once.
    pub(super) bad: BTreeSet<String>,
    /// Images whose containers never become healthy.
    pub(super) sick: BTreeSet<String>,
    /// Images whose containers do their work and end.
    pub(super) ends: BTreeSet<String>,
    /// Hosts that are cut off: they do nothing new and say nothing.
    pub(super) cut: BTreeSet<HostId>,
    /// What runs, by allocation, as the hosts themselves know it.
    pub(super) runs: BTreeMap<AllocationId, HostId>,
    /// What ever ran.
    pub(super) known: BTreeMap<AllocationId, Work>,
    /// The state before the newest command, for checks that compare.
    pub(super) before: Option<State>,
    /// Data on hosts: of which group and slot.
    pub(super) data: BTreeSet<(HostId, String, u32)>,
    /// Checked after each step.
    check: fn(&World),
}

/// What an allocation does, as its host was told.
pub(super) struct Work {
    pub(super) exclusive: bool,
    /// Of which group and slot.
    pub(super) slot: (String, u32),
    /// What it writes to.
    pub(super) volumes: Vec<String>,
}

#[derive(Default)]
struct Counter(u128);

impl Ids for Counter {
    fn allocation(&mut self) -> AllocationId {
        self.0 += 1;
        AllocationId::from_u128(self.0)
    }

    fn deployment(&mut self) -> DeploymentId {
        self.0 += 1;
        DeploymentId::from_u128(self.0)
    }
}

pub(super) fn key() -> AppKey {
    AppKey { environment: "default".to_owned(), name: "shop".to_owned() }
}

pub(super) fn host(number: u128) -> HostId {
    HostId::from_u128(number)
}

/// How the newest deployment of the app stands.
pub(super) fn state(world: &World) -> DeploymentState {
    world.app().deployment().expect("one").state
}

pub(super) fn rules() -> UpdateRules {
    UpdateRules {
        parallelism: 1,
        delay_ms: 0,
        monitor_ms: 5_000,
        deadline_ms: 60_000,
        order: Order::StartFirst,
        on_failure: OnFailure::Rollback,
        max_failures: 0,
    }
}

/// A group of so many instances of an image.
pub(super) fn group(image: &str, replicas: u32) -> Group {
    Group {
        services: vec!["web".to_owned()],
        mode: Mode::Replicated(replicas),
        exclusive: false,
        failover: Failover::Restart,
        max_data_age_ms: None,
        cpu_millis: 500,
        memory: 1 << 30,
        gpus: Vec::new(),
        ports: Vec::new(),
        constraints: Vec::new(),
        spread: Vec::new(),
        region: None,
        max_per_host: 0,
        volumes: Vec::new(),
        images: vec![image.to_owned()],
        platforms: Vec::new(),
        after: Vec::new(),
        critical: false,
        tier: Tier::Standard,
        update: rules(),
        rollback: rules(),
    }
}

/// The same with data of its own.
pub(super) fn database(image: &str) -> Group {
    Group { exclusive: true, volumes: vec!["data".to_owned()], ..group(image, 1) }
}

impl World {
    /// So many hosts, all up.
    pub(super) fn new(hosts: u128) -> Self {
        let mut world = Self {
            state: State::default(),
            now: Time::from_secs(1_800_000_000),
            next: 1,
            ids: Counter::default(),
            bad: BTreeSet::new(),
            sick: BTreeSet::new(),
            ends: BTreeSet::new(),
            cut: BTreeSet::new(),
            runs: BTreeMap::new(),
            known: BTreeMap::new(),
            before: None,
            data: BTreeSet::new(),
            check: |_| {},
        };
        world.bootstrap();
        for number in 1..=hosts {
            world.join(number);
        }
        world
    }

    pub(super) fn checked(self, check: fn(&World)) -> Self {
        Self { check, ..self }
    }

    fn bootstrap(&mut self) {
        let controller = Controller {
            id: ControllerId(1),
            name: "c1".into(),
            quic: "127.0.0.1:7600".into(),
            api: "127.0.0.1:7601".into(),
            region: None,
            zone: None,
            version: "0".into(),
            joined: self.now,
            certificate: None,
        };
        let token = JoinToken {
            id: TokenId::from_u128(1),
            role: JoinRole::Agent,
            hash: SecretHash::of(b"secret"),
            created: self.now,
            expires: self.now.plus(Duration::from_secs(1 << 30)),
            uses_left: None,
            used: 0,
            labels: BTreeMap::new(),
            created_by: "test".into(),
        };
        let bootstrap = Command::Bootstrap {
            cluster: ClusterId::from_u128(1),
            ca_cert: vec![],
            ca_key_sealed: vec![],
            controller,
            api_tokens: vec![],
            join_tokens: vec![token],
        };
        self.apply(bootstrap).expect("made");
    }

    fn join(&mut self, number: u128) {
        let enroll = Command::EnrollHost {
            token: TokenId::from_u128(1),
            secret: SecretHash::of(b"secret"),
            host: host(number),
            name: format!("h{number}"),
            labels: BTreeMap::new(),
            region: None,
            zone: None,
        };
        self.apply(enroll).expect("joined");
        let docker = DockerFacts {
            version: "20.10".into(),
            api_version: "1.41".into(),
            storage_driver: "overlay2".into(),
            cgroup_version: "2".into(),
            root_dir: "/var/lib/docker".into(),
            runtimes: vec![],
        };
        let facts = HostFacts {
            arch: "x86_64".into(),
            cpus: 8,
            memory_total: 16 << 30,
            docker: Some(docker),
            ..HostFacts::default()
        };
        self.apply(Command::RecordFacts { host: host(number), facts: Box::new(facts) }).expect("recorded");
        self.status(number, HostStatus::Up);
    }

    /// Puts cards into a host, by their ids.
    pub(super) fn equip(&mut self, number: u128, cards: &[&str]) {
        let mut facts = self.state.hosts[&host(number)].facts.clone().expect("it has reported");
        let card = |(index, uuid): (u32, &&str)| GpuFacts {
            index,
            uuid: (*uuid).to_owned(),
            model: "L4".to_owned(),
            vendor: GpuVendor::Nvidia,
            pci: None,
            memory_total: Some(24 << 30),
            driver: None,
            mig: None,
            instances: Vec::new(),
        };
        facts.gpus = (0..).zip(cards).map(card).collect();
        let facts = Box::new(HostFacts::clone(&facts));
        self.apply(Command::RecordFacts { host: host(number), facts }).expect("recorded");
    }

    pub(super) fn status(&mut self, number: u128, status: HostStatus) {
        let transition = HostTransition { host: host(number), status, boot: None };
        self.apply(Command::HostTransitions(vec![transition])).expect("taken");
    }

    pub(super) fn apply(&mut self, command: Command) -> Outcome {
        let proposal = Proposal {
            request: RequestId::from_u128(self.next.into()),
            fingerprint: None,
            at: self.now,
            actor: Actor { kind: ActorKind::Token, name: "token:test".into(), role: None, from: None },
            command,
        };
        let (state, outcome) = apply(&self.state, self.next, &proposal);
        self.next += 1;
        let before = std::mem::replace(&mut self.state, state);
        self.before = self.before.is_some().then_some(before);
        (self.check)(self);
        outcome
    }

    /// A host's lease is over: what needs one has stopped.
    pub(super) fn fence(&mut self, host: HostId) {
        let known = &self.known;
        self.runs.retain(|id, on| *on != host || !known.get(id).is_some_and(|work| work.exclusive));
    }

    /// An id for a deployment.
    pub(super) fn fresh(&mut self) -> DeploymentId {
        self.ids.deployment()
    }

    /// Makes a release of these groups and moves the app to it.
    pub(super) fn deploy(&mut self, groups: impl IntoIterator<Item = (&'static str, Group)>) -> u64 {
        self.deploy_app(key(), groups)
    }

    /// The same of another app.
    pub(super) fn deploy_app(
        &mut self,
        app: AppKey,
        groups: impl IntoIterator<Item = (&'static str, Group)>,
    ) -> u64 {
        let spec = ContentDigest::of(&self.next.to_le_bytes());
        let release = NewRelease {
            app,
            deployment: Some(self.ids.deployment()),
            contents: vec![(spec.clone(), vec![1, 2, 3])],
            spec,
            files: vec![],
            groups: groups.into_iter().map(|(name, group)| (name.to_owned(), Arc::new(group))).collect(),
            source: None,
            note: None,
            expect: None,
        };
        match self.apply(Command::CreateRelease(Box::new(release))) {
            Ok(Reply::Release(number)) => number,
            other => panic!("not released: {other:?}"),
        }
    }

    pub(super) fn decide(&mut self) -> Decision {
        decide(&self.state, &BTreeMap::<HostId, Foreign>::new(), self.now, &mut self.ids)
    }

    /// One decision, and all agents' answers to it; true when anything happened.
    pub(super) fn step(&mut self) -> bool {
        let based_on = self.state.plan_version;
        let decision = self.decide();
        let decided = !decision.steps.is_empty();
        if decided {
            self.apply(Command::AdoptPlan { based_on, steps: decision.steps }).expect("nothing came between");
        }
        let answered = self.agents();
        if !decided
            && !answered
            && let Some(again) = decision.again
        {
            self.now = self.now.max(again);
            return true;
        }
        decided || answered
    }

    /// Until nothing happens any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..500 {
            if !self.step() {
                return;
            }
        }
        panic!("it never settles: {:#?}", self.decide().steps);
    }

    /// Every reachable host does what it is told, one stage of an allocation's life at a time.
    fn agents(&mut self) -> bool {
        let mut news = false;
        let hosts: Vec<HostId> = self.state.hosts.keys().copied().collect();
        for host in hosts.into_iter().filter(|host| !self.cut.contains(host)).collect::<Vec<_>>() {
            let held: Vec<Arc<Allocation>> = self.state.allocations_on(host).cloned().collect();
            self.runs.retain(|id, on| *on != host || held.iter().any(|held| held.id == *id && held.run));
            let reports: Vec<AllocationReport> = held.iter().filter_map(|held| self.answer(held)).collect();
            if !reports.is_empty() {
                news = true;
                self.apply(Command::RecordAllocations { host, all: false, reports }).expect("recorded");
            }
        }
        news
    }

    fn answer(&mut self, held: &Allocation) -> Option<AllocationReport> {
        let release = &self.state.apps[&held.app].releases[&held.release];
        let group = &release.groups[&held.group];
        let (images, has_data) = (&group.images, !group.volumes.is_empty());
        let work = Work {
            exclusive: held.exclusive,
            slot: (held.group.clone(), held.slot),
            volumes: group.volumes.clone(),
        };
        let old =
            OldDataKey { app: held.app.clone(), instance: (held.group.clone(), held.slot), host: held.host };
        let is_old = self.state.old_data.get(&old).is_some_and(|old| old.going && old.by == Some(held.id));
        let purged = is_old || self.state.apps[&held.app].goal == Goal::Purge;
        let is = |set: &BTreeSet<String>| images.iter().any(|image| set.contains(image));
        let goal = if is(&self.bad) {
            AllocationState::Failed
        } else if is(&self.sick) {
            AllocationState::Starting
        } else if is(&self.ends) {
            AllocationState::Stopped
        } else {
            AllocationState::Healthy
        };
        let to = match held.state {
            _ if !held.run => AllocationState::Stopped,
            _ if held.lost => AllocationState::Starting,
            AllocationState::Pending => AllocationState::Starting,
            AllocationState::Starting if goal != AllocationState::Starting => goal,
            _ => return None,
        };
        let place = (held.host, held.group.clone(), held.slot);
        if held.run {
            self.runs.insert(held.id, held.host);
            self.known.insert(held.id, work);
            self.data.extend(has_data.then_some(place));
        } else if purged {
            self.data.remove(&place);
        }
        let log = (to == AllocationState::Failed).then(|| "panic: no database".to_owned());
        Some(AllocationReport { id: held.id, epoch: held.epoch, state: to, reason: None, log })
    }

    /// Where the data of the first instance is.
    pub(super) fn home(&self, group: &str) -> HostId {
        *self.app().homes[&(group.to_owned(), 0)].first().expect("it has been placed")
    }

    pub(super) fn app(&self) -> &App {
        &self.state.apps[&key()]
    }

    /// `group slot@host release state`, in slot order.
    pub(super) fn table(&self) -> Vec<String> {
        let mut rows: Vec<String> = self
            .state
            .allocations_of(&key())
            .map(|held| {
                let host = &self.state.hosts[&held.host].name;
                let lost = if held.lost { " lost" } else { "" };
                format!("{} {}@{host} r{} {}{lost}", held.group, held.slot, held.release, held.state)
            })
            .collect();
        rows.sort();
        rows
    }

    pub(super) fn healthy(&self, group: &str) -> usize {
        self.state.allocations_of(&key()).filter(|held| held.group == group && held.is_healthy()).count()
    }

    /// Kinds of the events about the app, oldest first.
    pub(super) fn events(&self) -> Vec<String> {
        let own = self.state.events.values().filter(|event| event.topic == "app");
        own.map(|event| event.kind.clone()).collect()
    }

    /// Sentences of why something waits.
    pub(super) fn waits(&mut self) -> Vec<String> {
        self.decide().plan.waiting.iter().map(|wait| wait.why.to_string()).collect()
    }

    /// Steps of the kind that only places.
    pub(super) fn placed(steps: &[PlanStep]) -> usize {
        steps.iter().filter(|step| matches!(step, PlanStep::Place { .. })).count()
    }
}
