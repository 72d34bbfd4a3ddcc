//! More and fewer replicas.

use super::check;

#[test]
fn more_fill_the_lowest_free_slots() {
    check(
        "host a
         host b
         group web replicas=3 per-host=2
         alloc web#2 on a healthy",
        "place web#0@1 on b: missing
         place web#1@1 on a: missing",
    );
}

#[test]
fn a_slot_that_was_used_is_used_again_before_a_fresh_one() {
    check(
        "host a
         host b
         group web replicas=2
         alloc web#2@4 on a stopped told-to-stop
         alloc web#3 on b healthy",
        "place web#2@5 on a: missing",
    );
}

#[test]
fn what_retires_makes_room_once_it_has_stopped() {
    check(
        "host a
         group web replicas=2 per-host=2
         alloc web#1@1 on a healthy
         alloc web#1@2 on a healthy",
        "stop web#1@1 on a: replaced by epoch 2
         wait web#0: 2 of the group run there, 2 may; nearest is a",
    );
}

#[test]
fn fewer_give_up_what_serves_least() {
    check(
        "host a
         host b
         host c
         group web replicas=1
         alloc web#0 on a unhealthy
         alloc web#1 on b healthy
         alloc web#2 on c starting",
        "stop web#0@1 on a: scaled down
         stop web#2@1 on c: scaled down",
    );
}

#[test]
fn an_exclusive_group_keeps_the_lowest_numbers() {
    // A number stands for data: which replica's goes is not left to which is healthy at the moment.
    check(
        "host a
         group db exclusive replicas=2
         alloc db#0 on a unhealthy
         alloc db#2 on a healthy",
        "stop db#2@1 on a: scaled down
         place db#1@1 on a: missing",
    );
}

#[test]
fn then_the_most_crowded_zone_then_the_newest() {
    check(
        "host a1 zone=a
         host a2 zone=a
         host b1 zone=b
         host a3 zone=a
         group web replicas=2
         alloc web#0 on a1 healthy
         alloc web#1 on a2 healthy
         alloc web#2 on b1 healthy
         alloc web#3 on a3 healthy",
        "stop web#1@1 on a2: scaled down
         stop web#3@1 on a3: scaled down",
    );
}

#[test]
fn a_pinned_one_goes_last() {
    check(
        "host a
         group web replicas=1
         alloc web#0 on a healthy
         alloc web#1 on a unhealthy pinned",
        "stop web#0@1 on a: scaled down",
    );
}

#[test]
fn to_zero() {
    check(
        "host a
         host b down
         group web replicas=0
         alloc web#0 on a healthy
         alloc web#1 on b lost",
        "stop web#0@1 on a: scaled down
         stop web#1@1 on b: scaled down",
    );
}

#[test]
fn an_app_that_is_gone_is_stopped_everywhere() {
    check(
        "host a
         alloc web#0 on a healthy
         alloc web#1 on a healthy told-to-stop
         alloc web#2 on gone healthy",
        "stop web#0@1 on a: no longer wanted
         stop web#2@1 on 00000000-0000-0000-0000-00000000dead: no longer wanted",
    );
}

#[test]
fn a_group_that_changes_its_mode_starts_anew() {
    check(
        "host a
         group web replicas=1
         alloc web#host on a healthy",
        "stop web#host@1 on a: no longer wanted
         place web#0@1 on a: missing",
    );
}

#[test]
fn data_is_found_again_after_scaling_down_and_up() {
    check(
        "host a
         host b foreign-memory=10
         group db exclusive replicas=2 volume=data:0:a volume=data:1:b
         alloc db#0 on a healthy",
        "place db#1@1 on b: missing",
    );
}
