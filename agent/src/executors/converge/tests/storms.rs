//! Whatever is wished for and whenever the agent is killed, the host ends where it should.

use super::*;
use proptest::prelude::*;

/// Does so many steps, each time another of those that could be done.
fn steps(world: &mut World, count: usize) {
    for round in 0..count {
        let plan = world.plan();
        let Some(step) = plan.steps.get(round % plan.steps.len().max(1)) else { return };
        world.perform(&step.clone());
    }
}

#[test]
fn a_kill_after_any_step_changes_nothing_about_the_end() {
    let apps = [
        app(&["web web:1 >db", "db db:1 always", "job job:1"]),
        app(&["web web:2 >db", "db db:1 always", "job job:2"]),
    ];
    for kill in 0..24 {
        let mut world = World::new();
        world.foreign("nginx", Some(8080));
        for (release, spec) in (1..).zip([&apps[0], &apps[1], &apps[0]]) {
            world.wishes = vec![wish(u128::from(release), release, spec)];
            steps(&mut world, kill);
            // It forgets everything but what the engine and the disk hold.
            world.memory = Default::default();
            world.settle();
            assert_eq!(world.says(u128::from(release)), "healthy", "killed after {kill} steps");
            assert_eq!(
                world.shows(),
                ["nginx Running", "shop-db-1 Running", "shop-job-1 Running", "shop-web-1 Running"]
            );
        }
    }
}

/// A desired state: for each of three slots, up to two allocations of one of four releases.
fn wishes() -> impl Strategy<Value = Vec<(u32, u64, bool, bool)>> {
    prop::collection::vec((0u32..3, 1u64..5, any::<bool>(), any::<bool>()), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Any sequence of desired states, cut short at any point by the next one and by kills, ends with exactly what the
    /// last one wants; and nothing but this host's own is ever touched (the engine of values checks that at each step).
    #[test]
    fn the_last_wish_decides(states in prop::collection::vec((wishes(), 0usize..30, any::<bool>()), 1..6)) {
        let releases = [
            app(&["web web:1"]),
            app(&["web web:1 >db", "db db:1"]),
            app(&["web web:2 >db x2", "db db:1 always"]),
            app(&["db db:2 always"]),
        ];
        let mut world = World::new();
        world.foreign("nginx", None);
        let mut next = 1u128;
        for (state, steps, killed) in states {
            world.wishes.clear();
            // Two of an exclusive slot are never to run at once: the controllers stop one before they place another.
            let together = |slot| state.iter().filter(|(other, _, run, _)| *other == slot && *run).count() > 1;
            for (slot, release, run, exclusive) in state.clone() {
                let mut wished = wish(next, release, &releases[release as usize - 1]);
                wished.allocation.slot = slot;
                wished.allocation.epoch = next as u64;
                wished.allocation.exclusive = exclusive && !together(slot);
                wished.allocation.run = run;
                next += 1;
                world.wishes.push(wished);
            }
            for _ in 0..steps {
                let plan = world.plan();
                let Some(step) = plan.steps.last() else { break };
                world.perform(&step.clone());
            }
            if killed {
                world.memory = Default::default();
            }
        }
        world.settle();
        for wish in &world.wishes.clone() {
            let said = world.says(u128::from(wish.allocation.epoch));
            let expected = if wish.allocation.run { "healthy" } else { "stopped" };
            prop_assert_eq!(said, expected);
        }
        let wanted: usize = world.wishes.iter().filter(|wish| wish.allocation.run).map(|wish| {
            let spec = wish.spec.as_ref().expect("known");
            spec.services.values().map(|service| service.container_count() as usize).sum::<usize>()
        }).sum();
        let running = world.containers.iter().filter(|container| container.name != "nginx")
            .filter(|container| container.state == omni_common::domain::ContainerState::Running).count();
        prop_assert_eq!(running, wanted);
        prop_assert!(world.containers.iter().any(|container| container.name == "nginx"));
    }
}
