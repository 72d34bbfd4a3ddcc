//! Hosts that die, return, or are emptied.

use super::world::{World, database, group, host, key};
use crate::state::*;
use omni_common::domain::AllocationState;
use omni_common::ids::HostId;
use omni_common::wire::AllocationReport;

pub(super) fn home(world: &World) -> u128 {
    let id = world.home("main");
    (1..=9).find(|number| host(*number) == id).expect("one of them")
}

fn busy(world: &World) -> u128 {
    let id = *world.runs.values().next().expect("something runs");
    (1..=9).find(|number| host(*number) == id).expect("one of them")
}

pub(super) fn dies(world: &mut World, number: u128) {
    world.cut.insert(host(number));
    world.status(number, HostStatus::Suspect);
    world.settle();
    world.status(number, HostStatus::Down);
}

pub(super) fn returns(world: &mut World, number: u128) {
    world.cut.remove(&host(number));
    world.status(number, HostStatus::Up);
    world.settle();
}

#[test]
fn what_has_no_data_starts_elsewhere_and_the_old_copy_stops_when_its_host_returns() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    let dead = busy(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(world.healthy("main"), 1);
    assert_eq!(world.runs.len(), 2, "the cut-off host still runs its copy");
    returns(&mut world, dead);
    assert_eq!((world.healthy("main"), world.runs.len()), (1, 1));
    assert_ne!(busy(&world), dead, "the newer one wins");
    assert_eq!(world.state.allocations.len(), 1);
}

#[test]
fn a_suspect_host_loses_nothing() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    let before = world.table();
    world.status(busy(&world), HostStatus::Suspect);
    world.settle();
    assert_eq!(world.table(), before);
}

#[test]
fn what_has_data_waits_for_its_host_and_goes_on_there() {
    let mut world = World::new(3);
    world.deploy([("main", database("db:1"))]);
    world.settle();
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(world.healthy("main"), 0);
    let waits = world.waits();
    assert!(waits[0].contains("its data (volume data) is on"), "{waits:?}");
    returns(&mut world, dead);
    assert_eq!((world.healthy("main"), home(&world)), (1, dead));
}

#[test]
fn exclusive_work_without_data_starts_elsewhere_after_the_fence_and_never_twice() {
    fn fenced(world: &World) {
        // A cut-off host stops its exclusive work when its lease ends, which is before it counts as down.
        let down =
            |id: &HostId| world.state.hosts.get(id).is_some_and(|host| host.status == HostStatus::Down);
        let writers = world.runs.values().filter(|id| !down(id)).count();
        assert!(writers <= 1, "{:?}", world.table());
    }
    let mut world = World::new(3).checked(fenced);
    let alone = Group { exclusive: true, ..group("job:1", 1) };
    world.deploy([("main", alone)]);
    world.settle();
    let dead = busy(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(world.healthy("main"), 1);
    // Its lease has ended long since.
    world.runs.retain(|_, on| *on != host(dead));
    returns(&mut world, dead);
    assert_eq!((world.healthy("main"), world.runs.len()), (1, 1));
    assert_ne!(busy(&world), dead);
}

#[test]
fn many_hosts_at_once_move_nothing() {
    let mut world = World::new(5);
    world.deploy([("main", group("web:1", 5))]);
    world.settle();
    for number in 1..=3 {
        world.cut.insert(host(number));
        world.status(number, HostStatus::Down);
    }
    world.settle();
    let plan = world.decide().plan;
    assert!(plan.halted.is_some());
    assert_eq!(world.healthy("main"), 2);
}

#[test]
fn a_drained_host_is_emptied_and_nothing_is_missing_meanwhile() {
    fn never_below_two(world: &World) {
        if !world.state.drains.is_empty() {
            assert!(world.healthy("main") >= 2, "{:?}", world.table());
        }
    }
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    let mut world = world.checked(never_below_two);
    let number = busy(&world);
    world.apply(Command::DrainHost { host: host(number), drain: true, deadline: None }).expect("taken");
    world.settle();
    assert_eq!(world.healthy("main"), 2);
    assert_eq!(world.state.allocations_on(host(number)).count(), 0);
    world.apply(Command::RemoveHost(host(number))).expect("empty");
    world.settle();
    assert_eq!(world.healthy("main"), 2);
}

#[test]
fn a_host_that_runs_something_is_not_removed_by_mistake() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    let number = busy(&world);
    let refusal = world.apply(Command::RemoveHost(host(number))).expect_err("in use");
    assert_eq!(refusal.code, RefusalCode::Conflict);
    assert!(refusal.message.contains("omni drain"), "{}", refusal.message);
    dies(&mut world, number);
    world.apply(Command::RemoveHost(host(number))).expect("dead");
    world.settle();
    assert_eq!(world.healthy("main"), 1);
    assert!(world.state.allocations_of(&key()).all(|held| held.host != host(number)));
}

#[test]
fn an_update_goes_on_when_a_host_dies_in_it() {
    let mut world = World::new(4);
    world.deploy([("main", group("web:1", 3))]);
    world.settle();
    world.deploy([("main", group("web:2", 3))]);
    world.step();
    let dead = busy(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(world.healthy("main"), 3);
    let old = |row: &&String| row.contains(" r1 ") && !row.contains(&format!("@h{dead} "));
    assert_eq!(world.table().iter().find(old), None, "{:?}", world.table());
    let fresh = |row: &&String| row.contains(" r2 healthy");
    assert_eq!(
        world.table().iter().filter(fresh).count(),
        3,
        "{:?} {:?}",
        world.table(),
        world.app().deployments
    );
    assert_eq!(world.app().deployment().expect("one").state, DeploymentState::Done);
}

/// The instance that runs fails; returns where.
fn fail(world: &mut World) -> HostId {
    let held = world.state.allocations_of(&key()).find(|held| held.counts()).cloned().expect("it runs");
    let report = AllocationReport {
        id: held.id,
        epoch: held.epoch,
        state: AllocationState::Failed,
        reason: Some("the disk is full".to_owned()),
        log: None,
    };
    let told = Command::RecordAllocations { host: held.host, all: false, reports: vec![report] };
    world.apply(told).expect("recorded");
    held.host
}

#[test]
fn what_fails_everywhere_waits_until_its_failures_are_forgotten() {
    let mut world = World::new(4);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    let now = world.now;
    for expected in [1, 1, 1, 0] {
        fail(&mut world);
        for _ in 0..20 {
            world.step();
            world.now = now;
        }
        assert_eq!(world.healthy("main"), expected, "{:?}", world.table());
    }
    world.settle();
    assert_eq!(world.healthy("main"), 1, "{:?}", world.table());
    assert!(world.now.since(now) >= std::time::Duration::from_secs(3_600));
}

#[test]
fn what_fails_on_one_host_is_tried_on_another() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    for _ in 0..3 {
        let failed_on = fail(&mut world);
        world.settle();
        assert_eq!(world.healthy("main"), 1, "{:?}", world.table());
        assert!(world.runs.values().all(|host| *host != failed_on), "elsewhere: {:?}", world.table());
    }
}

#[test]
fn a_host_is_empty_when_the_time_is_over() {
    let mut world = World::new(1);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    let deadline = Some(world.now.plus(std::time::Duration::from_secs(600)));
    world.apply(Command::DrainHost { host: host(1), drain: true, deadline }).expect("taken");
    assert_eq!(world.decide().again, deadline, "there is no other host");
    assert!(world.decide().steps.is_empty());
    world.settle();
    assert!(world.runs.is_empty() && Some(world.now) >= deadline, "{:?}", world.table());
}

#[test]
fn exclusive_work_that_was_told_to_stop_on_a_host_that_died_goes_on_elsewhere() {
    let mut world = World::new(3);
    world.deploy([("main", Group { exclusive: true, ..group("job:1", 1) })]);
    world.settle();
    let number = busy(&world);
    world.apply(Command::DrainHost { host: host(number), drain: true, deadline: None }).expect("taken");
    let (based_on, steps) = (world.state.plan_version, world.decide().steps);
    world.apply(Command::AdoptPlan { based_on, steps }).expect("told to stop");
    // It dies before it can answer.
    world.cut.insert(host(number));
    world.status(number, HostStatus::Down);
    world.runs.clear();
    world.settle();
    assert_eq!(world.healthy("main"), 1, "{:?}", world.table());
    returns(&mut world, number);
    assert_eq!((world.healthy("main"), world.runs.len()), (1, 1));
}
