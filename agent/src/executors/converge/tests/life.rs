//! One release on one host: how it comes up, is kept up, and goes.

use super::world::{incomplete, name, unknown};
use super::*;
use crate::executors::converge::steps::{Action, Step};
use omni_common::domain::app::{
    Dependency, DependsCondition, Mount, MountSource, NetworkMode, VolumeMount, VolumeSpec,
};
use omni_common::domain::{AllocationState, ContainerState, Health};
use std::collections::BTreeMap;

#[test]
fn a_first_start_goes_in_order_and_then_nothing_is_left_to_do() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >db", "db db:1"]))];
    assert_eq!(world.says(1), "preparing: gets the image db:1");
    assert_eq!(
        world.settle(),
        [
            "pull db:1",
            "pull web:1",
            "lay",
            "create shop-db-1",
            "create shop-web-1",
            "start shop-db-1",
            "start shop-web-1"
        ]
    );
    assert_eq!(world.says(1), "healthy");
    assert_eq!(world.networks.keys().collect::<Vec<_>>(), ["shop_default"]);
    assert!(world.settle().is_empty());
    world.memory = Default::default();
    assert!(world.settle().is_empty(), "an agent that starts again finds everything as it is to be");
}

#[test]
fn what_stands_on_a_healthy_one_waits_for_its_check() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >+db", "db checked:1 check"]))];
    world.settle();
    assert_eq!(world.shows(), ["shop-db-1 Running", "shop-web-1 Created"]);
    assert_eq!(world.says(1), "starting: web waits for shop-db-1 to be healthy");
    world.container("shop-db-1").health = Health::Unhealthy;
    world.container("shop-db-1").health_output = Some("no route".to_owned());
    assert_eq!(world.says(1), "starting: shop-db-1 is unhealthy: no route");
    assert!(world.verdict(1).2.is_some(), "its log is of interest");
    world.container("shop-db-1").health = Health::Healthy;
    assert_eq!(world.settle(), ["start shop-web-1"]);
    assert_eq!(world.says(1), "healthy");
    world.container("shop-db-1").health = Health::Unhealthy;
    assert_eq!(world.says(1), "unhealthy: shop-db-1 is unhealthy: no route");
}

#[test]
fn a_job_before_a_service_has_to_end_well() {
    let spec = app(&["web web:1 >.job", "job job:1"]);
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec)];
    world.settle();
    assert_eq!(world.says(1), "starting: web waits for shop-job-1 to complete its work");
    let mut failed = world.clone();
    world.ends("shop-job-1", 0);
    assert_eq!(world.settle(), ["start shop-web-1"]);
    assert_eq!(world.says(1), "healthy");
    failed.ends("shop-job-1", 3);
    assert!(failed.settle().is_empty());
    assert_eq!(failed.says(1), "failed: shop-job-1 ended with exit code 3");
    assert!(failed.verdict(1).2.is_some());
}

#[test]
fn a_dependency_that_can_never_be_met_is_said() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >+db", "db db:1"]))];
    world.settle();
    assert!(
        world.says(1).starts_with("failed: web: it waits for shop-db-1 to be healthy"),
        "{}",
        world.says(1)
    );
    world.wishes = vec![wish(1, 1, &app(&["a a:1 >b", "b b:1 >a"]))];
    assert!(world.says(1).starts_with("failed: service a waits for itself"), "{}", world.says(1));
}

#[test]
fn going_is_in_reverse_and_leaves_nothing() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >db", "db db:1", "log log:1 >web"]))];
    world.settle();
    world.wishes.clear();
    assert_eq!(
        world.settle(),
        [
            "stop shop-log-1",
            "stop shop-web-1",
            "stop shop-db-1",
            "remove shop-db-1",
            "remove shop-web-1",
            "remove shop-log-1",
            "remove network shop_default"
        ]
    );
    assert!(world.containers.is_empty() && world.networks.is_empty());
    assert!(world.plan().accounts.is_empty());
}

#[test]
fn what_is_to_be_stopped_is_kept() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >db always", "db db:1"]))];
    world.settle();
    world.wishes[0].allocation.run = false;
    assert_eq!(world.says(1), "stopping");
    assert_eq!(world.settle(), ["stop shop-web-1", "stop shop-db-1"]);
    assert_eq!(world.says(1), "stopped");
    world.memory = Default::default();
    world.wishes[0].allocation.run = true;
    assert_eq!(world.settle(), ["lay", "start shop-db-1", "start shop-web-1"]);
    assert_eq!(world.says(1), "healthy");
}

#[test]
fn what_somebody_else_made_is_in_the_way_and_stays() {
    let mut world = World::new();
    world.foreign("shop-web-1", None);
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    assert!(world.settle().is_empty());
    let said = world.says(1);
    assert!(
        said.starts_with("failed: the name shop-web-1 is taken by a container that this agent did not make"),
        "{said}"
    );
    world.containers.clear();
    world.foreign("nginx", Some(80));
    world.wishes = vec![wish(1, 1, &app(&["web web:1 :80"]))];
    assert!(world.settle().is_empty());
    assert!(world.says(1).contains("port 80/tcp is taken by the container nginx"), "{}", world.says(1));
    world.containers[0].state = ContainerState::Exited;
    world.settle();
    assert_eq!(world.says(1), "healthy");
    assert_eq!(world.shows(), ["nginx Exited", "shop-web-1 Running"]);
}

#[test]
fn another_agent_on_the_same_engine_is_left_alone() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    world.host = "another".to_owned();
    world.wishes.clear();
    assert!(world.settle().is_empty());
    assert_eq!(world.shows(), ["shop-web-1 Running"]);
}

#[test]
fn a_container_that_ends_is_started_again_or_not_as_its_policy_says() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 always"]))];
    world.settle();
    world.ends("shop-web-1", 0);
    assert_eq!(world.settle(), ["start shop-web-1"]);
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    world.ends("shop-web-1", 7);
    assert!(world.settle().is_empty());
    assert_eq!(world.says(1), "failed: shop-web-1 ended with exit code 7");
    // A person, the engine's end or the host's took it away: it is to run.
    world.ends("shop-web-1", 137);
    assert_eq!(world.settle(), ["start shop-web-1"]);
    world.ends("shop-web-1", 137);
    world.container("shop-web-1").oom_killed = true;
    assert!(world.settle().is_empty());
    assert!(world.says(1).contains("used more memory than it may"), "{}", world.says(1));
    world.ends("shop-web-1", 0);
    assert_eq!(world.says(1), "stopped: all its containers have ended with exit code 0");
}

#[test]
fn exclusive_work_starts_and_goes_on_only_under_a_lease() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["db db:1 always"]))];
    world.wishes[0].allocation.exclusive = true;
    world.leased = false;
    world.settle();
    assert_eq!(world.shows(), ["shop-db-1 Created"]);
    assert!(world.says(1).starts_with("preparing: waits for this host's lease"), "{}", world.says(1));
    world.leased = true;
    assert_eq!(world.settle(), ["start shop-db-1"]);
    // The fence stops it at the end of the lease; the plan leaves it so.
    world.leased = false;
    assert!(world.says(1).starts_with("stopping: this host's lease has ended"), "{}", world.says(1));
    world.ends("shop-db-1", 0);
    assert!(world.settle().is_empty());
    world.leased = true;
    assert_eq!(world.settle(), ["start shop-db-1"]);
}

#[test]
fn services_of_several_containers_grow_and_shrink() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 x3"]))];
    world.settle();
    assert_eq!(world.shows(), ["shop-web-1 Running", "shop-web-2 Running", "shop-web-3 Running"]);
    world.wishes = vec![wish(1, 2, &app(&["web web:1 x1"]))];
    let done = world.settle();
    assert_eq!(done, ["stop shop-web-2", "stop shop-web-3", "remove shop-web-2", "remove shop-web-3"]);
}

#[test]
fn a_service_in_another_ones_network_is_made_anew_with_it() {
    let spec = |image: &str| {
        let mut spec = app(&[&format!("vpn {image}"), "web web:1"]);
        let web = spec.services.get_mut(&name("web")).expect("it is there");
        web.network_mode = NetworkMode::Service(name("vpn"));
        spec
    };
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec("vpn:1"))];
    let done = world.settle();
    assert_eq!(done[3..], ["create shop-vpn-1", "create shop-web-1", "start shop-vpn-1", "start shop-web-1"]);
    world.wishes = vec![wish(1, 2, &spec("vpn:2"))];
    world.settle();
    let web = world.container("shop-web-1").labels["omni.joins"].clone();
    assert_eq!(web, world.container("shop-vpn-1").id);
    assert_eq!(world.says(1), "healthy");
}

#[test]
fn a_service_is_restarted_with_what_it_stands_on_when_it_says_so() {
    let spec = |image: &str| {
        let mut spec = app(&["web web:1", &format!("db {image}")]);
        let dependency = Dependency { condition: DependsCondition::Started, restart: true, optional: false };
        spec.services.get_mut(&name("web")).expect("it is there").depends_on.insert(name("db"), dependency);
        spec
    };
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec("db:1"))];
    world.settle();
    world.passes(60);
    world.wishes = vec![wish(1, 2, &spec("db:2"))];
    let done = world.settle();
    assert_eq!(
        done,
        [
            "pull db:2",
            "lay",
            "stop shop-db-1",
            "remove shop-db-1",
            "create shop-db-1",
            "start shop-db-1",
            "stop shop-web-1",
            "start shop-web-1"
        ]
    );
}

#[test]
fn what_is_not_known_yet_stops_nothing() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    world.wishes = vec![unknown(wish(2, 2, &app(&["web web:2"])))];
    assert!(world.settle().is_empty());
    assert_eq!(world.says(2), "preparing: its specification has not arrived yet");
    assert_eq!(world.says(1), "stopping: goes on until release 2 can take its place");
    assert_eq!(world.verdict(1).0, AllocationState::Stopping);
}

#[test]
fn a_network_stays_for_what_waits_for_a_file() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    world.settle();
    world.containers.clear();
    world.wishes = vec![incomplete(wish(2, 2, &app(&["web web:2"])))];
    assert!(world.settle().is_empty(), "{:?}", world.networks);
    world.wishes = vec![wish(2, 2, &app(&["web web:2"]))];
    assert_eq!(world.settle(), ["pull web:2", "lay", "create shop-web-1", "start shop-web-1"]);
}

#[test]
fn a_network_that_is_being_removed_is_not_taken_for_there() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1"]))];
    let plan = world.plan();
    let lay = plan.steps.iter().find(|step| step.word() == "lay").expect("a network is needed");
    let removal = |name: &str| Step { allocation: None, action: Action::RemoveNetwork(name.into()) };
    assert!(lay.waits_for(&[removal("shop_default").key()].into()));
    assert!(!lay.waits_for(&[removal("other_default").key()].into()));
}

#[test]
fn an_older_epoch_touches_nothing() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 5, &app(&["web web:1"]))];
    world.settle();
    world.wishes = vec![wish(1, 4, &app(&["web web:0"]))];
    assert!(world.settle().is_empty());
    assert!(world.says(1).contains("newer epoch"), "{}", world.says(1));
}

#[test]
fn data_goes_only_when_that_is_said() {
    let mut spec = app(&["db db:1"]);
    let volume = VolumeMount { volume: Some("data".to_owned()), ..VolumeMount::default() };
    let mount = Mount { target: "/data".to_owned(), source: MountSource::Volume(volume), read_only: false };
    spec.services.get_mut(&name("db")).expect("just made").mounts.push(mount);
    spec.volumes.insert("data".to_owned(), VolumeSpec::default());
    let mut world = World::new();
    let other = BTreeMap::from([("omni.app".to_owned(), "wiki".to_owned())]);
    world.volumes.insert("wiki_data".to_owned(), other);
    world.wishes = vec![wish(1, 1, &spec)];
    world.settle();
    assert_eq!(world.volumes.keys().collect::<Vec<_>>(), ["shop_data", "wiki_data"]);
    let mut kept = world.clone();
    kept.wishes.clear();
    kept.settle();
    assert_eq!(kept.volumes.len(), 2);

    (world.wishes[0].allocation.run, world.wishes[0].allocation.purge) = (false, true);
    let removed =
        ["stop shop-db-1", "remove shop-db-1", "remove network shop_default", "remove volume shop_data"];
    let mut done = world.settle();
    done.sort_by_key(|step| removed.iter().position(|known| known == step));
    assert_eq!(done, removed);
    assert_eq!(world.volumes.keys().collect::<Vec<_>>(), ["wiki_data"]);
    let account = &world.plan().accounts[&world.wishes[0].allocation.id];
    assert_eq!(account.verdict.0, AllocationState::Stopped);

    // The same for data that an earlier instance left behind.
    kept.wishes = vec![wish(2, 2, &spec)];
    (kept.wishes[0].allocation.run, kept.wishes[0].allocation.purge) = (false, true);
    assert_eq!(kept.settle(), ["remove volume shop_data"]);
}

#[test]
fn what_a_backup_has_stopped_stays_so_until_it_is_released() {
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &app(&["web web:1 >db always", "db db:1"]))];
    world.settle();
    world.ends("shop-db-1", 0);
    let id = world.container("shop-db-1").id.clone();
    world.held.insert(id.clone());
    assert!(world.settle().is_empty());
    assert_eq!(world.says(1), "unhealthy: shop-db-1 is stopped while a backup is taken");
    // Released, it is started whatever its exit code and policy say.
    world.held.clear();
    world.memory.restarts.entry(id).or_default().stopped = true;
    assert_eq!(world.settle(), ["start shop-db-1"]);
    assert_eq!(world.says(1), "healthy");
}

#[test]
fn nothing_is_started_on_a_volume_whose_restore_has_not_ended_well() {
    let mut spec = app(&["web web:1", "db db:1"]);
    let data = VolumeMount { volume: Some("data".to_owned()), ..VolumeMount::default() };
    let mount = Mount { target: "/data".to_owned(), source: MountSource::Volume(data), read_only: false };
    spec.services.get_mut(&name("db")).expect("it is there").mounts.push(mount);
    spec.volumes.insert("data".to_owned(), VolumeSpec::default());
    let mut world = World::new();
    world.wishes = vec![wish(1, 1, &spec)];
    world.barred.insert("shop_data".to_owned(), omni_common::ids::RunId::from_u128(7));
    world.settle();
    assert_eq!(world.shows(), ["shop-db-1 Created", "shop-web-1 Running"]);
    assert!(
        world.says(1).starts_with("starting: waits for a restore of the volume shop_data"),
        "{}",
        world.says(1)
    );
    world.barred.clear();
    assert_eq!(world.settle(), ["start shop-db-1"]);
}
