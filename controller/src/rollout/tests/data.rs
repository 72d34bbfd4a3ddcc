//! Data and groups: what goes along, what stays, what is given up.

use super::world::{World, database, group, host, key, state};
use crate::state::*;
use omni_common::domain::AllocationState;
use omni_common::wire::AllocationReport;

#[test]
fn data_is_never_written_by_two_and_stays_where_it_is() {
    fn at_most_one(world: &World) {
        assert!(world.runs.len() <= 1, "{:?}", world.runs);
    }
    let mut world = World::new(3).checked(at_most_one);
    world.deploy([("main", database("db:1"))]);
    world.settle();
    let home = world.home("main");
    for image in ["db:2", "db:3"] {
        world.deploy([("main", database(image))]);
        world.settle();
        assert_eq!(world.healthy("main"), 1);
        assert_eq!(world.runs.values().copied().collect::<Vec<_>>(), [home]);
    }
}

#[test]
fn a_group_of_every_host_has_data_on_each() {
    let mut world = World::new(3);
    world.deploy([("main", Group { mode: Mode::Global, ..database("cache:1") })]);
    world.settle();
    assert_eq!((world.healthy("main"), world.data.len()), (3, 3), "{:?}", world.table());
    world.deploy([("main", Group { mode: Mode::Global, ..database("cache:2") })]);
    world.settle();
    assert!(world.table().iter().all(|row| row.contains(" r2 healthy")), "{:?}", world.table());
    for goal in [Goal::Stop, Goal::Purge] {
        world.apply(Command::SetGoal { app: key(), goal, expect: None }).expect("taken");
        world.settle();
    }
    assert!(world.state.apps.is_empty() && world.data.is_empty(), "{:?}", world.data);
}

#[test]
fn data_goes_with_its_app_only_when_that_is_said() {
    let goal = |goal| Command::SetGoal { app: key(), goal, expect: None };
    let fresh = || {
        let mut world = World::new(2);
        world.deploy([("main", group("web:1", 2)), ("db", database("db:1"))]);
        world.settle();
        assert_eq!(world.data.len(), 1);
        world
    };
    for (case, before, last) in [
        ("removed", vec![], Goal::Remove),
        ("purged", vec![], Goal::Purge),
        ("purged after it was stopped", vec![Goal::Stop], Goal::Purge),
    ] {
        let mut world = fresh();
        for wanted in before {
            world.apply(goal(wanted)).expect("taken");
            world.settle();
        }
        world.apply(goal(last)).expect("taken");
        world.settle();
        assert!(world.state.apps.is_empty() && world.runs.is_empty(), "{case}");
        assert_eq!(world.data.len(), usize::from(last == Goal::Remove), "{case}");
    }
    // Whoever asks for the data to go while the app is on its way out is not too late.
    let mut world = fresh();
    world.apply(goal(Goal::Remove)).expect("taken");
    let stops = world.decide().steps;
    world.apply(Command::AdoptPlan { based_on: world.state.plan_version, steps: stops }).expect("adopted");
    let told: Vec<_> =
        world.state.allocations.values().map(|held| (held.host, held.id, held.epoch)).collect();
    world.apply(goal(Goal::Purge)).expect("taken");
    for (host, id, epoch) in told {
        let report = AllocationReport { id, epoch, state: AllocationState::Stopped, reason: None, log: None };
        world.apply(Command::RecordAllocations { host, all: false, reports: vec![report] }).expect("taken");
    }
    world.settle();
    assert!(world.state.apps.is_empty() && world.data.is_empty());
}

#[test]
fn data_on_a_host_that_is_away_is_waited_for() {
    let mut world = World::new(2);
    world.deploy([("main", database("db:1"))]);
    world.settle();
    let home = world.home("main");
    let number = if home == host(1) { 1 } else { 2 };
    world.apply(Command::SetGoal { app: key(), goal: Goal::Stop, expect: None }).expect("taken");
    world.settle();
    world.cut.insert(home);
    world.apply(Command::SetGoal { app: key(), goal: Goal::Purge, expect: None }).expect("taken");
    world.settle();
    assert_eq!((world.state.apps.len(), world.data.len()), (1, 1));
    // Its agent comes back and tells everything that it knows, which is nothing.
    world.apply(Command::RecordAllocations { host: home, all: true, reports: vec![] }).expect("taken");
    assert_eq!(world.state.apps.len(), 1, "it has not been told yet");
    world.cut.clear();
    world.settle();
    assert!(world.state.apps.is_empty() && world.data.is_empty());
    // With a host that is given up, its data is out of reach, and nobody waits for it.
    world.deploy([("main", database("db:1"))]);
    world.settle();
    let home = world.home("main");
    let number = if home == host(number) { number } else { 3 - number };
    world.cut.insert(home);
    world.status(number, HostStatus::Down);
    world.apply(Command::SetGoal { app: key(), goal: Goal::Purge, expect: None }).expect("taken");
    world.settle();
    assert_eq!(world.state.apps.len(), 1);
    world.apply(Command::RemoveHost(home)).expect("taken");
    world.settle();
    assert!(world.state.apps.is_empty());
}

#[test]
fn a_service_that_moves_to_another_group_takes_its_data_along_and_is_never_there_twice() {
    fn one_writer(world: &World) {
        let writes = |id: &omni_common::ids::AllocationId| {
            let held = world.state.allocations.get(id)?;
            Some(!world.state.apps.get(&held.app)?.group_of(held)?.volumes.is_empty())
        };
        let writers = world.runs.keys().filter(|id| writes(id) == Some(true)).count();
        assert!(writers <= 1, "{:?}", world.table());
    }
    let mut world = World::new(3).checked(one_writer);
    world.deploy([("main", database("shop:1"))]);
    world.settle();
    let home = world.home("main");
    world.deploy([("main", group("web:2", 1)), ("db", database("db:2"))]);
    world.settle();
    assert_eq!((world.healthy("main"), world.healthy("db")), (1, 1), "{:?}", world.table());
    assert_eq!(world.home("db"), home);
    assert_eq!(state(&world), DeploymentState::Done);
}

#[test]
fn a_group_with_a_new_name_takes_over_before_the_old_one_goes() {
    fn one_serves(world: &World) {
        assert!(world.state.allocations_of(&key()).any(|held| held.is_healthy()), "{:?}", world.table());
    }
    let mut world = World::new(3);
    world.deploy([("web", group("web:1", 2))]);
    world.settle();
    let mut world = world.checked(one_serves);
    world.deploy([("frontend", group("web:2", 2))]);
    world.settle();
    assert_eq!((world.healthy("web"), world.healthy("frontend")), (0, 2), "{:?}", world.table());
    // And when the new one does not work, the old one has never been away.
    world.bad.insert("web:3".to_owned());
    world.deploy([("entrance", group("web:3", 2))]);
    world.settle();
    assert_eq!((world.healthy("frontend"), world.healthy("entrance")), (2, 0), "{:?}", world.table());
}
