//! Moves over others that were not finished, and ways back.

use super::world::{World, database, group, host, key, rules, state};
use crate::state::command::PlanStep;
use crate::state::*;
use omni_common::domain::AllocationState;
use omni_common::wire::AllocationReport;

fn stop_first() -> UpdateRules {
    UpdateRules { order: Order::StopFirst, ..rules() }
}

fn stopping_first(image: &str, replicas: u32) -> Group {
    Group { update: stop_first(), rollback: stop_first(), ..group(image, replicas) }
}

fn two_serve(world: &World) {
    let key = key();
    let up = |held: &Allocation| world.state.hosts[&held.host].status == HostStatus::Up;
    let serving = world.state.allocations_of(&key).filter(|held| held.is_healthy() && up(held)).count();
    assert!(serving >= 2, "{:?}", world.table());
}

#[test]
fn a_deployment_over_a_half_done_one_leaves_what_serves_alone() {
    let mut world = World::new(3);
    world.deploy([("main", stopping_first("web:1", 3))]);
    world.settle();
    let mut world = world.checked(two_serve);
    world.sick.insert("web:2".to_owned());
    world.deploy([("main", stopping_first("web:2", 3))]);
    while !world.table().iter().any(|row| row.contains(" r2 starting")) {
        world.step();
    }
    world.deploy([("main", stopping_first("web:3", 3))]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r3 healthy")), "{:?}", world.table());
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn the_way_back_begins_with_what_does_not_serve() {
    let mut world = World::new(3);
    world.deploy([("main", stopping_first("web:1", 3))]);
    world.settle();
    let mut world = world.checked(two_serve);
    world.deploy([("main", stopping_first("web:2", 3))]);
    while !world.table().iter().any(|row| row.contains(" r2 healthy")) {
        world.step();
    }
    // The first instance works, the second does not.
    world.bad.insert("web:2".to_owned());
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r1 healthy")), "{:?}", world.table());
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn a_silent_host_holds_up_what_follows() {
    let mut world = World::new(3);
    world.deploy([("main", stopping_first("web:1", 3))]);
    world.settle();
    world.deploy([("main", stopping_first("web:2", 3))]);
    while !world.table().iter().any(|row| row.contains(" r2 healthy")) {
        world.step();
    }
    let proven = world.state.allocations_of(&key()).find(|held| held.release == 2).cloned().expect("one");
    let number = (1..=3).find(|number| host(*number) == proven.host).expect("one of three");
    world.cut.insert(proven.host);
    for status in [HostStatus::Suspect, HostStatus::Down] {
        world.status(number, status);
        world.now = world.now.plus(std::time::Duration::from_secs(6));
        let steps = world.decide().steps;
        let stops = steps.iter().filter(|step| matches!(step, PlanStep::Stop { .. })).count();
        let replaced = World::placed(&steps);
        assert!(stops == 0 || stops == replaced, "nothing that serves is stopped: {steps:?}");
    }
}

#[test]
fn a_way_back_to_what_was_broken_before_fills_it_afresh() {
    let mut world = World::new(3);
    world.deploy([("main", stopping_first("web:1", 2))]);
    world.settle();
    let sick = world.state.allocations_of(&key()).last().cloned().expect("two");
    let report = AllocationReport {
        id: sick.id,
        epoch: sick.epoch,
        state: AllocationState::Unhealthy,
        reason: None,
        log: None,
    };
    world
        .apply(Command::RecordAllocations { host: sick.host, all: false, reports: vec![report] })
        .expect("taken");
    world.now = world.now.plus(std::time::Duration::from_secs(600));
    world.bad.insert("web:2".to_owned());
    world.deploy([("main", stopping_first("web:2", 2))]);
    world.settle();
    assert_eq!(state(&world), DeploymentState::Done);
    assert!(world.table().iter().all(|row| row.contains(" r1 healthy")), "{:?}", world.table());
}

#[test]
fn the_way_back_leads_to_the_last_release_that_worked() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.bad.extend(["web:2".to_owned(), "web:3".to_owned()]);
    world.deploy([("main", group("web:2", 2))]);
    world.step();
    world.deploy([("main", group("web:3", 2))]);
    world.settle();
    assert_eq!((world.app().release, state(&world)), (1, DeploymentState::Done));
    assert!(world.table().iter().all(|row| row.contains(" r1 healthy")), "{:?}", world.table());
}

#[test]
fn a_paused_failure_does_not_try_again_for_ever_while_a_host_is_emptied() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.bad.insert("web:2".to_owned());
    let update = UpdateRules { on_failure: OnFailure::Pause, ..rules() };
    world.deploy([("main", Group { update, ..group("web:2", 2) })]);
    world.settle();
    assert_eq!(state(&world), DeploymentState::Paused);
    let serving = world.state.allocations_of(&key()).find(|held| held.is_healthy()).cloned().expect("r1");
    world.apply(Command::DrainHost { host: serving.host, drain: true, deadline: None }).expect("taken");
    let placed =
        |world: &World| world.state.events.values().filter(|event| event.kind == "allocation.placed").count();
    let (before, soon) = (placed(&world), world.now.plus(std::time::Duration::from_secs(3_000)));
    let steps = (0..500).take_while(|_| world.now < soon && world.step()).count();
    assert!(steps < 500 && placed(&world) <= before + 2, "after {steps} steps: {:?}", world.table());
    assert!(world.healthy("main") >= 1, "{:?}", world.table());
}

#[test]
fn a_deployment_that_goes_on_over_failures_ends() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.bad.insert("web:2".to_owned());
    let update = UpdateRules { on_failure: OnFailure::Continue, ..rules() };
    world.deploy([("main", Group { update, ..group("web:2", 2) })]);
    world.settle();
    assert_eq!(state(&world), DeploymentState::Done);
    assert_eq!(world.healthy("main"), 2, "what served goes on: {:?}", world.table());
}

#[test]
fn stopped_in_the_middle_of_a_move_it_starts_as_a_move() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.sick.insert("web:2".to_owned());
    world.deploy([("main", group("web:2", 2))]);
    world.step();
    let goal = |goal| Command::SetGoal { app: key(), goal, expect: None };
    world.apply(goal(Goal::Stop)).expect("taken");
    world.settle();
    world.apply(goal(Goal::Run)).expect("taken");
    world.settle();
    assert_eq!((world.app().release, state(&world)), (1, DeploymentState::Done), "it went back");
    assert_eq!(world.healthy("main"), 2);
}

#[test]
fn what_ends_well_has_not_failed() {
    let mut world = World::new(1);
    world.ends.insert("migrate:1".to_owned());
    world.deploy([("main", group("migrate:1", 1))]);
    world.settle();
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn an_account_from_before_a_stop_says_nothing_of_it() {
    let mut world = World::new(2);
    world.deploy([("main", database("db:1"))]);
    world.settle();
    world.deploy([("main", database("db:2"))]);
    let (based_on, steps) = (world.state.plan_version, world.decide().steps);
    world.apply(Command::AdoptPlan { based_on, steps }).expect("told to stop");
    let home = world.home("main");
    world.apply(Command::RecordAllocations { host: home, all: true, reports: vec![] }).expect("taken");
    assert_eq!(World::placed(&world.decide().steps), 0, "{:?}", world.table());
    world.settle();
    assert_eq!(world.healthy("main"), 1);
}

#[test]
fn a_plan_of_which_nothing_can_be_done_is_no_decision() {
    let mut world = World::new(1);
    let steps =
        vec![PlanStep::Stop { id: omni_common::ids::AllocationId::from_u128(7), why: "old".to_owned() }];
    let before = world.state.plan_version;
    let refusal = world.apply(Command::AdoptPlan { based_on: before, steps }).expect_err("nothing to do");
    assert_eq!((refusal.code, world.state.plan_version), (RefusalCode::Invalid, before));
}
