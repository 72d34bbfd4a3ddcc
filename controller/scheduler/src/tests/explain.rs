//! Why here, and why not there.

use super::language::{key, read};
use crate::{HostVerdict, Index};

/// One line a host: what it lacks, or its points and where they come from.
fn explain(mesh: &str, group: &str) -> String {
    let verdicts = crate::explain(&read(mesh), &key(group)).expect("the group is there");
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(verdict: &HostVerdict) -> String {
    let mark = if verdict.chosen { "*" } else { "" };
    let misses: Vec<String> = verdict
        .filters
        .iter()
        .filter_map(|filter| Some(format!("{}: {}", filter.filter, filter.miss.as_ref()?)))
        .collect();
    assert_eq!(verdict.eligible, misses.is_empty());
    let parts = verdict.scores.iter().filter(|part| part.points != 0);
    let parts: Vec<String> = parts.map(|part| format!("{} {}", part.score, part.points)).collect();
    assert_eq!(verdict.points, verdict.scores.iter().map(|part| part.points).sum::<i64>());
    let text = if verdict.eligible { parts } else { misses };
    let running = if verdict.running.is_empty() { "" } else { ", runs it" };
    format!("{}{mark}{running}: {}", verdict.host, text.join("; "))
}

#[test]
fn every_host_has_a_verdict() {
    let text = explain(
        "host a zone=a foreign-memory=8
         host b zone=b image=web:1
         host c zone=c cordoned memory=1
         group web replicas=2 memory=2 image=web:1
         alloc web#0 on a healthy",
        "web",
    );
    let expected = "\
b*: spread -1000; images 800
a, runs it: spread -3000; crowding -4000; balance -636
c: cordon: the host is cordoned; resources: needs 2.0 GiB of memory, 1.0 GiB is free";
    assert_eq!(text, expected);
}

#[test]
fn one_that_runs_is_seen_as_yet_to_be_placed() {
    let mesh = "host a memory=4
         host b memory=2
         group db memory=4
         alloc db#0 on a healthy";
    assert_eq!(
        explain(mesh, "db"),
        "a*, runs it: stability 1200\nb: resources: needs 4.0 GiB of memory, 2.0 GiB is free"
    );
}

#[test]
fn a_global_group_is_asked_host_by_host() {
    let mesh = "host a memory=4
         host b memory=2
         host c memory=4
         group logs global memory=3
         alloc logs#host on a healthy";
    let text = explain(mesh, "logs");
    let expected = "a, runs it: stability 1200\nc: \nb: resources: needs 3.0 GiB of memory, 2.0 GiB is free";
    assert_eq!(text, expected);
}

#[test]
fn an_unknown_group_has_none() {
    assert_eq!(crate::explain(&read("host a"), &key("web")), None);
}

#[test]
fn what_is_chosen_is_what_the_plan_places() {
    let mesh = "host a zone=a foreign-memory=8
         host b zone=b foreign-memory=1
         host c zone=b
         group web replicas=2 memory=2
         alloc web#0 on a healthy";
    let index = Index::new(read(mesh));
    let verdicts = index.explain(&key("web"), None).expect("the group is there");
    assert_eq!(&*verdicts[0].host.name, "c");
    assert!(verdicts[0].chosen);
    let placed = index.place(&key("web"), crate::Slot::Replica(1)).expect("the group is there");
    assert_eq!(placed.expect("there is room").host, verdicts[0].host);
    assert!(index.plan().to_string().contains("place web#1@1 on c"));
}
