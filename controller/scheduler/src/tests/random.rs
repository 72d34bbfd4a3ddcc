//! Random meshes: small enough that everything clashes, odd enough that nothing can be relied on.

use crate::problem::*;
use crate::{AllocationId, GpuGrant, GroupKey, Slot};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

const HOSTS: u128 = 6;
const GROUPS: usize = 5;
const GIB: u64 = 1 << 30;

/// Hosts, groups, and allocations that may contradict both.
pub(super) fn problem() -> impl Strategy<Value = Problem> {
    let hosts = vec(host(), 0..=HOSTS as usize).prop_map(numbered);
    let groups = vec(group(), 0..=GROUPS).prop_map(named);
    let policy = (option::of(0_u32..4), 0_u32..4).prop_map(|(moves, max_moving)| {
        let rebalance = moves.map(|max_moves| Rebalance { max_moves, min_gain: 1 });
        Policy { rebalance, max_moving, ..Policy::default() }
    });
    (hosts, groups, vec(allocation(), 0..16), policy).prop_map(|(hosts, groups, allocations, policy)| {
        let allocations = allocations.into_iter().enumerate().map(|(number, allocation)| Allocation {
            id: AllocationId::from_u128(0xA000 + number as u128),
            ..allocation
        });
        Problem { hosts, groups, allocations: allocations.collect(), policy }
    })
}

/// A mesh that a controller could have: what runs was placed by plans.
pub(super) fn grown() -> impl Strategy<Value = Problem> {
    problem().prop_map(|mut problem| {
        problem.allocations.clear();
        problem.policy = Policy::default();
        let states: Vec<HostState> = problem.hosts.iter().map(|host| host.state).collect();
        for host in &mut problem.hosts {
            (host.state, host.draining) = (HostState::Up, false);
        }
        let plan = crate::plan(&problem);
        let mut problem = super::carry_out(&problem, &plan);
        for (host, state) in problem.hosts.iter_mut().zip(states) {
            host.state = state;
        }
        for allocation in &mut problem.allocations {
            allocation.state = AllocationState::Healthy;
        }
        for group in &mut problem.groups {
            group.renew.clear();
        }
        problem
    })
}

fn numbered(hosts: Vec<Host>) -> Vec<Host> {
    let named = |(number, host): (usize, Host)| {
        let id = HostId::from_u128(number as u128 + 1);
        Host { id, name: format!("h{number}").into(), ..host }
    };
    hosts.into_iter().enumerate().map(named).collect()
}

fn named(groups: Vec<Group>) -> Vec<Group> {
    let named = |(number, group): (usize, Group)| Group { key: key(number), ..group };
    groups.into_iter().enumerate().map(named).collect()
}

fn key(number: usize) -> GroupKey {
    GroupKey::new("default", &format!("app{number}"), "main")
}

fn host_id() -> impl Strategy<Value = HostId> {
    // One more than there are.
    (1..=HOSTS + 1).prop_map(HostId::from_u128)
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![4 => (0_u32..4).prop_map(Slot::Replica), 1 => host_id().prop_map(Slot::Host)]
}

fn port() -> impl Strategy<Value = Port> {
    (80_u16..83).prop_map(|number| Port { protocol: Protocol::Tcp, ip: None, number })
}

fn gpu() -> impl Strategy<Value = (u64, u32)> {
    (4_u64..25, 0_u32..2)
}

fn state() -> impl Strategy<Value = HostState> {
    prop_oneof![
        8 => Just(HostState::Up),
        1 => Just(HostState::Suspect),
        1 => Just(HostState::Pending),
        1 => Just(HostState::Leaving),
        1 => Just(HostState::Down { fenced: false }),
        1 => Just(HostState::Down { fenced: true }),
    ]
}

fn host() -> impl Strategy<Value = Host> {
    let place = (option::of("[ab]"), option::of("[xyz]"), option::of("ssd|hdd"));
    let room = (0_u64..8, 0_u64..16, 0_u64..4, vec(port(), 0..2), vec(gpu(), 0..3));
    let mood = (state(), 0_i64..200, prop::bool::weighted(0.1), prop::bool::weighted(0.1), any::<bool>());
    (place, room, mood).prop_map(|((region, zone, disk), (cpus, memory, foreign, ports, gpus), mood)| {
        let (state, since, cordoned, draining, image) = mood;
        let mut host = Host::new(HostId::from_u128(0), "");
        host.region = region.map(Into::into);
        host.zone = zone.map(Into::into);
        host.labels.extend(disk.map(|disk| ("disk".to_owned(), disk)));
        (host.millicores, host.memory) = (cpus * 1000, memory * GIB);
        (host.foreign_memory, host.foreign_ports) = (foreign * GIB, ports);
        (host.state, host.state_since) = (state, Time::from_secs(since));
        (host.cordoned, host.draining) = (cordoned, draining);
        host.images.extend(image.then(|| "web:1".into()));
        host.gpus = gpus.into_iter().zip(0..).map(card).collect();
        host
    })
}

fn card(((memory, users), index): ((u64, u32), u32)) -> Gpu {
    Gpu {
        uuid: format!("gpu{index}").into(),
        index,
        model: "L4".into(),
        memory: Some(memory * GIB),
        foreign_memory: u64::from(users) * GIB,
        foreign_users: users,
    }
}

fn demand() -> impl Strategy<Value = GpuDemand> {
    let count = prop_oneof![Just(GpuCount::All), (1_u32..3).prop_map(GpuCount::Count)];
    (count, option::of(1_u64..12), option::of(10_u32..101)).prop_map(|(count, memory, share)| GpuDemand {
        ids: Vec::new(),
        count,
        model: None,
        memory: memory.map(|memory| memory * GIB),
        share,
    })
}

fn group() -> impl Strategy<Value = Group> {
    let shape = (
        prop_oneof![4 => (0_u32..5).prop_map(Mode::Replicated), 1 => Just(Mode::Global)],
        any::<bool>(),
        (0_u64..3, 0_u64..6),
        option::weighted(0.2, demand()),
        vec(port(), 0..2),
    );
    let wishes = (
        prop::bool::weighted(0.2),
        vec(prop_oneof![Just("node.labels.zone"), Just("node.labels.disk")], 0..2),
        option::weighted(0.3, 1_u32..3),
        prop_oneof![Just(Failover::Restart), Just(Failover::Restore), Just(Failover::Never)],
        option::weighted(0.3, btree_map(0_u32..3, host_id(), 0..3)),
    );
    let limits =
        (0_u32..3, 0_u32..3, 0_u32..2, btree_map(slot(), vec(host_id(), 0..3), 0..2), vec(0..GROUPS, 0..2));
    let way = prop_oneof![Just(Renewal::Whole), Just(Renewal::InPlace)];
    let renewal = (btree_map(slot(), way, 0..2), any::<bool>());
    (shape, wishes, limits, renewal).prop_map(|(shape, wishes, limits, renewal)| {
        let mut group = Group::new(key(0));
        (group.renew, group.renew_stops_first) = renewal;
        let ((cpus, memory), ssd, held);
        (group.mode, group.exclusive, (cpus, memory), group.gpus, group.ports) = shape;
        let spread;
        (ssd, spread, group.max_per_host, group.failover, held) = wishes;
        let after: Vec<usize>;
        (group.min_healthy, group.max_moving, group.max_reschedules, group.failed_on, after) = limits;
        group.reservations = Reservations { millicores: cpus * 1000, memory: memory * GIB };
        if ssd {
            group.constraints.push("node.labels.disk == ssd".parse().expect("a constraint"));
        }
        group.spread = spread.iter().map(|text| text.parse().expect("an attribute")).collect();
        let data = |held: BTreeMap<u32, HostId>| Volume { name: "data".to_owned(), held };
        group.volumes = held.map(data).into_iter().collect();
        group.images.push(Image { reference: "web:1".into(), must_be_present: false });
        group.depends_on = after.into_iter().map(key).collect();
        group
    })
}

fn allocation() -> impl Strategy<Value = Allocation> {
    let states = prop_oneof![
        1 => Just(AllocationState::Pending),
        1 => Just(AllocationState::Starting),
        4 => Just(AllocationState::Healthy),
        1 => Just(AllocationState::Unhealthy),
        1 => Just(AllocationState::Failed),
        1 => Just(AllocationState::Stopped),
        1 => Just(AllocationState::Lost),
    ];
    let place = (0..GROUPS + 1, slot(), host_id(), 0_u64..4);
    let mood = (states, prop::bool::weighted(0.3), prop::bool::weighted(0.1));
    let takes = (0_u64..3, 0_u64..6, vec(port(), 0..2), option::weighted(0.2, 0_u32..2));
    (place, mood, takes).prop_map(|((group, slot, host, epoch), (state, stop, pinned), takes)| {
        let (cpus, memory, ports, gpu) = takes;
        Allocation {
            id: AllocationId::from_u128(0),
            group: key(group),
            slot: if let Slot::Host(_) = slot { Slot::Host(host) } else { slot },
            host,
            epoch,
            wanted: if stop { Wanted::Stop } else { Wanted::Run },
            state,
            pinned,
            reservations: Reservations { millicores: cpus * 1000, memory: memory * GIB },
            ports,
            gpus: gpu.into_iter().map(grant).collect(),
        }
    })
}

fn grant(index: u32) -> GpuGrant {
    GpuGrant { uuid: format!("gpu{index}").into(), memory: GIB, share: Some(30) }
}
