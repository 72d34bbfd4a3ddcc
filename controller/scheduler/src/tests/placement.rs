//! New instances: where they go, and why they wait.

use super::check;

#[test]
fn one_goes_to_the_host_with_most_room() {
    check(
        "host a memory=16 foreign-memory=12
         host b memory=16 foreign-memory=4
         host c memory=16 foreign-memory=8
         group web memory=2",
        "place web#0@1 on b: missing",
    );
}

#[test]
fn replicas_spread_over_zones_then_hosts() {
    check(
        "host a1 zone=a foreign-memory=1
         host a2 zone=a foreign-memory=2
         host b1 zone=b foreign-memory=8
         group web replicas=4 memory=1",
        "place web#0@1 on a1: missing
         place web#1@1 on b1: missing
         place web#2@1 on a2: missing
         place web#3@1 on b1: missing",
    );
}

#[test]
fn a_preference_replaces_the_usual_spreading() {
    check(
        "host a zone=z1 label=rack:r1 foreign-memory=1
         host b zone=z2 label=rack:r1 foreign-memory=2
         host c zone=z2 label=rack:r2 foreign-memory=3
         group web replicas=2 spread=node.labels.rack",
        "place web#0@1 on a: missing
         place web#1@1 on c: missing",
    );
}

#[test]
fn images_decide_between_hosts_that_are_alike() {
    check(
        "host a
         host b
         host c image=web:2 foreign-memory=2
         host d
         group web image=web:2",
        "place web#0@1 on c: missing",
    );
}

#[test]
fn an_image_does_not_outweigh_another_zone() {
    check(
        "host a zone=a image=web:2
         host b zone=b foreign-memory=8
         group web replicas=2 image=web:2
         alloc web#0 on a healthy",
        "place web#1@1 on b: missing",
    );
}

#[test]
fn an_image_that_cannot_be_pulled_has_to_be_there() {
    check(
        "host a
         group web local-image=web:2",
        "wait web#0: cannot be pulled and is not on the host: web:2; nearest is a",
    );
}

#[test]
fn no_room_names_the_nearest_miss() {
    check(
        "host a memory=4
         host b memory=8 foreign-memory=2.8
         host c memory=8 foreign-memory=6
         host d memory=64 cordoned
         host e memory=64 down
         group db memory=8",
        "wait db#0: needs 8.0 GiB of memory, 5.2 GiB is free; nearest is b (5 hosts ruled out: 1 by state, 1 by cordon, 3 by resources)",
    );
}

#[test]
fn what_waits_is_placed_when_room_appears() {
    let mesh = |state: &str| {
        format!(
            "host a memory=4
             group db memory=3
             group web memory=3 replicas=0
             alloc web#0 on a {state} told-to-stop"
        )
    };
    check(&mesh("healthy"), "wait db#0: needs 3.0 GiB of memory, 1.0 GiB is free; nearest is a");
    check(&mesh("stopped"), "place db#0@1 on a: missing");
}

#[test]
fn reservations_are_never_promised_twice() {
    check(
        "host a cpus=4
         group web replicas=5 cpus=1.5",
        "place web#0@1 on a: missing
         place web#1@1 on a: missing
         wait web#2: needs 1.5 CPUs, 1 CPU free; nearest is a
         wait web#3: needs 1.5 CPUs, 1 CPU free; nearest is a
         wait web#4: needs 1.5 CPUs, 1 CPU free; nearest is a",
    );
}

#[test]
fn what_reserves_nothing_fits_anywhere_and_still_spreads() {
    check(
        "host a memory=0.25
         host b memory=0.25
         group web
         group api
         alloc web#0 on a healthy",
        "place api#0@1 on b: missing",
    );
}

#[test]
fn a_port_is_taken_once() {
    check(
        "host a foreign-port=127.0.0.1:80
         host b
         host c
         group web replicas=3 port=80 port=443
         group dns port=80/udp
         alloc web#0 on b healthy",
        "place dns#0@1 on a: missing
         place web#1@1 on c: missing
         wait web#2: port 80/tcp is taken; nearest is a (3 hosts ruled out: 3 by ports)",
    );
}

#[test]
fn ports_of_two_addresses_do_not_clash() {
    check(
        "host a foreign-port=10.0.0.1:80
         group web port=10.0.0.2:80
         group api port=10.0.0.1:80",
        "place web#0@1 on a: missing
         wait api#0: port 10.0.0.1:80/tcp is taken; nearest is a",
    );
}

#[test]
fn a_limit_per_host_holds() {
    check(
        "host a
         host b
         group web replicas=3 per-host=1
         alloc web#0 on a healthy",
        "place web#1@1 on b: missing
         wait web#2: 1 of the group run there, 1 may; nearest is a (2 hosts ruled out: 2 by per-host)",
    );
}

#[test]
fn the_important_come_first_and_take_along_what_they_need() {
    check(
        "host a memory=4
         group blog memory=1
         group db memory=1
         group shop memory=1 critical after=db
         group wiki memory=1 tier=high
         group zoo memory=1",
        "place db#0@1 on a: missing
         place shop#0@1 on a: missing
         place wiki#0@1 on a: missing
         place blog#0@1 on a: missing
         wait zoo#0: needs 1.0 GiB of memory, 0 B is free; nearest is a",
    );
}

#[test]
fn a_circle_of_dependencies_is_named_and_harmless() {
    check(
        "host a
         group one after=two
         group two after=one
         group three after=two",
        "place one#0@1 on a: missing
         place three#0@1 on a: missing
         place two#0@1 on a: missing
         note: one, three, two depend on each other in a circle",
    );
}

#[test]
fn without_hosts_everything_waits() {
    check("group web", "wait web#0: there is no host");
}

#[test]
fn a_slip_of_the_finger_does_not_fill_the_state() {
    let problem = super::language::read("group web replicas=4000000000");
    let plan = crate::plan(&problem);
    assert_eq!(plan.waiting.len(), crate::MAX_REPLICAS as usize);
    assert_eq!(plan.notes.len(), 1);
}

#[test]
fn data_of_an_exclusive_group_decides_where_it_runs() {
    check(
        "host a foreign-memory=15
         host b
         group db exclusive volume=data:0:a",
        "place db#0@1 on a: missing",
    );
}

#[test]
fn data_on_two_hosts_is_nowhere_complete() {
    check(
        "host a
         host b
         group db exclusive volume=data:0:a volume=log:0:b",
        "wait db#0: its data is on several hosts: data on a, log on b",
    );
}

#[test]
fn data_that_others_only_read_draws_them_near() {
    check(
        "host a
         host b foreign-memory=14
         group reader volume=models:0:b",
        "place reader#0@1 on b: missing",
    );
}

#[test]
fn epochs_only_go_up() {
    check(
        "host a
         group web epoch-floor=7
         group api
         alloc api#0@4 on a stopped told-to-stop",
        "place api#0@5 on a: missing
         place web#0@8 on a: missing",
    );
}

#[test]
fn hosts_that_are_not_up_get_nothing() {
    for state in ["pending", "suspect", "down", "leaving", "cordoned", "draining", "taint=gpu:only"] {
        check(&format!("host a {state} memory=64\n host b\n group web"), "place web#0@1 on b: missing");
    }
}
