//! One on every host.

use super::check;

#[test]
fn one_on_every_host_that_matches() {
    check(
        "host a label=edge:yes
         host b label=edge:yes cordoned
         host c
         host d label=edge:yes down
         host e label=edge:yes taint=spot
         host f label=edge:yes
         group shop global constraint=node.labels.edge==yes
         alloc shop#host on f healthy",
        "place shop#host@1 on a: missing",
    );
}

#[test]
fn a_host_without_room_waits_alone() {
    check(
        "host a
         host b memory=1
         group logs global memory=2",
        "place logs#host@1 on a: missing
         wait logs#host on b: needs 2.0 GiB of memory, 1.0 GiB is free; nearest is b",
    );
}

#[test]
fn it_leaves_a_host_that_no_longer_matches() {
    check(
        "host a
         host b label=edge:yes
         group shop global constraint=node.labels.edge==yes
         alloc shop#host on a healthy
         alloc shop#host on b healthy",
        "stop shop#host@1 on a: its host no longer matches: needs node.labels.edge == yes, has none",
    );
}

#[test]
fn a_lost_host_takes_only_its_own_along() {
    check(
        "host a down
         host b
         group logs global
         alloc logs#host on a healthy
         alloc logs#host on b healthy",
        "lose logs#host@1 on a
         wait logs#host on a: its host is down",
    );
}

#[test]
fn a_drained_host_gives_it_up_and_a_cordoned_one_keeps_it() {
    check(
        "host a draining
         host b cordoned
         group logs global
         alloc logs#host on a healthy
         alloc logs#host on b healthy",
        "stop logs#host@1 on a: its host is emptied",
    );
}

#[test]
fn enough_stay_healthy() {
    check(
        "host a draining
         host b draining
         group logs global min-healthy=1
         alloc logs#host on a healthy
         alloc logs#host on b healthy",
        "stop logs#host@1 on a: its host is emptied
         wait logs#host on b: 1 of its group are healthy and 1 have to remain",
    );
}

#[test]
fn a_group_that_becomes_global_starts_anew() {
    check(
        "host a
         group web global
         alloc web#0 on a healthy",
        "stop web#0@1 on a: no longer wanted
         place web#host@1 on a: missing",
    );
}

#[test]
fn an_exclusive_one_waits_for_its_predecessor() {
    check(
        "host a
         group agent global exclusive
         alloc agent#host on a healthy told-to-stop",
        "wait agent#host on a: agent#host@1 on a has to stop first",
    );
}

#[test]
fn one_that_failed_stops_before_it_is_tried_again() {
    check(
        "host a
         group logs global retries=1
         alloc logs#host on a failed",
        "stop logs#host@1 on a: it failed",
    );
}

#[test]
fn cards_are_granted_on_every_host() {
    check(
        "host a gpu=a0:L4:24
         host b
         group exporter global gpus=all",
        "place exporter#host@1 on a gpu a0: missing
         wait exporter#host on b: needs every GPU, 0 of 0 free; nearest is b",
    );
}
