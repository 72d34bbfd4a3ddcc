//! From one release to the next, and two at a time.

use super::world::name;
use super::*;
use omni_common::domain::ContainerState;
use omni_common::domain::app::{NetworkJoin, NetworkSpec};
use std::collections::BTreeSet;

#[test]
fn a_new_release_makes_anew_only_what_changed() {
    for id in [1, 2] {
        let mut world = World::new();
        world.wishes = vec![wish(1, 1, &app(&["web web:1 >db", "db db:1"]))];
        world.settle();
        let db = world.container("shop-db-1").id.clone();
        // The same allocation goes on, or another takes its place.
        world.wishes = vec![wish(id, 2, &app(&["web web:2 >db", "db db:1"]))];
        assert_eq!(
            world.settle(),
            [
                "pull web:2",
                "lay",
                "stop shop-web-1",
                "remove shop-web-1",
                "create shop-web-1",
                "start shop-web-1"
            ]
        );
        assert_eq!((world.says(id), &world.container("shop-db-1").id), ("healthy".to_owned(), &db));
        world.memory = Default::default();
        assert!(world.settle().is_empty(), "what was taken over stays so after a restart");
    }
}

#[test]
fn an_image_that_cannot_be_had_stops_nothing() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    world.wishes = vec![wish(2, 2, &app(&["web fail:1"]))];
    assert_eq!(world.settle(), ["pull fail:1", "lay"]);
    assert_eq!(world.says(2), "failed: there is no image fail:1");
    assert_eq!(world.shows(), ["shop-web-1 Running"]);
    assert_eq!(
        world.plan().wake,
        Some(world.now.plus(std::time::Duration::from_secs(60))),
        "it is tried again"
    );
    // The way back costs nothing.
    world.wishes = vec![wish(3, 3, &app(&["web web:1"]))];
    assert!(world.settle().is_empty());
    assert_eq!(world.says(3), "healthy");
}

#[test]
fn start_first_keeps_both_apart_and_the_name_moves_on() {
    let mut world = World::new();
    let (old, new) = (app(&["web web:1 >db", "db db:1"]), app(&["web web:2 >db", "db db:1"]));
    world.wishes = vec![wish(1, 1, &old)];
    world.settle();
    world.wishes = vec![wish(1, 1, &old), wish(2, 2, &new)];
    world.settle();
    assert_eq!(
        world.shows(),
        [
            "shop-db-1 Running",
            "shop-db-1-00000002 Running",
            "shop-web-1 Running",
            "shop-web-1-00000002 Running"
        ]
    );
    assert_eq!((world.says(1), world.says(2)), ("healthy".to_owned(), "healthy".to_owned()));
    assert_eq!(world.networks.keys().collect::<Vec<_>>(), ["shop_default", "shop_default-00000002"]);
    assert!(world.settle().is_empty(), "two at a time are stable");
    world.wishes.remove(0);
    let done = world.settle();
    assert_eq!(
        done,
        [
            "stop shop-web-1",
            "stop shop-db-1",
            "remove shop-db-1",
            "rename shop-db-1-00000002 shop-db-1",
            "remove shop-web-1",
            "rename shop-web-1-00000002 shop-web-1",
            "remove network shop_default"
        ]
    );
    assert_eq!(world.shows(), ["shop-db-1 Running", "shop-web-1 Running"]);
    // The next one has the first name again.
    world.wishes.push(wish(3, 3, &old));
    world.settle();
    assert!(world.networks.contains_key("shop_default"));
    world.wishes.remove(0);
    world.settle();
    assert_eq!(world.says(3), "healthy");
    assert_eq!(world.networks.len(), 1);
}

#[test]
fn a_port_of_the_older_one_is_waited_for() {
    let mut world = World::new();
    let (old, new) = (app(&["web web:1 :80"]), app(&["web web:2 :80"]));
    world.wishes = vec![wish(1, 1, &old)];
    world.settle();
    world.wishes = vec![wish(1, 1, &old), wish(2, 2, &new)];
    world.settle();
    assert_eq!(world.says(2), "starting: waits for shop-web-1 to give up port 80/tcp");
    world.wishes.remove(0);
    world.settle();
    assert_eq!((world.says(2), world.shows()), ("healthy".to_owned(), vec!["shop-web-1 Running".to_owned()]));
}

#[test]
fn instances_and_environments_have_names_of_their_own() {
    let spec = app(&["web web:1"]);
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec), wish(2, 1, &spec), wish(3, 1, &spec)];
    world.wishes[1].allocation.slot = 1;
    world.wishes[2].allocation.environment = "staging".to_owned();
    world.settle();
    assert_eq!(world.shows(), ["shop-web-1 Running", "shop.1-web-1 Running", "staging.shop-web-1 Running"]);
    assert_eq!(
        world.networks.keys().collect::<Vec<_>>(),
        ["shop.1_default", "shop_default", "staging.shop_default"]
    );
}

#[test]
fn further_networks_are_joined_before_the_start() {
    let mut spec = app(&["web web:1"]);
    spec.networks.insert("back".to_owned(), NetworkSpec::default());
    let given = NetworkSpec { name: Some("omni-quantum-network".to_owned()), ..NetworkSpec::default() };
    spec.networks.insert("front".to_owned(), given);
    let web = spec.services.get_mut(&name("web")).expect("it is there");
    web.networks.insert("back".to_owned(), NetworkJoin::default());
    web.networks.insert("front".to_owned(), NetworkJoin { priority: 5, ..NetworkJoin::default() });
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec)];
    assert_eq!(
        world.settle(),
        ["pull web:1", "lay", "create shop-web-1", "connect shop-web-1 shop_back", "start shop-web-1"]
    );
    world.container("shop-web-1").networks.retain(|place| place.network != "shop_back");
    assert_eq!(world.settle(), ["connect shop-web-1 shop_back"], "what somebody took away is given back");
}

#[test]
fn always_pulled_is_made_anew_with_each_release() {
    let spec = || {
        let mut spec = app(&["web web:1"]);
        spec.services.get_mut(&name("web")).expect("it is there").pull_policy =
            Some(omni_common::domain::app::PullPolicy::Always);
        spec
    };
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec())];
    world.settle();
    world.wishes = vec![wish(1, 2, &spec())];
    assert!(world.settle().contains(&"create shop-web-1".to_owned()));
}

#[test]
fn what_this_engine_cannot_do_is_said() {
    let mut spec = app(&["web web:1"]);
    let web = spec.services.get_mut(&name("web")).expect("it is there");
    web.annotations.insert("a".to_owned(), "b".to_owned());
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec)];
    assert_eq!(
        world.says(1),
        "failed: service web: annotations needs a Docker engine with API 1.43 or newer, and this host's has 1.41"
    );
    world.api = (1, 43);
    world.settle();
    assert_eq!(world.says(1), "healthy");
}

#[test]
fn what_was_taken_over_has_stopped_before_it_is_called_so() {
    let spec = app(&["web web:1"]);
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec)];
    world.settle();
    // The same definition: the container stays, with the label of the allocation that made it.
    world.wishes = vec![wish(2, 2, &spec)];
    assert!(world.settle().is_empty());
    world.wishes[0].allocation.run = false;
    assert!(world.says(2).starts_with("stopping"), "{}", world.says(2));
    assert_eq!(world.settle(), ["stop shop-web-1"]);
    assert!(world.says(2).starts_with("stopped"), "{}", world.says(2));
}

#[test]
fn what_the_engine_was_asked_to_start_counts_as_running() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    let container = world.container("shop-web-1");
    container.state = ContainerState::Created;
    let id = container.id.clone();
    world.memory.starting.insert(id);
    world.wishes[0].allocation.run = false;
    assert!(world.says(1).starts_with("stopping"), "{}", world.says(1));
    world.memory.starting.clear();
    assert!(world.says(1).starts_with("stopped"), "{}", world.says(1));
}

#[test]
fn networks_are_made_by_one_at_a_time() {
    let mut world = World::new();
    let mut other = wish(2, 1, &app(&["web web:1"]));
    other.allocation.app = "other".to_owned();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"])), other];
    let mut lays = Vec::new();
    while lays.is_empty() {
        let plan = world.plan();
        lays = plan.steps.iter().filter(|step| step.word() == "lay").cloned().collect();
        let pulls: Vec<_> = plan.steps.iter().filter(|step| step.word() == "pull").cloned().collect();
        pulls.iter().for_each(|pull| world.perform(pull));
    }
    let [one, two] = lays.as_slice() else { panic!("{lays:?}") };
    assert!(!two.waits_for(&BTreeSet::new()));
    assert!(two.waits_for(&BTreeSet::from([one.key()])));
}
