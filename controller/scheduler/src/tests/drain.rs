//! Hosts that are emptied, and hosts that get nothing new.

use super::check;

#[test]
fn cordon_moves_nothing() {
    check(
        "host a cordoned
         host b
         group web
         alloc web#0 on a healthy",
        "",
    );
}

#[test]
fn what_may_run_twice_starts_elsewhere_first() {
    check(
        "host a draining
         host b
         group web
         alloc web#0 on a healthy",
        "move web#0@1 on a to b@2: its host is emptied",
    );
}

#[test]
fn what_is_not_healthy_is_not_waited_for() {
    check(
        "host a draining
         host b
         group web
         alloc web#0 on a unhealthy",
        "stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on b: its host is emptied",
    );
}

#[test]
fn a_host_that_leaves_is_emptied_too() {
    check(
        "host a leaving
         host b
         group web
         alloc web#0 on a healthy",
        "move web#0@1 on a to b@2: its host is emptied",
    );
}

#[test]
fn a_few_at_a_time() {
    check(
        "host a draining
         host b
         host c
         group web replicas=3 max-moving=2
         group api
         alloc api#0 on a healthy
         alloc web#0 on a healthy
         alloc web#1 on a healthy
         alloc web#2 on a healthy
         policy max-moving=3",
        "move api#0@1 on a to c@2: its host is emptied
         move web#0@1 on a to b@2: its host is emptied
         move web#1@1 on a to c@2: its host is emptied
         wait web#2 on a: only 2 may move at a time",
    );
}

#[test]
fn moves_that_are_under_way_count() {
    check(
        "host a draining
         host b
         group web replicas=2
         alloc web#0@1 on a healthy
         alloc web#0@2 on b starting
         alloc web#1 on a healthy",
        "wait web#0 on a: its replacement on b is not healthy yet
         wait web#1 on a: only 1 may move at a time",
    );
}

#[test]
fn exclusive_ones_that_are_under_way_count_too() {
    check(
        "host a draining
         host b
         group db exclusive
         group log exclusive
         alloc db#0 on a healthy told-to-stop
         alloc log#0 on a healthy
         policy max-moving=1",
        "wait db#0: db#0@1 on a has to stop first
         wait log#0 on a: only 1 may move at a time",
    );
}

#[test]
fn an_exclusive_one_stops_first_and_then_starts() {
    check(
        "host a draining
         host b
         group db exclusive
         alloc db#0 on a healthy",
        "stop db#0@1 on a: its host is emptied; it then goes to b",
    );
    check(
        "host a draining
         host b
         group db exclusive
         alloc db#0 on a stopped told-to-stop",
        "place db#0@2 on b: missing",
    );
}

#[test]
fn room_is_kept_for_what_stops_first() {
    check(
        "host a draining
         host b memory=4
         group db exclusive memory=3
         group web memory=3
         alloc db#0 on a healthy",
        "stop db#0@1 on a: its host is emptied; it then goes to b
         wait web#0: needs 3.0 GiB of memory, 1.0 GiB is free; nearest is b (2 hosts ruled out: 1 by drain, 1 by resources)",
    );
}

#[test]
fn an_exclusive_one_is_not_stopped_without_a_place_to_go() {
    check(
        "host a draining
         host b memory=1
         group db exclusive memory=2
         alloc db#0 on a healthy",
        "wait db#0 on a: needs 2.0 GiB of memory, 1.0 GiB is free; nearest is b (2 hosts ruled out: 1 by drain, 1 by resources)",
    );
}

#[test]
fn enough_stay_healthy() {
    check(
        "host a draining
         host b
         group db exclusive replicas=3 min-healthy=2 max-moving=3
         alloc db#0 on a healthy
         alloc db#1 on a healthy
         alloc db#2 on b unhealthy",
        "wait db#0 on a: 2 of its group are healthy and 2 have to remain
         wait db#1 on a: 2 of its group are healthy and 2 have to remain",
    );
}

#[test]
fn data_has_to_be_moved_by_someone_else() {
    check(
        "host a draining
         host b
         group db exclusive volume=data:0:a failover=restore
         group log exclusive volume=data:0:a
         alloc db#0 on a healthy
         alloc log#0 on a healthy",
        "wait db#0 on a: its data (volume data) is on a; to be restored on b
         wait log#0 on a: its data (volume data) is on a, and its failover is `restart`",
    );
}

#[test]
fn a_pinned_one_stays() {
    check(
        "host a draining
         host b
         group web
         alloc web#0 on a healthy pinned",
        "wait web#0 on a: an operator pinned it to its host",
    );
}

#[test]
fn a_move_that_failed_is_not_tried_forever() {
    check(
        "host a draining
         host b
         group web failed=0:b
         alloc web#0@1 on a healthy
         alloc web#0@2 on b failed",
        "stop web#0@2 on b: it failed
         wait web#0 on a: it failed once, and is not tried again",
    );
    check(
        "host a draining
         host b
         group web failed=0:b
         alloc web#0@1 on a healthy
         alloc web#0@2 on b stopped told-to-stop",
        "wait web#0 on a: it failed once, and is not tried again",
    );
}

#[test]
fn nothing_is_drained_in_a_storm() {
    check(
        "host a draining
         host b down
         host c down
         group web replicas=2
         alloc web#0 on a healthy
         alloc web#1 on b lost",
        "halt: 2 of 3 hosts were lost at once (b, c): what ran there is not replaced until some return; `omni drain HOST` replaces it all the same
         wait web#0 on a: too many hosts were lost at once
         wait web#1 on b: too many hosts were lost at once",
    );
}

#[test]
fn a_successor_may_be_in_the_same_zone() {
    check(
        "host a1 zone=a draining
         host a2 zone=a foreign-memory=4
         host b1 zone=b
         group web replicas=2
         alloc web#0 on a1 healthy
         alloc web#1 on b1 healthy",
        "move web#0@1 on a1 to a2@2: its host is emptied",
    );
}

#[test]
fn what_cannot_go_elsewhere_stops_when_the_time_is_over() {
    check(
        "host a memory=8 overdue
         host b memory=1
         group web
         group big memory=2
         alloc web#0 on a healthy
         alloc big#0 on a healthy",
        "stop big#0@1 on a: its host was to be empty by now
         move web#0@1 on a to b@2: its host is emptied",
    );
}

#[test]
fn a_drain_that_is_overdue_does_not_wait_for_a_successor_that_never_serves() {
    check(
        "host a overdue
         host b
         group web
         alloc web#0 on a healthy
         alloc web#0@2 on b starting",
        "wait web#0 on a: its replacement on b is not healthy yet",
    );
    check(
        "host a expired
         host b
         group web
         alloc web#0 on a healthy
         alloc web#0@2 on b starting",
        "stop web#0@1 on a: its host was to be empty by now",
    );
}
