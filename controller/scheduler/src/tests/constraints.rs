//! Constraints, taints, regions and platforms.

use super::check;
use crate::Constraint;

#[test]
fn constraints_in_compose_words() {
    let mesh = |constraint: &str| {
        format!(
            "host a label=disk:hdd role=manager zone=z1
             host b label=disk:SSD engine=operatingsystem:debian region=eu arch=aarch64
             group web constraint={constraint}"
        )
    };
    for (constraint, host) in [
        ("node.labels.disk==ssd", "b"),
        ("node.labels.disk!=ssd", "a"),
        ("node.hostname==b", "b"),
        ("node.hostname!=b", "a"),
        ("node.id==00000000-0000-0000-0000-000000000002", "b"),
        ("node.role==manager", "a"),
        ("node.role==worker", "b"),
        ("node.platform.arch==arm64", "b"),
        ("node.platform.arch==amd64", "a"),
        ("node.platform.arch!=x86_64", "b"),
        ("engine.labels.operatingsystem==debian", "b"),
        ("node.labels.region==eu", "b"),
        ("node.labels.region!=eu", "a"),
        ("node.labels.zone==z1", "a"),
    ] {
        check(&mesh(constraint), &format!("place web#0@1 on {host}: missing"));
    }
}

#[test]
fn a_constraint_that_nothing_meets_says_what_hosts_have() {
    check(
        "host a label=disk:hdd
         host b
         group web constraint=node.labels.disk==ssd constraint=node.platform.os==linux",
        "wait web#0: needs node.labels.disk == ssd, has `hdd`; nearest is a (2 hosts ruled out: 2 by constraints)",
    );
}

#[test]
fn a_name_that_no_host_has() {
    check(
        "host a
         group web constraint=node.hostname==z",
        "wait web#0: needs node.hostname == z, has `a`; nearest is a",
    );
}

#[test]
fn constraints_read_as_people_write_them() {
    for text in ["node.labels.a==b", " node.labels.a  ==  b ", "NODE.LABELS.a == b"] {
        assert_eq!(text.parse::<Constraint>().expect("a constraint").to_string(), "node.labels.a == b");
    }
    let odd = "node.labels.a == b!=c".parse::<Constraint>().expect("the first operator splits");
    assert_eq!(odd.value, "b!=c");
    for (text, says) in [
        ("node.labels.a", "is not a constraint"),
        ("node.labels.a ==", "is not a constraint"),
        ("== b", "is not a constraint"),
        ("node.labels. == b", "is not an attribute"),
        ("node.disk == b", "is not an attribute"),
        ("node.ip == 10.0.0.1", "is not an attribute"),
    ] {
        let error = text.parse::<Constraint>().expect_err(text).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_region_binds() {
    check(
        "host a region=eu foreign-memory=15
         host b region=us
         host c
         group web region=eu
         group api region=asia",
        "place web#0@1 on a: missing
         wait api#0: needs region `asia`, the host is in `eu`; nearest is a (3 hosts ruled out: 3 by region)",
    );
}

#[test]
fn images_run_where_they_were_built_for() {
    check(
        "host a arch=x86_64
         host b arch=aarch64
         group web platform=linux/arm64
         group win platform=windows/amd64",
        "place web#0@1 on b: missing
         wait win#0: is built for windows/amd64, the host is linux/x86_64; nearest is a (2 hosts ruled out: 2 by platform)",
    );
}

#[test]
fn taints_keep_away_those_who_cannot_stand_them() {
    check(
        "host a taint=gpu:only taint=spot
         host b taint=gpu:only foreign-memory=8
         group train tolerate=gpu:only
         group both tolerate=gpu tolerate=spot
         group web",
        "place both#0@1 on a: missing
         place train#0@1 on b: missing
         wait web#0: does not tolerate the taint `gpu=only`; nearest is b (2 hosts ruled out: 2 by taints)",
    );
}

#[test]
fn what_no_longer_matches_stays_and_is_noted() {
    check(
        "host a label=disk:hdd
         host b label=disk:ssd
         group web constraint=node.labels.disk==ssd
         alloc web#0 on a healthy",
        "note: web#0@1 on a would not be placed there now: needs node.labels.disk == ssd, has `hdd`",
    );
}
