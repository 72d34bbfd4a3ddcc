//! Slots that are filled afresh, as a rollout asks for.

use super::check;

#[test]
fn the_new_one_starts_first_where_both_fit() {
    check(
        "host a
         group web renew=0
         alloc web#0 on a healthy",
        "move web#0@1 on a to a@2: takes the place of an outdated one",
    );
}

#[test]
fn where_they_do_not_the_old_one_stops_first() {
    check(
        "host a
         group web port=80 renew=0
         alloc web#0 on a healthy",
        "stop web#0@1 on a: outdated; its successor follows",
    );
    check(
        "host a
         group web per-host=1 renew=0
         alloc web#0 on a healthy",
        "stop web#0@1 on a: outdated; its successor follows",
    );
    check(
        "host a
         group web renew-stops-first
         alloc web#0 on a healthy told-to-stop",
        "wait web#0: web#0@1 on a has to stop first",
    );
    check(
        "host a
         group web replicas=3 renew-stops-first
         alloc web#0 on a healthy told-to-stop
         alloc web#1 on a healthy",
        "place web#0@2 on a: missing
         wait web#2: web#0@1 on a has to stop first",
    );
    check(
        "host a
         host b
         group web renew=0 renew-stops-first
         alloc web#0 on a healthy",
        "stop web#0@1 on a: outdated; its successor follows",
    );
}

#[test]
fn an_exclusive_one_stops_first() {
    check(
        "host a
         host b
         group db exclusive renew=0
         alloc db#0 on a healthy",
        "stop db#0@1 on a: outdated; its successor follows",
    );
}

#[test]
fn its_host_turns_it_into_the_new_one_where_two_cannot_run_side_by_side() {
    check(
        "host a memory=3 cordoned
         host b
         group db exclusive memory=2 port=5432 renew-in-place=0
         alloc db#0@3 on a healthy",
        "renew db#0@3 on a as @4: what differs is replaced",
    );
    check(
        "host a
         group web port=80 renew-in-place=0
         alloc web#0 on a healthy",
        "renew web#0@1 on a as @2: what differs is replaced",
    );
    check(
        "host a
         group web renew-in-place=0
         alloc web#0 on a healthy",
        "move web#0@1 on a to a@2: takes the place of an outdated one",
    );
}

#[test]
fn it_stops_as_a_whole_where_its_new_form_does_not_fit() {
    check(
        "host a memory=1
         host b
         group db exclusive memory=2 renew-in-place=0
         alloc db#0 on a healthy",
        "stop db#0@1 on a: outdated; its successor follows",
    );
    check(
        "host a
         group db exclusive renew-in-place=0
         alloc db#0@1 on a healthy told-to-stop
         alloc db#0@2 on a healthy",
        "stop db#0@2 on a: outdated; its successor follows",
    );
}

#[test]
fn one_that_is_outdated_before_it_took_over_makes_way_for_the_one_before() {
    for state in ["starting", "failed"] {
        check(
            &format!(
                "host a
                 host b
                 group web renew=0
                 alloc web#0 on a healthy
                 alloc web#0@2 on b {state}"
            ),
            "stop web#0@2 on b: outdated; its successor follows",
        );
    }
}

#[test]
fn one_that_is_not_healthy_is_not_waited_for() {
    check(
        "host a
         group web renew=0
         alloc web#0 on a failed",
        "stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on a: takes the place of an outdated one",
    );
}

#[test]
fn room_that_is_on_its_way_is_waited_for() {
    check(
        "host a
         host b
         group web port=80 renew=0
         alloc web#0 on a healthy
         alloc web#0@2 on b starting told-to-stop",
        "wait web#0 on a: web#0@2 on b has to stop first",
    );
}
