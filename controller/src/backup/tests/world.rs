//! A cluster in memory: the real `apply` and `decide`, and hosts that do as they are told.

use crate::backup::{Basis, Ids, Limits, Look, Outline, Outlines, controllers, decide, limits};
use crate::state::command::RunStep;
use crate::state::{
    Actor, Allocation, App, AppKey, BackupRepository, Command, CredentialNames, Failover, Goal, Group, Host,
    HostStatus, Medium, Mode, OnFailure, Order, Outcome, Proposal, Release, Run, RunKind, RunTask, State,
    Tier, UpdateRules, Upkeep, apply,
};
use omni_catalogue::policies::Policies;
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::{
    Item, ItemName, ItemOutcome, PolicyOptions, Quiesce, RunOutcome, RunState, Span, Take,
};
use omni_common::ids::{AllocationId, HostId, RequestId, RunId};
use omni_common::wire::RunReport;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct World {
    pub(super) state: State,
    pub(super) outlines: Outlines,
    pub(super) limits: Limits,
    pub(super) now: Time,
    next: u128,
    requests: u128,
}

impl Ids for World {
    fn run(&mut self) -> RunId {
        self.next += 1;
        RunId::from_u128(self.next)
    }
}

pub(super) fn at(text: &str) -> Time {
    text.parse().expect("RFC 3339")
}

pub(super) fn key() -> AppKey {
    AppKey { environment: "default".to_owned(), name: "shop".to_owned() }
}

pub(super) fn host(number: u128) -> HostId {
    HostId::from_u128(number)
}

fn name(text: &str) -> ItemName {
    ItemName::new(text).expect("a name")
}

fn digest(text: &str) -> ContentDigest {
    ContentDigest::of(text.as_bytes())
}

fn group(tier: Tier) -> Group {
    let rules = UpdateRules {
        parallelism: 1,
        delay_ms: 0,
        monitor_ms: 0,
        deadline_ms: 60_000,
        order: Order::StopFirst,
        on_failure: OnFailure::Rollback,
        max_failures: 0,
    };
    Group {
        services: vec!["db".to_owned()],
        mode: Mode::Replicated(1),
        exclusive: true,
        failover: Failover::Restart,
        max_data_age_ms: None,
        cpu_millis: 0,
        memory: 0,
        gpus: Vec::new(),
        ports: Vec::new(),
        constraints: Vec::new(),
        spread: Vec::new(),
        region: None,
        max_per_host: 0,
        volumes: vec!["data".to_owned()],
        images: Vec::new(),
        platforms: Vec::new(),
        after: Vec::new(),
        critical: false,
        tier,
        update: rules,
        rollback: rules,
    }
}

fn some_host(number: u128) -> Host {
    crate::app::testing::host(number, &format!("h{number}"))
}

pub(super) fn repository(name: &str) -> BackupRepository {
    let upkeep = |schedule: &str, parts| Upkeep {
        schedule: schedule.to_owned(),
        time_zone: "UTC".to_owned(),
        max_duration: Span::secs(1_200),
        parts,
        max_unused: None,
    };
    BackupRepository {
        name: name.to_owned(),
        location: format!("rest:https://{name}.example.org/"),
        region: None,
        medium: Medium::Disk,
        offsite: name != "home",
        append_only: false,
        host: None,
        upload_kib: None,
        download_kib: None,
        password: omni_common::domain::SecretName::new("p").expect("a name"),
        credentials: CredentialNames::None,
        ca: None,
        prune: Some(upkeep("36 3 * * *", 0)),
        check: Some(upkeep("36 5 * * *", 3)),
        created: Time::EPOCH,
        checks: 0,
        checked: None,
        pruned: None,
        revision: 1,
    }
}

impl World {
    /// Three hosts that do backups, the app `shop` of the critical tier on the first, repositories `home` and `away`.
    pub(super) fn new(now: &str) -> Self {
        let now = at(now);
        let mut state = State { now, ..State::default() };
        for number in 1..=3 {
            let own = Host { joined: now, status_since: now, ..some_host(number) };
            state.host_names.insert(own.name.clone(), own.id);
            state.hosts.insert(own.id, Arc::new(own));
            state.runners.insert(host(number));
        }
        for name in ["home", "away"] {
            let own = BackupRepository { created: now, ..repository(name) };
            state.repositories.insert(name.to_owned(), Arc::new(own));
        }
        let item = Item {
            name: name("volume-data"),
            take: Take::Volume { volume: "data".to_owned(), include: Vec::new(), exclude: Vec::new() },
            quiesce: Quiesce::None,
        };
        let options = PolicyOptions {
            to: Some("home".to_owned()),
            copy_to: Some(vec!["away".to_owned()]),
            ..PolicyOptions::default()
        };
        let outline = Outline {
            options,
            basis: Basis::tier(&Policies::builtin(), omni_catalogue::Tier::Critical),
            groups: BTreeMap::from([("main".to_owned(), vec![item])]),
            ..Outline::default()
        };
        let limits = limits(&state, &Policies::builtin());
        let own = controllers::outline(&Policies::builtin());
        let outlines = BTreeMap::from([(key(), Arc::new(outline)), (AppKey::controllers(), Arc::new(own))]);
        let mut world = Self { state, outlines, limits, now, next: 0, requests: 0 };
        world.add_app(key(), 1, Tier::Critical);
        world
    }

    /// An app that runs on the host of this number, with an allocation of this number.
    pub(super) fn add_app(&mut self, key: AppKey, number: u128, tier: Tier) {
        let release = Release {
            number: 1,
            created: self.now,
            author: "test".to_owned(),
            source: None,
            note: None,
            spec: digest("spec"),
            files: Vec::new(),
            groups: BTreeMap::from([("main".to_owned(), Arc::new(group(tier)))]),
        };
        let app = App {
            key: key.clone(),
            created: self.now,
            goal: Goal::Run,
            release: 1,
            next_release: 2,
            releases: [(1u64, Arc::new(release))].into_iter().collect(),
            scale: BTreeMap::new(),
            round: 0,
            deployments: Vec::new(),
            homes: BTreeMap::from([(("main".to_owned(), 0), [host(number)].into())]),
            rescued: BTreeMap::new(),
            accepted_loss: BTreeMap::new(),
            failures: BTreeMap::new(),
            revision: 1,
        };
        self.state.apps.insert(key.clone(), Arc::new(app));
        let held = Allocation {
            id: AllocationId::from_u128(number),
            app: key.clone(),
            group: "main".to_owned(),
            slot: 0,
            host: host(number),
            release: 1,
            round: 0,
            epoch: 1,
            exclusive: true,
            run: true,
            state: AllocationState::Healthy,
            since: self.now,
            placed: self.now,
            reason: None,
            log: None,
            why: String::new(),
            gpus: Vec::new(),
            lost: false,
        };
        self.state.host_allocations.insert((held.host, held.id));
        self.state.app_allocations.insert((key, held.id));
        self.state.allocations.insert(held.id, Arc::new(held));
    }

    pub(super) fn set_allocation(&mut self, state: AllocationState) {
        let held = self.state.allocations.get_mut(&AllocationId::from_u128(1)).map(Arc::make_mut);
        held.expect("there is one").state = state;
    }

    pub(super) fn set_host(&mut self, number: u128, status: HostStatus) {
        Arc::make_mut(self.state.hosts.get_mut(&host(number)).expect("known")).status = status;
    }

    pub(super) fn apply(&mut self, command: Command) -> Outcome {
        self.requests += 1;
        let proposal = Proposal {
            request: RequestId::from_u128(self.requests),
            fingerprint: None,
            at: self.now,
            actor: Actor::system(),
            command,
        };
        let (state, outcome) = apply(&self.state, self.state.index + 1, &proposal);
        self.state = state;
        outcome
    }

    /// The same, to go on differently.
    pub(super) fn fork(&self) -> Self {
        let (state, outlines) = (self.state.clone(), self.outlines.clone());
        let (limits, now) = (self.limits, self.now);
        Self { state, outlines, limits, now, next: self.next, requests: self.requests }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// The leader decides until it has nothing more to decide.
    pub(super) fn decide(&mut self) {
        for _ in 0..10 {
            let (state, outlines, now) = (self.state.clone(), self.outlines.clone(), self.now);
            let limits = self.limits;
            let steps: Vec<RunStep> = decide(&state, &outlines, &limits, now, Look::Everything, self);
            if steps.is_empty() {
                return;
            }
            self.apply(Command::AdoptRuns(steps)).expect("never refused");
        }
        panic!("the leader never comes to an end");
    }

    /// Runs that are with a host.
    pub(super) fn given(&self) -> Vec<Arc<Run>> {
        self.state.open_runs().filter(|run| run.host.is_some()).cloned().collect()
    }

    pub(super) fn report(&mut self, run: &Run, outcome: Option<RunOutcome>) {
        let Some(host) = run.host else { return };
        let report = Box::new(RunReport { run: run.id, outcome });
        self.apply(Command::RecordRun { host, report }).expect("never refused");
    }

    /// Every host does what it was given, and all goes well.
    pub(super) fn work(&mut self) {
        for run in self.given() {
            self.report(&run, None);
            let done = well(&run, self.now);
            self.report(&run, Some(done));
        }
    }

    /// Decides and works every five minutes.
    pub(super) fn live(&mut self, minutes: u32) {
        for _ in 0..minutes.div_ceil(5) {
            self.pass(Duration::from_secs(300));
            self.decide();
            self.work();
        }
    }

    /// How many runs of a kind there are that ended so.
    pub(super) fn count(&self, kind: RunKind, state: RunState) -> usize {
        self.state.runs.values().filter(|run| run.kind() == kind && run.state == state).count()
    }
}

/// The outcome of a run that went well.
pub(super) fn well(run: &Run, now: Time) -> RunOutcome {
    let item = |item: &ItemName, id: String| ItemOutcome {
        item: item.clone(),
        state: RunState::Succeeded,
        snapshot: Some(id),
        taken: now,
        bytes: 10,
        added_bytes: 1,
        files: 1,
        facts: BTreeMap::from([("files".to_owned(), "1".to_owned())]),
        missing: Vec::new(),
        message: None,
    };
    let id = |number: usize| format!("{:064x}", run.id.0.as_u128() * 100 + number as u128);
    let items = match &run.task {
        RunTask::Backup { items } => items.iter().enumerate().map(|(n, one)| item(one, id(n))).collect(),
        RunTask::Copy { snapshots } => {
            let copy = |(number, source): (usize, &String)| ItemOutcome {
                facts: BTreeMap::from([("source".to_owned(), source.clone())]),
                ..item(&name("volume-data"), id(number))
            };
            snapshots.iter().enumerate().map(copy).collect()
        }
        _ => Vec::new(),
    };
    RunOutcome { state: RunState::Succeeded, began: now, ended: now, items, code: None, message: None }
}

/// The outcome of a run that failed.
pub(super) fn badly(now: Time, code: &str) -> RunOutcome {
    RunOutcome {
        state: RunState::Failed,
        began: now,
        ended: now,
        items: Vec::new(),
        code: Some(code.to_owned()),
        message: Some(format!("it failed: {code}")),
    }
}
