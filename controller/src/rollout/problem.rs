//! The replicated state in the scheduler's terms.

use super::adopted;
use super::foreign::Foreign;
use super::gate::Gate;
use crate::state::{
    Allocation, App, AppKey, DeploymentState, Failover, Goal, GpuGrant, Group, HostPort, HostStatus, Mode,
    MoveStage, Order, State, Tier,
};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::ids::HostId;
use omni_scheduler as sched;
use sched::{GroupKey, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// An instance that fails is tried elsewhere so often; then it waits for a person, or for its failures to be forgotten.
const RESCHEDULES: u32 = 3;
/// After the time for emptying a host is over, a successor that has been placed gets this long to become healthy.
const HANDOVER: Duration = Duration::from_secs(300);
/// A failure counts for this long: what is broken for good costs a few starts an hour.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

/// The whole mesh as one problem.
pub(super) fn problem(
    state: &State,
    gates: &BTreeMap<AppKey, Gate>,
    foreign: &BTreeMap<HostId, Foreign>,
    now: Time,
) -> sched::Problem {
    let running = state.apps.values().filter(|app| app.goal == Goal::Run);
    sched::Problem {
        hosts: hosts(state, foreign, now),
        groups: running.flat_map(|app| groups(state, app, gates.get(&app.key), now)).collect(),
        allocations: state.allocations.values().map(|held| allocation(state, held)).collect(),
        policy: sched::Policy::default(),
    }
}

fn hosts(state: &State, foreign: &BTreeMap<HostId, Foreign>, now: Time) -> Vec<sched::Host> {
    let controllers: BTreeSet<&str> =
        state.controllers.values().map(|controller| controller.name.as_str()).collect();
    let unknown = Foreign::default();
    let adopted = adopted::projects(state);
    let one = |host: &Arc<crate::state::Host>| {
        let facts = host.facts.as_ref();
        let others = foreign.get(&host.id).unwrap_or(&unknown);
        let taken = others.without(|project| adopted.contains(&(host.id, project.to_owned())));
        sched::Host {
            region: host.region.as_deref().map(Arc::from),
            zone: host.zone.as_deref().map(Arc::from),
            labels: host.labels.clone(),
            platform: sched::Platform {
                os: "linux".to_owned(),
                arch: facts.map(|facts| facts.arch.clone()).unwrap_or_default(),
            },
            role: match controllers.contains(host.name.as_str()) {
                true => sched::Role::Manager,
                false => sched::Role::Worker,
            },
            state: status(host),
            state_since: host.status_since,
            cordoned: host.cordoned,
            draining: state.drains.contains_key(&host.id),
            overdue: deadline(state, host).is_some_and(|by| by <= now),
            expired: deadline(state, host).is_some_and(|by| by.plus(HANDOVER) <= now),
            millicores: facts.map_or(0, |facts| u64::from(facts.cpus) * 1_000),
            memory: facts.map_or(0, |facts| facts.memory_total),
            gpus: facts.map(|facts| gpus(facts, others)).unwrap_or_default(),
            foreign_millicores: taken.millicores,
            foreign_memory: taken.memory,
            foreign_ports: taken.ports.iter().filter_map(port).collect(),
            ..sched::Host::new(host.id, &host.name)
        }
    };
    state.hosts.values().map(one).collect()
}

fn deadline(state: &State, host: &crate::state::Host) -> Option<Time> {
    state.drains.get(&host.id).and_then(|drain| drain.deadline)
}

/// When a drain's time is over next, or its patience with what is on its way.
pub(super) fn next_overdue(state: &State, now: Time) -> Option<Time> {
    let all = state.drains.values().filter_map(|drain| drain.deadline);
    all.flat_map(|by| [by, by.plus(HANDOVER)]).filter(|at| now < *at).min()
}

/// A host counts as down only when its last lease is over by the margin, so nothing exclusive runs there any more. One
/// without a Docker engine, or of which nothing is known, takes nothing.
fn status(host: &crate::state::Host) -> sched::HostState {
    let docker = host.facts.as_ref().is_some_and(|facts| facts.docker.is_some());
    match host.status {
        HostStatus::Up if docker => sched::HostState::Up,
        HostStatus::Up => sched::HostState::Suspect,
        HostStatus::Pending => sched::HostState::Pending,
        HostStatus::Suspect => sched::HostState::Suspect,
        HostStatus::Down => sched::HostState::Down { fenced: true },
    }
}

fn gpus(facts: &omni_common::domain::HostFacts, others: &Foreign) -> Vec<sched::Gpu> {
    facts.gpus.iter().flat_map(|gpu| cards(gpu, others)).collect()
}

/// A card, or its slices: once a card is cut, containers get slices and never the card.
fn cards(gpu: &omni_common::domain::GpuFacts, others: &Foreign) -> Vec<sched::Gpu> {
    let taken = others.gpus.get(&gpu.index).copied().unwrap_or_default();
    let whole = sched::Gpu {
        uuid: gpu.uuid.as_str().into(),
        index: gpu.index,
        model: gpu.model.clone(),
        memory: gpu.memory_total,
        foreign_memory: taken.memory,
        foreign_users: taken.users,
    };
    if gpu.instances.is_empty() {
        return vec![whole];
    }
    // Drivers do not say which slice a process works on, so what others do with slices stays unknown.
    let slice = |instance: &omni_common::domain::MigInstance| sched::Gpu {
        uuid: instance.uuid.as_str().into(),
        memory: instance.memory_total,
        foreign_memory: 0,
        foreign_users: 0,
        ..whole.clone()
    };
    gpu.instances.iter().map(slice).collect()
}

fn groups<'a>(
    state: &'a State,
    app: &'a App,
    gate: Option<&'a Gate>,
    now: Time,
) -> impl Iterator<Item = sched::Group> + 'a {
    let release = app.wanted();
    let moving = state.open_move(&app.key);
    release.into_iter().flat_map(|release| &release.groups).map(move |(name, group)| {
        let key = group_key(&app.key, name);
        let renew = gate.into_iter().flat_map(|gate| &gate.renew).filter(|(own, _)| own == name);
        let renew = renew.map(|(_, slot)| *slot).chain(moves_on(state, app, name));
        let renew = renew.map(|slot| (slot, renewal(state, app, (name, group), slot)));
        let pinned = pinned_to(state, &app.key, name).or_else(|| adopted::pinned_to(app, group));
        sched::Group {
            mode: match app.replicas(name, group) {
                // It holds still while its data moves.
                Some(_) if moving.is_some_and(|open| open.holds(name)) => sched::Mode::Replicated(0),
                Some(count) => sched::Mode::Replicated(count),
                None => sched::Mode::Global,
            },
            exclusive: group.exclusive,
            reservations: sched::Reservations { millicores: group.cpu_millis, memory: group.memory },
            gpus: gpu_demand(group),
            ports: group.ports.iter().filter_map(port).collect(),
            platforms: group.platforms.iter().map(|text| platform(text)).collect(),
            region: group.region.as_deref().map(Arc::from),
            constraints: group
                .constraints
                .iter()
                .chain(&pinned)
                .filter_map(|text| text.parse().ok())
                .collect(),
            spread: group.spread.iter().filter_map(|text| text.parse().ok()).collect(),
            volumes: volumes(app, name, group),
            priority: sched::Priority { critical: group.critical, tier: tier(group.tier) },
            depends_on: group.after.iter().map(|other| group_key(&app.key, other)).collect(),
            failover: match group.failover {
                Failover::Restart => sched::Failover::Restart,
                Failover::Restore => sched::Failover::Restore,
                Failover::Never => sched::Failover::Never,
            },
            max_per_host: (group.max_per_host > 0).then_some(group.max_per_host),
            min_healthy: minimum(app, name, group),
            renew: renew.collect(),
            renew_stops_first: stops_first(app, group) || was_exclusive(state, app, name),
            // What never was healthy is for a person to look at, not for other hosts to try.
            max_reschedules: match (group.mode, app.deployment().map(|newest| newest.state)) {
                (Mode::Replicated(_), Some(DeploymentState::Done)) => RESCHEDULES,
                _ => 0,
            },
            failed_on: failed_on(app, name, now),
            ..sched::Group::new(key)
        }
    })
}

/// The host that an instance has to start on, because its app moves there.
fn pinned_to(state: &State, key: &AppKey, name: &str) -> Option<String> {
    let open = state.open_move(key).filter(|open| open.stage == MoveStage::Starting)?;
    open.legs.iter().any(|leg| leg.group == name).then(|| format!("node.id == {}", open.to))
}

/// What is of another release becomes one of the wanted release where it is. What is to be restarted, or broke, begins from
/// nothing.
fn renewal(state: &State, app: &App, (name, group): (&str, &Group), slot: Slot) -> sched::Renewal {
    let mut own = state
        .allocations_of(&app.key)
        .filter(|held| held.group == name && held.counts() && slot_of(group, held) == slot);
    match own.all(|held| held.release != app.release && held.round == app.round && held.is_healthy()) {
        true => sched::Renewal::InPlace,
        false => sched::Renewal::Whole,
    }
}

/// Slots without data that a move fills afresh, on its host.
fn moves_on(state: &State, app: &App, name: &str) -> Vec<Slot> {
    let open = state.open_move(&app.key).filter(|open| open.stage == MoveStage::Starting);
    let Some(open) = open else { return Vec::new() };
    let legs = open.legs.iter().filter(|leg| !leg.data && leg.group == name);
    let there = |slot: u32| {
        let mut own = state.allocations_of(&app.key).filter(|held| held.group == name && held.slot == slot);
        own.any(|held| held.counts() && held.host == open.to)
    };
    legs.filter(|leg| !there(leg.slot)).map(|leg| Slot::Replica(leg.slot)).collect()
}

/// Where the group's slots failed of late.
fn failed_on(app: &App, name: &str, now: Time) -> BTreeMap<Slot, Vec<HostId>> {
    let of_group = app.failures.iter().filter(|((group, _), _)| group == name);
    let recent = of_group.map(|((_, slot), failures)| {
        let recent = failures.iter().filter(|(_, at)| now < at.plus(FORGOTTEN));
        (Slot::Replica(*slot), recent.map(|(host, _)| *host).collect())
    });
    recent.collect()
}

/// When a failure that counts now is forgotten first.
pub(super) fn next_forgotten(state: &State, now: Time) -> Option<Time> {
    let all = state.apps.values().flat_map(|app| app.failures.values().flatten());
    all.map(|(_, at)| at.plus(FORGOTTEN)).filter(|at| now < *at).min()
}

/// While hosts are emptied, one instance at a time may be missing; of a single one, none, where it can run twice.
fn minimum(app: &App, name: &str, group: &Group) -> u32 {
    let count = app.replicas(name, group).unwrap_or(0);
    if group.exclusive { 0 } else { count.saturating_sub(1) }
}

/// Whether an instance of before writes to data, so that whoever takes it over can start only when it has stopped.
fn was_exclusive(state: &State, app: &App, name: &str) -> bool {
    state.allocations_of(&app.key).any(|held| held.group == name && held.exclusive)
}

fn stops_first(app: &App, group: &Group) -> bool {
    let back = app.open_deployment().is_some_and(|open| open.back);
    let rules = if back { group.rollback } else { group.update };
    group.exclusive || rules.order == Order::StopFirst
}

/// All requests of a group as one: the scheduler gives each card to one of them, or shares it by memory.
fn gpu_demand(group: &Group) -> Option<sched::GpuDemand> {
    let first = group.gpus.first()?;
    let all = group.gpus.iter().any(|need| need.count.is_none());
    let count = group.gpus.iter().filter_map(|need| need.count).sum();
    Some(sched::GpuDemand {
        ids: group.gpus.iter().flat_map(|need| need.ids.iter().cloned()).collect(),
        count: if all { sched::GpuCount::All } else { sched::GpuCount::Count(count) },
        model: first.model.clone(),
        memory: group.gpus.iter().filter_map(|need| need.memory).max(),
        share: None,
    })
}

fn volumes(app: &App, name: &str, group: &Group) -> Vec<sched::Volume> {
    let held = |volume: &String| match group.mode {
        Mode::Replicated(_) => app.homes_of(name, volume),
        // Each host has its own.
        Mode::Global => BTreeMap::new(),
    };
    let volume = |volume: &String| sched::Volume { name: volume.clone(), held: held(volume) };
    group.volumes.iter().map(volume).collect()
}

fn platform(text: &str) -> sched::Platform {
    let (os, arch) = text.split_once('/').unwrap_or((text, ""));
    sched::Platform { os: os.to_owned(), arch: arch.to_owned() }
}

fn tier(tier: Tier) -> sched::Tier {
    match tier {
        Tier::Critical => sched::Tier::Critical,
        Tier::High => sched::Tier::High,
        Tier::Medium => sched::Tier::Medium,
        Tier::Standard => sched::Tier::Standard,
    }
}

/// Absent for a protocol that the scheduler knows nothing of; the reader lets none through.
fn port(port: &HostPort) -> Option<sched::Port> {
    let protocol = match port.protocol.as_str() {
        "tcp" => sched::Protocol::Tcp,
        "udp" => sched::Protocol::Udp,
        "sctp" => sched::Protocol::Sctp,
        _ => return None,
    };
    Some(sched::Port { protocol, ip: port.ip.as_ref().and_then(|ip| ip.parse().ok()), number: port.port })
}

fn allocation(state: &State, held: &Allocation) -> sched::Allocation {
    let app = state.apps.get(&held.app);
    let group = app
        .and_then(|app| app.releases.get(&held.release))
        .and_then(|release| release.groups.get(&held.group));
    sched::Allocation {
        id: held.id,
        group: group_key(&held.app, &held.group),
        slot: group.map_or(Slot::Replica(held.slot), |group| slot_of(group, held)),
        host: held.host,
        epoch: held.epoch,
        wanted: if held.run { sched::Wanted::Run } else { sched::Wanted::Stop },
        state: condition(held),
        pinned: false,
        reservations: group.map_or_else(sched::Reservations::default, |group| sched::Reservations {
            millicores: group.cpu_millis,
            memory: group.memory,
        }),
        ports: group.map(|group| group.ports.iter().filter_map(port).collect()).unwrap_or_default(),
        gpus: held.gpus.iter().map(grant).collect(),
    }
}

fn grant(grant: &GpuGrant) -> sched::GpuGrant {
    sched::GpuGrant { uuid: grant.uuid.as_str().into(), memory: grant.memory, share: grant.share }
}

fn condition(held: &Allocation) -> sched::AllocationState {
    if held.lost {
        return sched::AllocationState::Lost;
    }
    match held.state {
        AllocationState::Pending => sched::AllocationState::Pending,
        AllocationState::Preparing | AllocationState::Starting => sched::AllocationState::Starting,
        AllocationState::Healthy => sched::AllocationState::Healthy,
        // One that is being stopped may still run.
        AllocationState::Unhealthy | AllocationState::Stopping => sched::AllocationState::Unhealthy,
        AllocationState::Failed => sched::AllocationState::Failed,
        // What it said before it was told to stop is no answer to that: the answer takes it out of the state.
        AllocationState::Stopped if !held.run => sched::AllocationState::Pending,
        AllocationState::Stopped => sched::AllocationState::Stopped,
    }
}

/// Which slot an allocation fills.
pub(super) fn slot_of(group: &Group, held: &Allocation) -> Slot {
    match group.mode {
        Mode::Replicated(_) => Slot::Replica(held.slot),
        Mode::Global => Slot::Host(held.host),
    }
}

fn group_key(app: &AppKey, group: &str) -> GroupKey {
    GroupKey::new(&app.environment, &app.name, group)
}
