//! A mesh as text, one thing a line:
//!
//! ```text
//! host NAME [region= zone= cpus= memory= arch= os= label=k:v engine=k:v taint=k[:v] role=manager since=SECONDS
//!            foreign-cpus= foreign-memory= foreign-port= image= gpu=ID:MODEL:MEMORY[:FOREIGN-MEMORY]]
//!           [pending|suspect|down|fenced|leaving] [cordoned] [draining|overdue|expired]
//! group NAME [replicas=|global] [exclusive] [cpus= memory= port=[IP:]N[/udp] constraint= region= spread=
//!            tolerate=k[:v] volume=NAME[:SLOT:HOST] image= local-image= platform= critical tier= after=GROUP
//!            failover= per-host= min-healthy= max-moving= retries= failed=SLOT:HOST epoch-floor=
//!            renew=SLOT renew-in-place=SLOT renew-stops-first
//!            gpus=N|all gpu-model= gpu-memory= gpu-share=]
//! alloc GROUP#SLOT[@EPOCH] on HOST STATE [told-to-stop] [pinned] [gpu=ID[:SHARE[:MEMORY]]]
//! policy [storm-percent= storm-hosts= max-moving= rebalance=MOVES[:GAIN]]
//! ```
//!
//! A group is `app`, `app.group` or `environment/app.group`; `#host` is the slot of a global group on its host. Sizes
//! are GiB unless they end in `M`. Ids count up in the order of the lines; an allocation reserves what its group does.

use crate::problem::*;
use crate::{AllocationId, GpuGrant, GroupKey, Slot};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use std::collections::BTreeMap;

pub(super) fn read(text: &str) -> Problem {
    let mut problem = Problem::default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut late, mut names) = (Vec::new(), BTreeMap::new());
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "host" => {
                let host = host(rest, problem.hosts.len());
                names.insert(host.name.to_string(), host.id);
                problem.hosts.push(host);
            }
            "policy" => policy(rest, &mut problem.policy),
            "group" | "alloc" => late.push((kind, rest)),
            _ => panic!("`{kind}` is no kind of line"),
        }
    }
    for (_, rest) in late.iter().filter(|(kind, _)| *kind == "group") {
        problem.groups.push(group(rest, &names));
    }
    for (number, (_, rest)) in late.iter().filter(|(kind, _)| *kind == "alloc").enumerate() {
        let id = AllocationId::from_u128(0xA000 + number as u128);
        let allocation = allocation(rest, id, &names, &problem.groups);
        problem.allocations.push(allocation);
    }
    problem
}

/// Words after the name, as key and value; a flag has an empty value.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is not a number"))
}

fn millis(text: &str) -> u64 {
    (number::<f64>(text) * 1000.0).round() as u64
}

fn size(text: &str) -> u64 {
    match text.strip_suffix('M') {
        Some(mib) => number::<u64>(mib) << 20,
        None => (number::<f64>(text) * f64::from(1 << 30)).round() as u64,
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once(':').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

fn port(text: &str) -> Port {
    let (text, protocol) = match text.strip_suffix("/udp") {
        Some(text) => (text, Protocol::Udp),
        None => (text, Protocol::Tcp),
    };
    let (ip, text) = match text.rsplit_once(':') {
        Some((ip, text)) => (Some(ip.parse().expect("an address")), text),
        None => (None, text),
    };
    Port { protocol, ip, number: number(text) }
}

fn host(text: &str, index: usize) -> Host {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut host = Host::new(HostId::from_u128(index as u128 + 1), name);
    (host.millicores, host.memory) = (8000, 16 << 30);
    for (key, value) in words(rest) {
        match key {
            "region" => host.region = Some(value.into()),
            "zone" => host.zone = Some(value.into()),
            "cpus" => host.millicores = millis(value),
            "memory" => host.memory = size(value),
            "arch" => host.platform.arch = value.into(),
            "os" => host.platform.os = value.into(),
            "label" => host.labels.extend([pair(value)]),
            "engine" => host.engine_labels.extend([pair(value)]),
            "taint" => {
                let (key, value) = pair(value);
                host.taints.push(Taint { key, value });
            }
            "role" => host.role = Role::Manager,
            "since" => host.state_since = Time::from_secs(number(value)),
            "foreign-cpus" => host.foreign_millicores = millis(value),
            "foreign-memory" => host.foreign_memory = size(value),
            "foreign-port" => host.foreign_ports.push(port(value)),
            "image" => drop(host.images.insert(value.into())),
            "gpu" => host.gpus.push(gpu(value, host.gpus.len())),
            "pending" => host.state = HostState::Pending,
            "suspect" => host.state = HostState::Suspect,
            "down" => host.state = HostState::Down { fenced: false },
            "fenced" => host.state = HostState::Down { fenced: true },
            "leaving" => host.state = HostState::Leaving,
            "cordoned" => host.cordoned = true,
            "draining" => host.draining = true,
            "overdue" => (host.draining, host.overdue) = (true, true),
            "expired" => (host.draining, host.overdue, host.expired) = (true, true, true),
            _ => panic!("`{key}` says nothing of a host"),
        }
    }
    host
}

fn gpu(text: &str, index: usize) -> Gpu {
    let parts: Vec<&str> = text.split(':').collect();
    let foreign = parts.get(3).map(|memory| size(memory));
    Gpu {
        uuid: parts[0].into(),
        index: index as u32,
        model: parts[1].into(),
        memory: parts.get(2).map(|memory| size(memory)),
        foreign_memory: foreign.unwrap_or_default(),
        foreign_users: u32::from(foreign.is_some()),
    }
}

pub(super) fn key(text: &str) -> GroupKey {
    let (environment, rest) = text.split_once('/').unwrap_or(("default", text));
    let (app, group) = rest.split_once('.').unwrap_or((rest, "main"));
    GroupKey::new(environment, app, group)
}

fn group(text: &str, names: &BTreeMap<String, HostId>) -> Group {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut group = Group::new(key(name));
    for (word, value) in words(rest) {
        if let Some(word) = word.strip_prefix("gpu") {
            demand(&mut group, word, value);
            continue;
        }
        match word {
            "replicas" => group.mode = Mode::Replicated(number(value)),
            "global" => group.mode = Mode::Global,
            "exclusive" => group.exclusive = true,
            "cpus" => group.reservations.millicores = millis(value),
            "memory" => group.reservations.memory = size(value),
            "port" => group.ports.push(port(value)),
            // `=` ends the word, so the operator is written without spaces.
            "constraint" => group.constraints.push(value.parse().expect("a constraint")),
            "region" => group.region = Some(value.into()),
            "spread" => group.spread.push(value.parse().expect("an attribute")),
            "tolerate" => {
                let (key, value) = pair(value);
                group
                    .tolerations
                    .push(Toleration { key, value: Some(value).filter(|value| !value.is_empty()) });
            }
            "volume" => volume(&mut group, value, names),
            "image" => group.images.push(Image { reference: value.into(), must_be_present: false }),
            "local-image" => group.images.push(Image { reference: value.into(), must_be_present: true }),
            "platform" => {
                let (os, arch) = value.split_once('/').expect("os/arch");
                group.platforms.push(Platform { os: os.into(), arch: arch.into() });
            }
            "critical" => group.priority.critical = true,
            "tier" => {
                group.priority.tier = match value {
                    "critical" => Tier::Critical,
                    "high" => Tier::High,
                    "medium" => Tier::Medium,
                    _ => Tier::Standard,
                }
            }
            "after" => group.depends_on.push(key(value)),
            "failover" => {
                group.failover = match value {
                    "restart" => Failover::Restart,
                    "restore" => Failover::Restore,
                    _ => Failover::Never,
                }
            }
            "per-host" => group.max_per_host = Some(number(value)),
            "min-healthy" => group.min_healthy = number(value),
            "renew" => drop(group.renew.insert(Slot::Replica(number(value)), Renewal::Whole)),
            "renew-in-place" => drop(group.renew.insert(Slot::Replica(number(value)), Renewal::InPlace)),
            "renew-stops-first" => group.renew_stops_first = true,
            "max-moving" => group.max_moving = number(value),
            "retries" => group.max_reschedules = number(value),
            "failed" => {
                let (slot, host) = pair(value);
                let failed = group.failed_on.entry(Slot::Replica(number(&slot))).or_default();
                failed.push(names[&host]);
            }
            "epoch-floor" => group.epoch_floor = number(value),
            _ => panic!("`{word}` says nothing of a group"),
        }
    }
    group
}

fn demand(group: &mut Group, word: &str, value: &str) {
    let none =
        GpuDemand { ids: Vec::new(), count: GpuCount::Count(1), model: None, memory: None, share: None };
    let demand = group.gpus.get_or_insert(none);
    match word {
        "s" if value == "all" => demand.count = GpuCount::All,
        "s" => demand.count = GpuCount::Count(number(value)),
        "-model" => demand.model = Some(value.into()),
        "-memory" => demand.memory = Some(size(value)),
        "-share" => demand.share = Some(number(value)),
        _ => panic!("`gpu{word}` says nothing of a group"),
    }
}

fn volume(group: &mut Group, text: &str, names: &BTreeMap<String, HostId>) {
    let mut parts = text.split(':');
    let name = parts.next().expect("a name");
    let at = match group.volumes.iter().position(|volume| volume.name == name) {
        Some(at) => at,
        None => {
            group.volumes.push(Volume { name: name.to_owned(), held: BTreeMap::new() });
            group.volumes.len() - 1
        }
    };
    if let (Some(slot), Some(host)) = (parts.next(), parts.next()) {
        // A name that is no host's stands for a host that is gone.
        let host = names.get(host).copied().unwrap_or(HostId::from_u128(0xDEAD));
        group.volumes[at].held.insert(number(slot), host);
    }
}

fn allocation(
    text: &str,
    id: AllocationId,
    names: &BTreeMap<String, HostId>,
    groups: &[Group],
) -> Allocation {
    let mut parts = text.split_whitespace();
    let (name, place) = parts.next().and_then(|word| word.split_once('#')).expect("group#slot");
    let (slot, epoch) = place.split_once('@').unwrap_or((place, "1"));
    assert_eq!(parts.next(), Some("on"), "`{text}` says where it is");
    let host = parts.next().expect("a host");
    let host = names.get(host).copied().unwrap_or(HostId::from_u128(0xDEAD));
    let state = match parts.next().expect("a state") {
        "pending" => AllocationState::Pending,
        "starting" => AllocationState::Starting,
        "healthy" => AllocationState::Healthy,
        "unhealthy" => AllocationState::Unhealthy,
        "failed" => AllocationState::Failed,
        "stopped" => AllocationState::Stopped,
        "lost" => AllocationState::Lost,
        other => panic!("`{other}` is no state"),
    };
    let group = groups.iter().find(|group| group.key == key(name));
    let mut allocation = Allocation {
        id,
        group: key(name),
        slot: if slot == "host" { Slot::Host(host) } else { Slot::Replica(number(slot)) },
        host,
        epoch: number(epoch),
        wanted: Wanted::Run,
        state,
        pinned: false,
        reservations: group.map(|group| group.reservations).unwrap_or_default(),
        ports: group.map(|group| group.ports.clone()).unwrap_or_default(),
        gpus: Vec::new(),
    };
    for (word, value) in parts.map(|word| word.split_once('=').unwrap_or((word, ""))) {
        match word {
            "told-to-stop" => allocation.wanted = Wanted::Stop,
            "pinned" => allocation.pinned = true,
            "gpu" => {
                let parts: Vec<&str> = value.split(':').collect();
                allocation.gpus.push(GpuGrant {
                    uuid: parts[0].into(),
                    share: parts.get(1).filter(|share| !share.is_empty()).map(|share| number(share)),
                    memory: parts.get(2).map(|memory| size(memory)).unwrap_or_default(),
                });
            }
            _ => panic!("`{word}` says nothing of an allocation"),
        }
    }
    allocation
}

fn policy(text: &str, policy: &mut Policy) {
    for (word, value) in words(text) {
        match word {
            "storm-percent" => policy.storm.max_percent = number(value),
            "storm-hosts" => policy.storm.max_hosts = Some(number(value)),
            "max-moving" => policy.max_moving = number(value),
            "rebalance" => {
                let (moves, gain) = pair(value);
                let mut request = Rebalance { max_moves: number(&moves), ..Rebalance::default() };
                if !gain.is_empty() {
                    request.min_gain = number(&gain);
                }
                policy.rebalance = Some(request);
            }
            _ => panic!("`{word}` says nothing of a policy"),
        }
    }
}
