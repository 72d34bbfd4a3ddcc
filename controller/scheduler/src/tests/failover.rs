//! Hosts that are lost, and come back.

use super::check;

#[test]
fn what_may_run_twice_is_replaced_at_once() {
    check(
        "host a down
         host b
         group web
         alloc web#0 on a healthy",
        "lose web#0@1 on a
         stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on b: a is lost",
    );
}

#[test]
fn only_what_was_lost_moves() {
    check(
        "host a down
         host b
         host c
         group web replicas=3
         group api
         alloc web#0 on a healthy
         alloc web#1 on b healthy
         alloc web#2 on c healthy
         alloc api#0 on b healthy",
        "lose web#0@1 on a
         stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on c: a is lost",
    );
}

#[test]
fn a_late_heartbeat_moves_nothing() {
    check(
        "host a suspect
         host b
         group web
         alloc web#0 on a healthy",
        "",
    );
}

#[test]
fn an_exclusive_one_waits_for_the_fence() {
    check(
        "host a down
         host b
         group db exclusive
         alloc db#0 on a healthy",
        "lose db#0@1 on a
         wait db#0 on a: its host is lost but may still run it until its lease is over",
    );
    check(
        "host a fenced
         host b
         group db exclusive
         alloc db#0 on a lost",
        "stop db#0@1 on a: replaced by epoch 2
         place db#0@2 on b: a is lost",
    );
}

#[test]
fn one_that_failed_counts_until_it_has_stopped() {
    let mesh = |state: &str| {
        format!(
            "host a
             group web per-host=1 retries=1
             alloc web#0 on a {state}"
        )
    };
    check(&mesh("failed"), "stop web#0@1 on a: it failed");
    check(&mesh("failed told-to-stop"), "wait web#0: 1 of the group run there, 1 may; nearest is a");
    check(&mesh("stopped told-to-stop"), "place web#0@2 on a: missing");
}

#[test]
fn data_stays_where_it_is() {
    let mesh = |failover: &str| {
        format!(
            "host a fenced
             host b
             host c foreign-memory=4
             group db exclusive memory=1 volume=data:0:a failover={failover}
             alloc db#0 on a lost"
        )
    };
    check(&mesh("restart"), "wait db#0 on a: its data (volume data) is on a, and its failover is `restart`");
    check(&mesh("restore"), "wait db#0 on a: its data (volume data) is on a; to be restored on b");
    check(&mesh("never"), "wait db#0 on a: its host is lost, and its failover is `never`");
}

#[test]
fn restored_data_is_where_it_goes() {
    check(
        "host a fenced
         host b
         host c
         group db exclusive volume=data:0:c failover=restore
         alloc db#0@3 on a lost",
        "stop db#0@3 on a: replaced by epoch 4
         place db#0@4 on c: a is lost",
    );
}

#[test]
fn data_on_a_host_that_is_gone() {
    check(
        "host b
         group db exclusive volume=data:0:gone
         alloc db#0 on gone healthy",
        "lose db#0@1 on 00000000-0000-0000-0000-00000000dead
         wait db#0 on 00000000-0000-0000-0000-00000000dead: its data (volume data) is on 00000000-0000-0000-0000-00000000dead, and its failover is `restart`",
    );
}

#[test]
fn never_and_pinned_wait_for_their_host() {
    check(
        "host a down
         host b
         group one failover=never
         group two
         alloc one#0 on a healthy
         alloc two#0 on a lost pinned",
        "lose one#0@1 on a
         wait one#0 on a: its host is lost, and its failover is `never`
         wait two#0 on a: an operator pinned it to its host",
    );
}

#[test]
fn a_returned_host_stops_what_was_replaced() {
    check(
        "host a
         host b
         group web
         alloc web#0@1 on a healthy
         alloc web#0@2 on b healthy",
        "stop web#0@1 on a: replaced by epoch 2",
    );
}

#[test]
fn the_older_serves_until_the_newer_is_healthy() {
    check(
        "host a
         host b
         group web
         alloc web#0@1 on a healthy
         alloc web#0@2 on b starting",
        "wait web#0 on a: its replacement on b is not healthy yet",
    );
}

#[test]
fn of_two_exclusive_ones_the_older_stops_at_once() {
    check(
        "host a
         host b
         group db exclusive
         alloc db#0@1 on a healthy
         alloc db#0@2 on b starting",
        "stop db#0@1 on a: replaced by epoch 2",
    );
}

#[test]
fn an_exclusive_one_starts_only_when_nothing_older_runs() {
    check(
        "host a
         host b
         group db exclusive
         alloc db#0@1 on a healthy told-to-stop",
        "wait db#0: db#0@1 on a has to stop first",
    );
    check(
        "host a down
         host b
         group db exclusive
         alloc db#0@1 on a healthy told-to-stop",
        "wait db#0: its host is lost but may still run it until its lease is over",
    );
    check(
        "host a
         host b foreign-memory=1
         group db exclusive
         alloc db#0@1 on a stopped told-to-stop",
        "place db#0@2 on a: missing",
    );
}

#[test]
fn a_lost_one_whose_host_returned_is_left_to_its_agent() {
    check(
        "host a
         host b
         group db exclusive
         alloc db#0@1 on a lost",
        "",
    );
}

#[test]
fn a_replacement_whose_host_is_lost_too_gives_way_to_the_first() {
    check(
        "host a
         host b down
         group web
         alloc web#0@1 on a healthy
         alloc web#0@2 on b starting",
        "stop web#0@2 on b: replaced by epoch 1",
    );
}

#[test]
fn many_hosts_lost_at_once_are_a_storm() {
    check(
        "host a down since=100
         host b down since=130
         host c
         group web replicas=2
         group api
         alloc web#0 on a healthy
         alloc web#1 on b healthy",
        "halt: 2 of 3 hosts were lost at once (a, b): what ran there is not replaced until some return; `omni drain HOST` replaces it all the same
         place api#0@1 on c: missing
         lose web#0@1 on a
         lose web#1@1 on b
         wait web#0 on a: too many hosts were lost at once
         wait web#1 on b: too many hosts were lost at once",
    );
}

#[test]
fn an_operator_who_drains_the_lost_hosts_overrides_a_storm() {
    check(
        "host a down since=100 draining
         host b down since=130 draining
         host c
         group web replicas=2
         alloc web#0 on a lost
         alloc web#1 on b lost",
        "stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on c: a is lost
         stop web#1@1 on b: replaced by epoch 2
         place web#1@2 on c: b is lost",
    );
    check(
        "host a down since=100 draining
         host b down since=130
         host c
         group web replicas=2
         alloc web#0 on a lost
         alloc web#1 on b lost",
        "halt: 2 of 3 hosts were lost at once (a, b): what ran there is not replaced until some return; `omni drain HOST` replaces it all the same
         stop web#0@1 on a: replaced by epoch 2
         place web#0@2 on c: a is lost
         wait web#1 on b: too many hosts were lost at once",
    );
}

#[test]
fn losses_a_day_apart_are_no_storm() {
    check(
        "host a down since=100
         host b down since=90000
         host c
         group web
         alloc web#0 on b healthy",
        "lose web#0@1 on b
         stop web#0@1 on b: replaced by epoch 2
         place web#0@2 on c: b is lost",
    );
}

#[test]
fn a_storm_that_is_noticed_bit_by_bit_is_one() {
    // What ran on `a` was replaced before `b` and `c` were found lost; `a` counts all the same.
    check(
        "host a down since=100
         host b down since=101
         host c down since=102
         host d
         group web replicas=2
         alloc web#0@1 on a lost told-to-stop
         alloc web#0@2 on d healthy
         alloc web#1 on b healthy",
        "halt: 3 of 4 hosts were lost at once (a, b, c): what ran there is not replaced until some return; `omni drain HOST` replaces it all the same
         lose web#1@1 on b
         wait web#1 on b: too many hosts were lost at once",
    );
}

#[test]
fn one_of_three_zones_may_be_lost() {
    check(
        "host a1 zone=a down
         host a2 zone=a down
         host b1 zone=b
         host b2 zone=b foreign-memory=2
         host c1 zone=c foreign-memory=1
         host c2 zone=c foreign-memory=3
         group web replicas=2
         alloc web#0 on a1 lost
         alloc web#1 on a2 lost",
        "stop web#0@1 on a1: replaced by epoch 2
         place web#0@2 on b1: a1 is lost
         stop web#1@1 on a2: replaced by epoch 2
         place web#1@2 on c1: a2 is lost",
    );
}

#[test]
fn a_number_of_hosts_can_be_a_storm_too() {
    let mesh = |hosts: u32| {
        format!(
            "host a down
             host b down
             host c
             host d
             host e
             group web
             alloc web#0 on a lost
             policy storm-hosts={hosts}"
        )
    };
    let halted = |hosts| crate::plan(&super::language::read(&mesh(hosts))).halted.is_some();
    assert!(halted(1));
    assert!(!halted(2));
}

#[test]
fn one_that_failed_is_tried_elsewhere_a_few_times() {
    check(
        "host a
         host b foreign-memory=12
         group web retries=1 failed=0:a
         alloc web#0 on a failed",
        "stop web#0@1 on a: it failed
         place web#0@2 on b: it failed on a",
    );
    check(
        "host a
         host b
         group web retries=1 failed=0:a failed=0:b
         alloc web#0@2 on b failed",
        "wait web#0 on b: it failed twice, and is tried again only once",
    );
}

#[test]
fn an_exclusive_one_that_failed_stops_first() {
    check(
        "host a
         host b
         group db exclusive retries=1 failed=0:a
         alloc db#0 on a failed",
        "stop db#0@1 on a: it failed",
    );
}
