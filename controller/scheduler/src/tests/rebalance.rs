//! Evening out, on request.

use super::check;

const UNEVEN: &str = "host a
     host b
     group one memory=4
     group two memory=4
     group three memory=4
     alloc one#0 on a healthy
     alloc two#0 on a healthy
     alloc three#0 on a healthy\n";

#[test]
fn nothing_moves_unasked() {
    check(UNEVEN, "");
}

#[test]
fn the_fullest_host_gives_first_and_little_is_enough() {
    check(&format!("{UNEVEN} policy rebalance=10"), "move one#0@1 on a to b@2: rebalance, gains 508 points");
}

#[test]
fn moves_are_bounded() {
    check(&format!("{UNEVEN} policy rebalance=0"), "");
    check(&format!("{UNEVEN} policy rebalance=10:600"), "");
}

#[test]
fn what_is_about_to_stop_does_not_move() {
    check(
        "host a
         host b
         group web replicas=0
         alloc web#0 on a healthy
         policy rebalance=1:1",
        "stop web#0@1 on a: scaled down",
    );
}

#[test]
fn what_is_misplaced_moves_first_of_all() {
    check(
        "host a label=disk:hdd
         host b label=disk:ssd
         group web constraint=node.labels.disk==ssd
         alloc web#0 on a healthy
         policy rebalance=1",
        "move web#0@1 on a to b@2: rebalance, gains 1000000 points
         note: web#0@1 on a would not be placed there now: needs node.labels.disk == ssd, has `hdd`",
    );
}

#[test]
fn exclusive_pinned_and_unhealthy_ones_stay() {
    check(
        "host a
         host b
         group one memory=4 exclusive
         group two memory=4
         group three memory=4
         alloc one#0 on a healthy
         alloc two#0 on a healthy pinned
         alloc three#0 on a unhealthy
         policy rebalance=10",
        "",
    );
}

#[test]
fn a_host_is_not_given_more_of_a_group_than_it_may_have_by_a_placement_and_a_rebalance_together() {
    check(
        "host a label=disk:hdd
         host b label=disk:ssd
         group web replicas=2 per-host=1 max-moving=2 constraint=node.labels.disk==ssd
         alloc web#0 on a healthy
         policy rebalance=1",
        "place web#1@1 on b: missing
         note: web#0@1 on a would not be placed there now: needs node.labels.disk == ssd, has `hdd`",
    );
}
