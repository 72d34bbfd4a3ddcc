//! Moves between releases.

use super::world::{World, database, group, host, key, rules, state};
use crate::state::command::{PlanStep, Steer};
use crate::state::*;
use omni_common::domain::AllocationState;
use omni_common::ids::DeploymentId;
use omni_common::wire::AllocationReport;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn the_first_release_is_placed_and_done() {
    let mut world = World::new(3);
    assert_eq!(world.deploy([("main", group("web:1", 3))]), 1);
    world.settle();
    assert_eq!(world.healthy("main"), 3);
    let hosts: BTreeSet<_> = world.runs.values().collect();
    assert_eq!(hosts.len(), 3, "spread over the hosts");
    assert_eq!(state(&world), DeploymentState::Done);
    assert_eq!(world.events(), ["release.created", "deployment.started", "deployment.done"]);
}

#[test]
fn no_card_is_given_twice() {
    fn of_their_own(world: &World) {
        let held = world.state.allocations.values().filter(|held| !held.lost);
        let cards: Vec<_> = held.flat_map(|held| held.gpus.iter().map(|grant| grant.uuid.clone())).collect();
        let different: BTreeSet<_> = cards.iter().collect();
        assert_eq!(different.len(), cards.len(), "{cards:?}");
    }
    let one = Gpus { count: Some(1), ids: Vec::new(), model: None, memory: None };
    let model = |image, replicas| Group { gpus: vec![one.clone()], ..group(image, replicas) };
    let mut world = World::new(2).checked(of_their_own);
    world.equip(1, &["GPU-a", "GPU-b"]);
    world.deploy([("main", model("llm:1", 3))]);
    world.settle();
    assert_eq!(world.healthy("main"), 2, "the third waits: {:?}", world.table());
    world.equip(2, &["GPU-c"]);
    world.settle();
    assert_eq!(world.healthy("main"), 3);
    // There is no card for a second copy, so the old one stops first.
    let update = UpdateRules { order: Order::StopFirst, ..rules() };
    world.deploy([("main", Group { update, ..model("llm:2", 3) })]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r2 healthy")), "{:?}", world.table());
}

#[test]
fn cards_that_are_named_are_waited_for() {
    let named = Gpus { count: Some(1), ids: vec!["GPU-b".to_owned()], model: None, memory: None };
    let mut world = World::new(2);
    world.equip(1, &["GPU-a"]);
    world.deploy([("main", Group { gpus: vec![named], ..group("llm:1", 1) })]);
    world.settle();
    assert_eq!(world.healthy("main"), 0, "{:?}", world.table());
    world.equip(2, &["GPU-c", "GPU-b"]);
    world.settle();
    assert_eq!(world.healthy("main"), 1);
    let held = world.state.allocations_of(&key()).next().expect("one");
    assert_eq!((held.host, held.gpus[0].uuid.as_str()), (host(2), "GPU-b"));
}

#[test]
fn an_update_never_takes_a_group_below_its_size() {
    fn never_below_three(world: &World) {
        let releases = world.state.apps.get(&key()).map_or(0, |app| app.next_release);
        if releases > 2 {
            assert!(world.healthy("main") >= 3, "{:?}", world.table());
        }
    }
    let mut world = World::new(4);
    world.deploy([("main", group("web:1", 3))]);
    world.settle();
    let mut world = world.checked(never_below_three);
    world.deploy([("main", group("web:2", 3))]);
    world.settle();
    assert_eq!(world.healthy("main"), 3);
    assert!(world.table().iter().all(|row| row.contains(" r2 healthy")), "{:?}", world.table());
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn an_update_replaces_as_many_at_a_time_as_its_rules_say() {
    let mut world = World::new(6);
    world.deploy([("main", group("web:1", 6))]);
    world.settle();
    let two = Group { update: UpdateRules { parallelism: 2, ..rules() }, ..group("web:2", 6) };
    world.deploy([("main", two)]);
    assert_eq!(World::placed(&world.decide().steps), 2);
    let all = Group { update: UpdateRules { parallelism: 0, ..rules() }, ..group("web:3", 6) };
    world.deploy([("main", all)]);
    assert_eq!(World::placed(&world.decide().steps), 6);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r3 healthy")), "{:?}", world.table());
}

/// The same port on each of three hosts: no instance can start before the one that it replaces has stopped.
fn with_a_port(image: &str, replicas: u32) -> Group {
    let port = HostPort { ip: None, port: 8080, protocol: "tcp".to_owned() };
    Group { ports: vec![port], ..group(image, replicas) }
}

/// No more than one of three is away once all were there.
fn never_below_two(world: &World) {
    let releases = world.state.apps.get(&key()).map_or(0, |app| app.next_release);
    if releases > 2 {
        assert!(world.healthy("main") >= 2, "{:?}", world.table());
    }
}

fn update_of_three(old: Group, new: Group) {
    let mut world = World::new(3);
    world.deploy([("main", old)]);
    world.settle();
    let mut world = world.checked(never_below_two);
    world.deploy([("main", new)]);
    world.settle();
    assert_eq!(world.table().len(), 3);
    assert!(world.table().iter().all(|row| row.contains(" r2 healthy")), "{:?}", world.table());
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn instances_that_have_to_stop_first_are_replaced_one_by_one() {
    update_of_three(with_a_port("web:1", 3), with_a_port("web:2", 3));
    let first =
        |image| Group { update: UpdateRules { order: Order::StopFirst, ..rules() }, ..group(image, 3) };
    update_of_three(first("web:1"), first("web:2"));
    let everywhere = |image| Group { mode: Mode::Global, ..group(image, 1) };
    update_of_three(everywhere("web:1"), everywhere("web:2"));
}

#[test]
fn an_instance_that_fits_nowhere_does_not_hold_up_the_others() {
    let mut world = World::new(3);
    world.deploy([("main", with_a_port("web:1", 4))]);
    world.settle();
    assert_eq!(world.healthy("main"), 3);
    world.deploy([("main", with_a_port("web:2", 4))]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r2 healthy")), "{:?}", world.table());
    // For a while it might find a place. It is not what a deployment stays open for.
    let deployment = world.app().deployment().expect("one");
    assert_eq!((world.healthy("main"), deployment.state), (3, DeploymentState::Done));
    assert_eq!(deployment.reason.as_deref(), Some("1 instance waits for a host that has room"));
}

#[test]
fn a_bad_release_rolls_itself_back_and_says_why() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.bad.insert("web:2".to_owned());
    world.deploy([("main", group("web:2", 2))]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r1 healthy")), "{:?}", world.table());
    let app = world.app();
    assert_eq!(app.release, 1);
    let [.., failed, back] = &app.deployments[..] else { panic!("{:?}", app.deployments) };
    assert_eq!(
        (failed.state, back.state, back.back),
        (DeploymentState::RolledBack, DeploymentState::Done, true)
    );
    assert_eq!(failed.log.as_deref(), Some("panic: no database"));
    assert!(failed.reason.as_deref().is_some_and(|reason| reason.contains("of release 2 failed")));
}

#[test]
fn one_that_never_becomes_healthy_rolls_back_at_the_deadline() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.sick.insert("web:2".to_owned());
    let before: Vec<_> = world.runs.keys().copied().collect();
    let begun = world.now;
    world.deploy([("main", group("web:2", 2))]);
    world.settle();
    assert_eq!((world.app().release, state(&world)), (1, DeploymentState::Done));
    assert!(world.table().iter().all(|row| row.contains(" r1 healthy")), "{:?}", world.table());
    assert_eq!(world.runs.keys().copied().collect::<Vec<_>>(), before, "what served went on");
    assert!(world.now.since(begun).as_secs() >= 60);
    let reason = world.app().deployments.iter().rev().nth(1).and_then(|failed| failed.reason.clone());
    assert!(reason.is_some_and(|reason| reason.contains("did not become healthy in time")));
}

#[test]
fn a_first_release_that_fails_stays_to_be_looked_at() {
    let mut world = World::new(1);
    world.bad.insert("web:1".to_owned());
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    assert_eq!(world.table(), ["main 0@h1 r1 failed"]);
    assert_eq!(state(&world), DeploymentState::Failed);
}

#[test]
fn a_deployment_may_be_told_to_pause_when_it_fails() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.bad.insert("web:2".to_owned());
    let pauses =
        Group { update: UpdateRules { on_failure: OnFailure::Pause, ..rules() }, ..group("web:2", 2) };
    world.deploy([("main", pauses)]);
    world.settle();
    assert_eq!((state(&world), world.app().release), (DeploymentState::Paused, 2));
    assert_eq!(world.healthy("main"), 2);
    let open = world.app().deployment().expect("paused").id;
    let abort = Command::SteerDeployment {
        app: key(),
        deployment: open,
        back: DeploymentId::from_u128(77),
        what: Steer::Abort,
    };
    world.apply(abort.clone()).expect("taken");
    assert_eq!(world.apply(abort).expect_err("over").code, RefusalCode::Conflict);
    world.settle();
    assert_eq!((state(&world), world.app().release), (DeploymentState::Done, 1));
}

#[test]
fn a_newer_deployment_takes_the_place_of_one_under_way() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 3))]);
    world.settle();
    world.deploy([("main", group("web:2", 3))]);
    world.step();
    world.deploy([("main", group("web:3", 3))]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r3 healthy")), "{:?}", world.table());
    let states: Vec<_> = world.app().deployments.iter().map(|one| one.state).collect();
    assert_eq!(states, [DeploymentState::Done, DeploymentState::Superseded, DeploymentState::Done]);
}

#[test]
fn a_newer_deployment_does_not_wait_for_what_never_becomes_healthy() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    world.sick.insert("web:2".to_owned());
    world.deploy([("main", group("web:2", 2))]);
    for _ in 0..3 {
        world.step();
    }
    world.deploy([("main", group("web:3", 2))]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r3 healthy")), "{:?}", world.table());
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn restart_replaces_all_with_the_same_release() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 2))]);
    world.settle();
    let before: Vec<_> = world.runs.keys().copied().collect();
    world
        .apply(Command::RestartApp { app: key(), deployment: DeploymentId::from_u128(9_000) })
        .expect("taken");
    world.settle();
    assert_eq!(world.healthy("main"), 2);
    assert!(world.runs.keys().all(|id| !before.contains(id)));
}

#[test]
fn an_app_is_scaled_stopped_started_and_removed() {
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    let scale = |count| Command::ScaleApp {
        app: key(),
        replicas: BTreeMap::from([("main".to_owned(), count)]),
        expect: None,
    };
    for (count, expected) in [(Some(3), 3), (Some(2), 2), (None, 1)] {
        world.apply(scale(count)).expect("taken");
        world.settle();
        assert_eq!((world.healthy("main"), world.runs.len()), (expected, expected));
    }
    let goal = |goal| Command::SetGoal { app: key(), goal, expect: None };
    world.apply(goal(Goal::Stop)).expect("taken");
    world.settle();
    assert!(world.runs.is_empty() && world.state.allocations.is_empty());
    world.apply(goal(Goal::Run)).expect("taken");
    world.settle();
    assert_eq!(world.healthy("main"), 1);
    world.apply(goal(Goal::Remove)).expect("taken");
    world.settle();
    assert!(world.state.apps.is_empty() && world.state.contents.is_empty());
    assert_eq!(world.state.contents_size, 0);
}

#[test]
fn a_group_of_every_host_follows_the_hosts() {
    let mut world = World::new(2);
    let global = || Group { mode: Mode::Global, ..group("agent:1", 1) };
    world.deploy([("main", global())]);
    world.settle();
    assert_eq!(world.healthy("main"), 2);
    let cordon = crate::state::command::HostPatch { cordoned: Some(true), ..Default::default() };
    world.apply(Command::UpdateHost { host: host(1), patch: cordon, expect: None }).expect("taken");
    world.settle();
    assert_eq!(world.healthy("main"), 2, "a cordoned host keeps what it has");
    world.deploy([("main", Group { images: vec!["agent:2".to_owned()], ..global() })]);
    world.settle();
    assert!(world.table().iter().any(|row| row.contains(" r2 healthy")), "{:?}", world.table());
}

#[test]
fn a_plan_made_before_the_newest_decision_is_refused() {
    let mut world = World::new(2);
    world.deploy([("main", group("web:1", 2))]);
    let (based_on, steps) = (world.state.plan_version, world.decide().steps);
    world.deploy([("main", group("web:2", 2))]);
    let stale = Command::AdoptPlan { based_on, steps };
    assert_eq!(world.apply(stale).expect_err("stale").code, RefusalCode::Conflict);
    assert!(world.state.allocations.is_empty());
}

#[test]
fn only_the_newest_releases_are_kept() {
    let mut world = World::new(1);
    for number in 0..MAX_RELEASES + 5 {
        world.deploy([("main", group(&format!("web:{number}"), 1))]);
        world.settle();
    }
    assert_eq!(world.app().releases.len(), MAX_RELEASES);
    assert_eq!(world.state.contents.len(), MAX_RELEASES);
    let gone = Command::MoveApp { app: key(), deployment: DeploymentId::from_u128(1), to: 1, expect: None };
    let refusal = world.apply(gone).expect_err("forgotten");
    assert_eq!(refusal.code, RefusalCode::NotFound);
    assert!(refusal.message.contains("it has 6, 7"), "{}", refusal.message);
}

#[test]
fn what_nothing_fits_waits_and_says_why() {
    let mut world = World::new(2);
    world.deploy([("main", Group { memory: 64 << 30, ..group("web:1", 1) })]);
    world.settle();
    assert!(world.table().is_empty());
    let waits = world.waits();
    assert!(waits[0].contains("64.0 GiB"), "{waits:?}");
    assert_eq!(World::placed(&world.decide().steps), 0);
    assert!(!world.decide().steps.iter().any(|step| matches!(step, PlanStep::Conclude { .. })));
}

#[test]
fn what_stopped_by_itself_is_waited_for_once_it_is_told_to() {
    let mut world = World::new(2);
    world.deploy([("main", database("db:1"))]);
    world.settle();
    let held = world.state.allocations_of(&key()).next().cloned().expect("one");
    let stopped = AllocationReport {
        id: held.id,
        epoch: held.epoch,
        state: AllocationState::Stopped,
        reason: None,
        log: None,
    };
    world
        .apply(Command::RecordAllocations { host: held.host, all: false, reports: vec![stopped] })
        .expect("taken");
    world.deploy([("main", database("db:2"))]);
    for _ in 0..2 {
        let based_on = world.state.plan_version;
        let steps = world.decide().steps;
        assert_eq!(World::placed(&steps), 0, "{steps:?}");
        if !steps.is_empty() {
            world.apply(Command::AdoptPlan { based_on, steps }).expect("nothing came between");
        }
    }
    world.settle();
    assert_eq!(world.healthy("main"), 1);
}
