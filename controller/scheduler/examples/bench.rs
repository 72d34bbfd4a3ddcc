//! What planning costs on this machine.
//!
//! ```text
//! cargo run --release -p omni-scheduler --example bench -- [HOSTS] [ALLOCATIONS] [RUNS]
//! ```
//!
//! Makes a mesh of HOSTS (10,000) in 3 regions with 3 zones each, a tenth of them with GPUs and a tenth of another
//! architecture; and groups of 1 to 50 replicas until there are ALLOCATIONS (100,000). All numbers follow from a
//! fixed seed. Prints a table, then the same as one line of JSON: medians and the worst of RUNS (5).

use anyhow::{Context, ensure};
use omni_common::ids::HostId;
use omni_scheduler::{
    Allocation, AllocationId, AllocationState, Change, Gpu, GpuCount, GpuDemand, Group, GroupKey, Host,
    HostState, Image, Index, Mode, Placement, Plan, Port, Problem, Protocol, Rebalance, Slot, Step, Wanted,
};
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

/// Hosts that are lost in the failover measurement.
const LOST: usize = 100;
/// Placements and changes that are timed one by one.
const SINGLES: usize = 2_000;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |name, usual| -> anyhow::Result<usize> {
        args.next().map_or(Ok(usual), |text| text.parse().with_context(|| format!("{name} is a number")))
    };
    let (hosts, allocations, runs) =
        (number("HOSTS", 10_000)?, number("ALLOCATIONS", 100_000)?, number("RUNS", 5)?);
    ensure!(hosts > 0 && runs > 0, "there has to be a host and a run");
    let mut table = Table::default();

    let empty = mesh(hosts, allocations);
    let index = Index::new(empty.clone());
    let first = index.plan();
    let placed = first.steps.len();
    writeln!(
        stdout(),
        "{hosts} hosts, {} groups, {placed} placed, {} waiting",
        empty.groups.len(),
        first.waiting.len()
    )?;
    table.measure("plan from nothing", runs, || index.plan());

    let settled = settle(empty, &first);
    table.measure("build the index", runs, || Index::new(settled.clone()));
    let mut index = Index::new(settled.clone());
    ensure!(index.plan().is_empty(), "a settled mesh has nothing to do");
    table.measure("plan, nothing to do", runs, || index.plan());

    singles(&mut table, &mut index, &settled)?;
    failover(&mut table, &settled, runs)?;
    drain(&mut table, &settled, runs);
    rebalance(&mut table, &settled, runs);
    table.measure("explain one group", runs, || index.explain(&settled.groups[0].key, None));
    table.print()
}

/// One placement and one change, each timed alone.
fn singles(table: &mut Table, index: &mut Index, settled: &Problem) -> anyhow::Result<()> {
    let mut rng = Rng(7);
    let (mut placements, mut changes) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        let group = &settled.groups[rng.below(settled.groups.len())];
        let started = Instant::now();
        let placed = index.place(&group.key, Slot::Replica(1_000_000)).context("a group of the mesh")?;
        placements.push(started.elapsed());
        drop(placed);
        let mut allocation = settled.allocations[rng.below(settled.allocations.len())].clone();
        allocation.state = AllocationState::Unhealthy;
        let started = Instant::now();
        index.apply(Change::Allocation(Box::new(allocation)));
        changes.push(started.elapsed());
    }
    table.add("one placement", placements);
    table.add("one change of an allocation", changes);
    Ok(())
}

fn failover(table: &mut Table, settled: &Problem, runs: usize) -> anyhow::Result<()> {
    let mut lost = settled.clone();
    let step = (lost.hosts.len() / LOST).max(1);
    for host in lost.hosts.iter_mut().step_by(step).take(LOST) {
        host.state = HostState::Down { fenced: true };
    }
    let index = Index::new(lost);
    let plan = index.plan();
    ensure!(plan.halted.is_none() || settled.hosts.len() < 250, "one in a hundred hosts is no storm");
    let replaced = plan.steps.iter().filter(|step| matches!(step, Step::Place { .. })).count();
    writeln!(stdout(), "{LOST} hosts lost: {replaced} replaced, {} waiting", plan.waiting.len())?;
    table.measure("failover of 100 hosts", runs, || index.plan());
    Ok(())
}

fn drain(table: &mut Table, settled: &Problem, runs: usize) {
    let mut drained = settled.clone();
    drained.hosts[0].draining = true;
    let index = Index::new(drained);
    table.measure("drain of one host", runs, || index.plan());
}

fn rebalance(table: &mut Table, settled: &Problem, runs: usize) {
    let mut uneven = settled.clone();
    uneven.policy.rebalance = Some(Rebalance::default());
    let index = Index::new(uneven);
    table.measure("rebalance", runs, || index.plan());
}

/// The mesh once its first plan is carried out and everything is healthy.
fn settle(mut problem: Problem, plan: &Plan) -> Problem {
    let groups: BTreeMap<&GroupKey, &Group> =
        problem.groups.iter().map(|group| (&group.key, group)).collect();
    let placements = plan.steps.iter().filter_map(|step| match step {
        Step::Place { placement, .. } => Some(placement),
        _ => None,
    });
    let allocations =
        (1..).zip(placements).map(|(id, placement)| allocation(id, placement, groups[&placement.group]));
    let allocations: Vec<Allocation> = allocations.collect();
    // What found no room would be asked for again in every plan, and is measured by the first one.
    let mut counts: BTreeMap<GroupKey, u32> = BTreeMap::new();
    for allocation in &allocations {
        *counts.entry(allocation.group.clone()).or_default() += 1;
    }
    for group in &mut problem.groups {
        group.mode = Mode::Replicated(counts.get(&group.key).copied().unwrap_or_default());
    }
    Problem { allocations, ..problem }
}

fn allocation(id: u128, placement: &Placement, group: &Group) -> Allocation {
    Allocation {
        id: AllocationId::from_u128(id),
        group: placement.group.clone(),
        slot: placement.slot,
        host: placement.host.id,
        epoch: placement.epoch,
        wanted: Wanted::Run,
        state: AllocationState::Healthy,
        pinned: false,
        reservations: group.reservations,
        ports: group.ports.clone(),
        gpus: placement.gpus.clone(),
    }
}

/// SplitMix64: small, fast, and the same everywhere.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

fn mesh(hosts: usize, allocations: usize) -> Problem {
    let mut rng = Rng(42);
    let hosts = (0..hosts).map(|number| host(number, &mut rng)).collect();
    let mut groups = Vec::new();
    let mut left = allocations;
    while left > 0 {
        // Most apps are small, a few are not.
        let replicas = if rng.one_in(10) { 10 + rng.below(41) } else { 1 + rng.below(9) }.min(left);
        groups.push(group(groups.len(), replicas, &mut rng));
        left -= replicas;
    }
    Problem { hosts, groups, ..Problem::default() }
}

fn host(number: usize, rng: &mut Rng) -> Host {
    let mut host = Host::new(HostId::from_u128(number as u128 + 1), &format!("host-{number}"));
    host.region = Some(format!("r{}", number % 3).into());
    host.zone = Some(format!("r{}z{}", number % 3, number / 3 % 3).into());
    host.labels.insert("disk".into(), if rng.one_in(4) { "ssd" } else { "hdd" }.into());
    host.labels.insert("serial".into(), format!("{number:08}"));
    host.millicores = 4_000 << rng.below(4);
    host.memory = (16 << 30) << rng.below(4);
    (host.foreign_millicores, host.foreign_memory) = (500, 2 << 30);
    if rng.one_in(10) {
        host.platform.arch = "aarch64".into();
    }
    if rng.one_in(10) {
        host.gpus = (0..4).map(gpu).collect();
    }
    host.images.extend((0..5).map(|_| format!("image-{}:1", rng.below(200)).into()));
    host
}

fn gpu(index: u32) -> Gpu {
    Gpu {
        uuid: format!("gpu-{index}").into(),
        index,
        model: "NVIDIA L4".into(),
        memory: Some(24 << 30),
        foreign_memory: 0,
        foreign_users: 0,
    }
}

fn group(number: usize, replicas: usize, rng: &mut Rng) -> Group {
    let mut group = Group::new(GroupKey::new("default", &format!("app-{number:06}"), "main"));
    group.mode = Mode::Replicated(replicas as u32);
    group.reservations.millicores = 50 * rng.below(20) as u64;
    group.reservations.memory = (64 << 20) * rng.below(32) as u64;
    group
        .images
        .push(Image { reference: format!("image-{}:1", rng.below(200)).into(), must_be_present: false });
    group.priority.critical = rng.one_in(20);
    if rng.one_in(5) {
        group.constraints.extend("node.labels.disk == ssd".parse().ok());
    }
    if rng.one_in(4) {
        group.exclusive = true;
    }
    if rng.one_in(5) {
        let number = 8000 + rng.below(100) as u16;
        group.ports.push(Port { protocol: Protocol::Tcp, ip: None, number });
    }
    if rng.one_in(50) {
        group.gpus = Some(GpuDemand {
            ids: Vec::new(),
            count: GpuCount::Count(1),
            model: Some("L4".into()),
            memory: None,
            share: Some(25),
        });
    }
    group
}

/// What was measured.
#[derive(Default)]
struct Table {
    rows: Vec<(&'static str, Vec<Duration>)>,
}

impl Table {
    fn measure<T>(&mut self, what: &'static str, runs: usize, mut run: impl FnMut() -> T) {
        let timed = |_| {
            let started = Instant::now();
            let result = run();
            let took = started.elapsed();
            // Not part of what is measured.
            drop(result);
            took
        };
        let times = (0..runs).map(timed).collect();
        self.add(what, times);
    }

    fn add(&mut self, what: &'static str, mut times: Vec<Duration>) {
        times.sort();
        self.rows.push((what, times));
    }

    fn print(&self) -> anyhow::Result<()> {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(stdout(), "{:<30} {:>12} {:>12}", "", "median ms", "worst ms")?;
        let mut json = serde_json::Map::new();
        for (what, times) in &self.rows {
            let (median, worst) = (millis(times[times.len() / 2]), millis(times[times.len() - 1]));
            writeln!(stdout(), "{what:<30} {median:>12.3} {worst:>12.3}")?;
            json.insert((*what).to_owned(), serde_json::json!({ "median_ms": median, "worst_ms": worst }));
        }
        writeln!(stdout(), "{}", serde_json::Value::Object(json))?;
        Ok(())
    }
}
