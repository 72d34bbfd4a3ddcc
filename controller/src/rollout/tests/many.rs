//! Many apps at once.

use super::world::{World, group};
use crate::state::*;
use omni_common::domain::AllocationState;
use std::collections::BTreeMap;

const APPS: u64 = 200;

fn app(number: u64) -> AppKey {
    AppKey { environment: "default".to_owned(), name: format!("app-{number:03}") }
}

fn small(image: &str) -> Group {
    Group { cpu_millis: 100, memory: 256 << 20, ..group(image, 1) }
}

/// No host is given more than it has.
fn fits(world: &World) {
    let mut used: BTreeMap<_, u64> = BTreeMap::new();
    for held in world.state.allocations.values().filter(|held| held.run) {
        let release = &world.state.apps[&held.app].releases[&held.release];
        *used.entry(held.host).or_default() += release.groups[&held.group].memory;
    }
    for (host, used) in used {
        let facts = world.state.hosts[&host].facts.as_ref().expect("it has reported");
        assert!(used <= facts.memory_total, "{host} holds {used} bytes");
    }
}

fn done(world: &World, number: u64) -> DeploymentState {
    world.state.apps[&app(number)].deployment().expect("one").state
}

/// All of them are deployed in the same moment, and then all anew; one that cannot become healthy holds up no other.
#[test]
fn two_hundred_apps_are_deployed_at_once() {
    let mut world = World::new(4).checked(fits);
    for number in 0..APPS {
        world.deploy_app(app(number), [("main", small("web:1"))]);
    }
    world.settle();
    let healthy =
        world.state.allocations.values().filter(|held| held.run && held.state == AllocationState::Healthy);
    assert_eq!(healthy.count(), APPS as usize);
    assert!((0..APPS).all(|number| done(&world, number) == DeploymentState::Done));

    world.bad.insert("broken:1".to_owned());
    for number in 0..APPS {
        world.deploy_app(app(number), [("main", small(if number == 7 { "broken:1" } else { "web:2" }))]);
    }
    world.settle();
    for number in 0..APPS {
        let held = world.state.allocations_of(&app(number)).find(|held| held.run).expect("it runs");
        let release = if number == 7 { 1 } else { 2 };
        assert_eq!((number, held.release, done(&world, number)), (number, release, DeploymentState::Done));
        assert_eq!(held.state, AllocationState::Healthy, "app {number}");
    }
    let failed = |one: &Deployment| one.state == DeploymentState::RolledBack;
    assert!(world.state.apps[&app(7)].deployments.iter().any(failed), "the way back is another deployment");
}
