//! Containers that compose made, taken over as they run.

use super::world::name;
use super::*;
use crate::executors::converge::names;
use omni_common::domain::app::{Adopted, AdoptedContainer, AppSpec};
use omni_common::domain::{Container, ContainerState};
use omni_common::ids::HostId;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The specification with these containers, by service, as those to be taken over.
fn adopting(mut spec: AppSpec, containers: &[(&str, &str)]) -> AppSpec {
    let containers = containers
        .iter()
        .map(|(id, service)| ((*id).to_owned(), AdoptedContainer { service: name(service), number: 1 }));
    spec.adopted = Some(Adopted {
        host: HostId::from_u128(9),
        project: "shop".to_owned(),
        folder: None,
        containers: containers.collect(),
    });
    spec
}

const FIRST: &[&str] = &["web web:1 >db :8080", "db db:1 always"];

/// A host where the project runs, and a wish for it.
fn adopted() -> (World, AppSpec) {
    let mut world = World::new();
    let (web, db) = (world.composed("web", 1, Some(8080)), world.composed("db", 1, None));
    let spec = adopting(app(FIRST), &[(&web, "web"), (&db, "db")]);
    world.wishes = vec![wish(1, 1, &spec)];
    (world, spec)
}

/// Names, ids and states of what was there before omni.
fn before(world: &World) -> BTreeMap<String, (String, ContainerState)> {
    let of = |one: &Container| (one.id.clone(), (one.name.clone(), one.state));
    world.containers.iter().map(of).collect()
}

#[test]
fn what_runs_is_taken_over_and_nothing_is_made() {
    let (mut world, _) = adopted();
    let was = before(&world);
    assert_eq!(world.says(1), "preparing: takes over shop_db_1");
    assert_eq!(world.settle(), ["adopt shop_db_1", "adopt shop_web_1"]);
    assert_eq!((world.says(1), before(&world)), ("healthy".to_owned(), was));
    world.memory = Default::default();
    assert!(world.settle().is_empty(), "it stays so after a restart of the agent");
}

#[test]
fn a_release_replaces_only_the_service_that_changed() {
    let (mut world, _) = adopted();
    world.settle();
    let db = world.container("shop_db_1").id.clone();
    world.wishes = vec![wish(1, 2, &app(&["web web:2 >db :8080", "db db:1 always"]))];
    assert_eq!(
        world.settle(),
        [
            "pull web:2",
            "lay",
            "stop shop_web_1",
            "remove shop_web_1",
            "create shop-web-1",
            "start shop-web-1"
        ]
    );
    assert_eq!((world.says(1), &world.container("shop_db_1").id), ("healthy".to_owned(), &db));
    // The way back makes it anew: what was taken over is gone.
    let (_, first) = adopted();
    world.wishes = vec![wish(1, 3, &first)];
    world.settle();
    assert_eq!(
        (world.says(1), world.shows()),
        ("healthy".to_owned(), vec!["shop-web-1 Running".to_owned(), "shop_db_1 Running".to_owned()])
    );
}

#[test]
fn nothing_is_taken_over_that_the_wish_does_not_name() {
    let mut world = World::new();
    let (web, db) = (world.composed("web", 1, None), world.composed("db", 1, None));
    // The one is not named; the other is named as what it is not; the third is another host's.
    world.wishes = vec![wish(1, 1, &adopting(app(&["web web:1", "db db:1"]), &[(&web, "db")]))];
    world.settle();
    assert_eq!(
        world.shows(),
        ["shop-db-1 Running", "shop-web-1 Running", "shop_db_1 Running", "shop_web_1 Running"]
    );
    let mut elsewhere = adopting(app(&["web web:1", "db db:1"]), &[(&web, "web"), (&db, "db")]);
    elsewhere.adopted.as_mut().expect("it adopts").host = HostId::from_u128(8);
    world.wishes = vec![wish(1, 2, &elsewhere)];
    assert!(world.settle().is_empty());
    world.wishes.clear();
    world.settle();
    assert_eq!(world.shows(), ["shop_db_1 Running", "shop_web_1 Running"], "what nobody took over stays");
}

#[test]
fn what_was_taken_over_goes_with_its_app() {
    let (mut world, _) = adopted();
    world.settle();
    world.wishes[0].allocation.run = false;
    assert_eq!(world.settle(), ["stop shop_web_1", "stop shop_db_1"]);
    assert_eq!(world.says(1), "stopped");
    world.wishes[0].allocation.run = true;
    world.settle();
    assert_eq!(world.shows(), ["shop_db_1 Running", "shop_web_1 Running"], "the same ones start again");
    world.wishes.clear();
    world.settle();
    assert!(world.containers.is_empty());
}

#[test]
fn exclusive_containers_are_taken_over_as_such() {
    let (mut world, _) = adopted();
    world.wishes[0].allocation.exclusive = true;
    world.settle();
    let labels = &world.container("shop_db_1").labels;
    assert_eq!(labels.get(names::EXCLUSIVE).map(String::as_str), Some("true"));
    world.leased = false;
    assert!(world.says(1).starts_with("stopping: this host's lease has ended"), "{}", world.says(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever the agent is killed, and whatever is wished for afterwards: containers that nobody named run on untouched, and
    /// those that were named are the app's.
    #[test]
    fn only_what_is_named_is_ever_touched(
        named in prop::collection::vec(any::<bool>(), 3),
        kill in 0usize..12,
        after in 0usize..3,
    ) {
        let mut world = World::new();
        let services = ["web", "db", "job"];
        let ids: Vec<String> = services.iter().map(|service| world.composed(service, 1, None)).collect();
        let pairs: Vec<(&str, &str)> = ids.iter().map(String::as_str).zip(services)
            .zip(&named).filter(|(_, named)| **named).map(|(pair, _)| pair).collect();
        let first = adopting(app(&["web web:1 >db", "db db:1 always", "job job:1"]), &pairs);
        world.wishes = vec![wish(1, 1, &first)];
        for _ in 0..kill {
            let plan = world.plan();
            let Some(step) = plan.steps.last() else { break };
            world.perform(&step.clone());
        }
        world.memory = Default::default();
        match after {
            0 => {}
            1 => world.wishes = vec![wish(2, 2, &app(&["web web:2 >db", "db db:1 always", "job job:1"]))],
            _ => world.wishes.clear(),
        }
        world.settle();
        for ((id, service), named) in ids.iter().zip(services).zip(&named) {
            let found = world.containers.iter().find(|container| container.id == *id);
            if !named {
                let untouched = found.is_some_and(|one| one.state == ContainerState::Running && !one.labels.contains_key(names::ALLOCATION));
                prop_assert!(untouched, "{service} was touched");
            } else if after == 0 {
                prop_assert!(found.is_some_and(|one| one.labels.contains_key(names::ALLOCATION)), "{service} is not taken over");
            }
        }
        if after < 2 {
            let id = if after == 0 { 1 } else { 2 };
            prop_assert_eq!(world.says(id), "healthy");
        }
    }
}
