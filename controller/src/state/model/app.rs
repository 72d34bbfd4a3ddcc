//! Apps, their releases, and the moves between them.

use super::Allocation;
use imbl::OrdMap;
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::{CONTROLLERS_APP, CONTROLLERS_ENVIRONMENT};
use omni_common::ids::{DeploymentId, HostId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Releases kept of an app; the oldest go first, but never the wanted one nor one that something still runs.
pub const MAX_RELEASES: usize = 20;
/// Moves kept of an app.
pub const MAX_DEPLOYMENTS: usize = 10;
/// Apps that may exist at once.
pub const MAX_APPS: usize = 10_000;
/// Specifications and files of all releases together, bytes as kept.
pub const MAX_CONTENT: u64 = 512 << 20;

/// One compose project in one environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppKey {
    /// The environment.
    pub environment: String,
    /// The app's name, unique within it.
    pub name: String,
}

impl AppKey {
    /// What the controllers' own state is kept under, as if it were an app's. No app can have that key: its environment is no
    /// name.
    pub fn controllers() -> Self {
        Self { environment: CONTROLLERS_ENVIRONMENT.to_owned(), name: CONTROLLERS_APP.to_owned() }
    }

    /// Whether it is that one.
    pub fn is_controllers(&self) -> bool {
        self.environment == CONTROLLERS_ENVIRONMENT && self.name == CONTROLLERS_APP
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.environment, self.name)
    }
}

/// An app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// Which.
    pub key: AppKey,
    /// When its first release was made.
    pub created: Time,
    /// What is wanted of it.
    pub goal: Goal,
    /// Number of the release that is wanted.
    pub release: u64,
    /// Number that the next release gets. Never reused.
    pub next_release: u64,
    /// The releases that are kept, by number.
    pub releases: OrdMap<u64, Arc<Release>>,
    /// Replicas that an operator asked for, by group; over what the release says.
    pub scale: BTreeMap<String, u32>,
    /// Grows when an operator asks for a restart; allocations of an earlier round are replaced.
    pub round: u64,
    /// The last [`MAX_DEPLOYMENTS`] moves, newest last.
    pub deployments: Vec<Deployment>,
    /// Where the volumes of an instance are, by group and slot: on one host, or on each where a group of every host ran.
    pub homes: BTreeMap<(String, u32), BTreeSet<HostId>>,
    /// Data that came back on another host, by group and slot: the last time for each.
    pub rescued: BTreeMap<(String, u32), Rescued>,
    /// When a person last said that an instance may come back with older data than its app allows.
    pub accepted_loss: BTreeMap<(String, u32), Time>,
    /// Where instances of the wanted release failed, by group and slot, oldest first. A new deployment begins anew.
    pub failures: BTreeMap<(String, u32), Vec<(HostId, Time)>>,
    /// Log index of the last change that a person or program made, for `If-Match`.
    pub revision: u64,
}

/// Data of an instance that came back from a snapshot, because its host was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescued {
    /// The host that was lost.
    pub from: HostId,
    /// Where the data is now.
    pub to: HostId,
    /// Moment that the data is of.
    pub taken: Time,
    /// When that host was declared down: what was written between the two is lost.
    pub down: Time,
    /// When it was back.
    pub at: Time,
    /// The run that brought it.
    pub run: RunId,
}

/// Most failures of a slot that are remembered.
pub const MAX_FAILURES: usize = 8;

impl App {
    /// One that has no release yet and is to run.
    pub(crate) fn new(key: AppKey, created: Time) -> Self {
        Self {
            key,
            created,
            goal: Goal::Run,
            release: 0,
            next_release: 1,
            releases: OrdMap::new(),
            scale: BTreeMap::new(),
            round: 0,
            deployments: Vec::new(),
            homes: BTreeMap::new(),
            rescued: BTreeMap::new(),
            accepted_loss: BTreeMap::new(),
            failures: BTreeMap::new(),
            revision: 0,
        }
    }

    /// The wanted release.
    pub fn wanted(&self) -> Option<&Arc<Release>> {
        self.releases.get(&self.release)
    }

    /// The newest move.
    pub fn deployment(&self) -> Option<&Deployment> {
        self.deployments.last()
    }

    /// The newest move, when it is not over.
    pub fn open_deployment(&self) -> Option<&Deployment> {
        self.deployment().filter(|deployment| deployment.state.is_open())
    }

    /// What placing knew of the group of an instance, where its release is kept.
    pub fn group_of(&self, held: &Allocation) -> Option<&Arc<Group>> {
        self.releases.get(&held.release)?.groups.get(&held.group)
    }

    /// Whether an instance writes to volumes that instance `slot` of `group`, on `host`, would write to: a service may have
    /// moved from one group to another.
    pub fn shares_data(&self, group: &Group, (slot, host): (u32, HostId), held: &Allocation) -> bool {
        let Some(other) = self.group_of(held) else { return false };
        let same = match (group.mode, other.mode) {
            (Mode::Replicated(_), Mode::Replicated(_)) => held.slot == slot,
            // Each host has its own.
            _ => held.host == host,
        };
        same && other.shares_data(group)
    }

    /// Where a volume of the app is, by slot, whichever group brought it there. What the group `name` itself brought
    /// counts for more.
    pub fn homes_of(&self, name: &str, volume: &str) -> BTreeMap<u32, HostId> {
        let has = |group: &str| {
            let kept = self.releases.values().filter_map(|release| release.groups.get(group));
            kept.into_iter().any(|kept| kept.volumes.iter().any(|one| one == volume))
        };
        let (own, others): (Vec<_>, Vec<_>) = self.homes.iter().partition(|((group, _), _)| group == name);
        let others = others.into_iter().filter(|((group, _), _)| has(group));
        let places = others.chain(own);
        places.flat_map(|((_, slot), hosts)| hosts.iter().map(|host| (*slot, *host))).collect()
    }

    /// Where a deployment goes back to: the last release that was proven, which need not be the one that it began from.
    /// Nothing when that is where it goes.
    pub fn falls_back_to(&self, deployment: &Deployment) -> Option<u64> {
        let done = self.deployments.iter().rev().find(|past| past.state == DeploymentState::Done);
        let to = done.map(|past| past.to).or(deployment.from)?;
        (to != deployment.to && self.releases.contains_key(&to)).then_some(to)
    }

    /// How many instances of a group of the wanted release are wanted; absent for one on each fitting host.
    pub fn replicas(&self, name: &str, group: &Group) -> Option<u32> {
        match group.mode {
            Mode::Replicated(count) => Some(self.scale.get(name).copied().unwrap_or(count)),
            Mode::Global => None,
        }
    }
}

/// What is wanted of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Goal {
    /// It runs.
    Run,
    /// It is stopped; its data and definition stay.
    Stop,
    /// It goes, and its data stays where it is.
    Remove,
    /// It goes, and its volumes with it.
    Purge,
}

/// An immutable version of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its number within the app.
    pub number: u64,
    /// When it was made.
    pub created: Time,
    /// Who made it.
    pub author: String,
    /// From which commit, branch or file, as the maker says.
    pub source: Option<String>,
    /// What the maker says about it.
    pub note: Option<String>,
    /// The specification, among [`Content`].
    pub spec: ContentDigest,
    /// Files that travel with it, among [`Content`].
    pub files: Vec<ContentDigest>,
    /// What placing needs to know, in clear.
    pub groups: BTreeMap<String, Arc<Group>>,
}

/// A specification or file, sealed under the cluster key: both may hold passwords.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Sealed with the digest as its purpose.
    pub sealed: Vec<u8>,
    /// Releases that name it.
    pub used: u32,
}

/// How much the platform needs something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// The platform stands on it.
    Critical,
    /// Above medium.
    High,
    /// Above standard.
    Medium,
    /// Of what names no tier.
    Standard,
}

/// How many instances of a group there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// So many.
    Replicated(u32),
    /// One on each host that fits.
    Global,
}

/// What happens when a group's host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failover {
    /// Started elsewhere when it has no data of its own, else where its data is.
    Restart,
    /// Started elsewhere from the newest usable snapshot.
    Restore,
    /// Waits for its host.
    Never,
}

/// GPUs that an instance needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpus {
    /// How many; absent for all of a host.
    pub count: Option<u32>,
    /// Only these cards, by uuid or index; any when empty.
    pub ids: Vec<String>,
    /// Of this model, or any.
    pub model: Option<String>,
    /// With this much free memory each, bytes.
    pub memory: Option<u64>,
}

/// A port of the host that an instance takes for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// On this address, or on all.
    pub ip: Option<String>,
    /// Its number.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Which of two instances comes first when one replaces the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The new one starts before the old one stops.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

/// What happens when a new instance does not become healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// Back to the release before.
    Rollback,
    /// Nothing more is replaced until an operator says so.
    Pause,
    /// Goes on regardless.
    Continue,
}

/// How a group moves from one release to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRules {
    /// Instances replaced at the same time; zero for all.
    pub parallelism: u32,
    /// Pause between two batches, milliseconds.
    pub delay_ms: u64,
    /// A new instance must stay healthy this long, milliseconds.
    pub monitor_ms: u64,
    /// A new instance must be healthy this soon after its containers began to start, milliseconds.
    pub deadline_ms: u64,
    /// Which comes first.
    pub order: Order,
    /// What happens when one does not.
    pub on_failure: OnFailure,
    /// Share of instances that may fail before `on_failure` is taken, thousandths.
    pub max_failures: u32,
}

/// A group as placing needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Services in it, in name order.
    pub services: Vec<String>,
    /// How many.
    pub mode: Mode,
    /// Never two at once that could write the same data.
    pub exclusive: bool,
    /// When its host dies.
    pub failover: Failover,
    /// With [`Failover::Restore`]: older data than this is not brought back without asking, milliseconds.
    pub max_data_age_ms: Option<u64>,
    /// Reserved CPU, thousandths of a core.
    pub cpu_millis: u64,
    /// Reserved memory, bytes.
    pub memory: u64,
    /// Reserved GPUs.
    pub gpus: Vec<Gpus>,
    /// Ports of the host.
    pub ports: Vec<HostPort>,
    /// In Compose's words, e.g. `node.labels.disk == ssd`.
    pub constraints: Vec<String>,
    /// Labels over whose values instances are spread.
    pub spread: Vec<String>,
    /// Only in this region.
    pub region: Option<String>,
    /// Most instances on one host; zero for no limit.
    pub max_per_host: u32,
    /// Named volumes with data of its own.
    pub volumes: Vec<String>,
    /// Images it needs.
    pub images: Vec<String>,
    /// `os/architecture` that its services insist on.
    pub platforms: Vec<String>,
    /// Other groups of the app that start before it.
    pub after: Vec<String>,
    /// The platform cannot do without it.
    pub critical: bool,
    /// The platform's tier of it.
    pub tier: Tier,
    /// Forward moves.
    pub update: UpdateRules,
    /// Moves back.
    pub rollback: UpdateRules,
}

impl Group {
    /// Whether it has a volume that another has too.
    pub fn shares_data(&self, other: &Self) -> bool {
        self.volumes.iter().any(|volume| other.volumes.contains(volume))
    }
}

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeploymentState {
    /// Instances are being replaced.
    Running,
    /// Waits for an operator.
    Paused,
    /// All instances are of the new release and healthy.
    Done,
    /// It was given up and the app left as it was then.
    Failed,
    /// It failed and the app went back to the release before.
    RolledBack,
    /// Another deployment took its place.
    Superseded,
    /// An operator gave it up, and the app went back.
    Aborted,
}

impl DeploymentState {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
            Self::Aborted => "aborted",
        }
    }

    /// Whether instances may still be replaced by it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The move of an app to a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The release before; absent for the first.
    pub from: Option<u64>,
    /// The release it goes to.
    pub to: u64,
    /// It goes back: the rules of rolling back hold, and its failure is not answered by another.
    pub back: bool,
    /// An operator waived the wait for health.
    pub promoted: bool,
    /// How it stands.
    pub state: DeploymentState,
    /// When it began.
    pub started: Time,
    /// Since when it has this state.
    pub since: Time,
    /// Who began it.
    pub by: String,
    /// Why it stands as it does.
    pub reason: Option<String>,
    /// Last output of the container that failed.
    pub log: Option<String>,
}
