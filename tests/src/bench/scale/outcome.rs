//! What one number of hosts came to, and how it is shown.

use super::TARGET_HOSTS;
use super::changes::Unwell;
use super::lists::Pages;
use crate::bench::report::{Goal, number, table};
use crate::bench::usage::Cost;
use comfy_table::Table;
use omni_common::clock::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything measured with one number of hosts.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) hosts: u32,
    pub(super) containers: u64,
    /// The controllers before any host is known.
    pub(super) idle: Vec<Cost>,
    /// Seconds to make hosts of all agents.
    pub(super) enrolled_s: f64,
    /// Seconds from the start of all agents until each has a session, …
    pub(super) sessions_s: f64,
    /// … and until the cluster says that all are up.
    pub(super) up_s: f64,
    /// Sessions begun over the whole course; more than hosts and those lost with the leader means that some broke.
    pub(super) sessions_begun: u64,
    pub(super) steady: Steady,
    pub(super) lists: Vec<Pages>,
    /// The controllers while lists were asked for.
    pub(super) listing: Vec<Cost>,
    pub(super) kill: Kill,
    /// Hosts declared down, over the whole course: each is a mistake.
    pub(super) false_downs: u64,
    /// Hosts that were suspect for a moment, over the whole course.
    pub(super) suspects: u64,
    /// The first of both, with their times.
    pub(super) unwell: Vec<Unwell>,
    /// All events by kind, over the whole course.
    pub(super) events: BTreeMap<String, u64>,
    /// Samples that no gateway took in time, over the whole course.
    pub(super) samples_dropped: u64,
    /// Times that a controller fell behind and got everything that another knew anew.
    pub(super) resyncs: u64,
    /// Datagrams lost to full socket buffers on this machine, over the whole course.
    pub(super) datagrams_dropped: u64,
}

/// The steady window.
#[derive(Debug, Serialize)]
pub(super) struct Steady {
    pub(super) seconds: f64,
    pub(super) controllers: Vec<Cost>,
    /// Which of them led.
    pub(super) leader: usize,
    pub(super) fleet: Cost,
    /// Samples that the agents took in it.
    pub(super) samples: u64,
    /// Age of the oldest newest sample of a host at its end, seconds.
    pub(super) oldest_sample_s: f64,
}

/// The death of the leader.
#[derive(Debug, Serialize)]
pub(super) struct Kill {
    pub(super) at: Time,
    /// Sessions that it took along.
    pub(super) sessions_lost: u32,
    /// Seconds until every agent had a session elsewhere.
    pub(super) sessions_again_s: f64,
    /// Seconds until the cluster had a leader.
    pub(super) leader_again_s: f64,
    /// Leases that ran out, which stops exclusive work.
    pub(super) leases_expired: u64,
}

pub(super) fn tables(outcomes: &[Outcome]) -> Vec<(String, Table)> {
    vec![
        ("controllers: percent of one core, MiB resident".into(), controllers(outcomes)),
        ("the fleet and how it was seen".into(), courses(outcomes)),
        ("a page of a list, milliseconds".into(), lists(outcomes)),
    ]
}

fn controllers(outcomes: &[Outcome]) -> Table {
    let mut table = table(&["", "CPU %", "RSS", "PSS"]);
    for outcome in outcomes {
        let mut rows = |what: &str, costs: &[Cost]| {
            for (number, cost) in costs.iter().enumerate() {
                let role = if number == outcome.steady.leader { "leader" } else { "follower" };
                table.add_row(cells(format!("{} hosts, {what}, {role}", outcome.hosts), cost));
            }
        };
        rows("idle before them", &outcome.idle);
        rows("steady", &outcome.steady.controllers);
        rows("while listing", &outcome.listing);
        table.add_row(cells(
            format!("{} hosts, steady, all agents' process", outcome.hosts),
            &outcome.steady.fleet,
        ));
    }
    table
}

fn cells(name: String, cost: &Cost) -> [String; 4] {
    [name, number(cost.cpu_percent), number(cost.rss_mib), number(cost.pss_mib)]
}

fn courses(outcomes: &[Outcome]) -> Table {
    let mut header = vec![String::new()];
    header.extend(outcomes.iter().map(|outcome| format!("{} hosts", outcome.hosts)));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = table(&header);
    let mut row = |what: &str, cell: &dyn Fn(&Outcome) -> String| {
        let mut cells = vec![what.to_owned()];
        cells.extend(outcomes.iter().map(cell));
        table.add_row(cells);
    };
    row("enrolled, hosts a second", &|o| number(f64::from(o.hosts) / o.enrolled_s));
    row("all have a session after, s", &|o| number(o.sessions_s));
    row("all are up after, s", &|o| number(o.up_s));
    row("samples taken in the steady window", &|o| o.steady.samples.to_string());
    row("oldest sample shown at its end, s", &|o| number(o.steady.oldest_sample_s));
    row("leader killed: sessions lost", &|o| o.kill.sessions_lost.to_string());
    row("leader killed: a leader again after, s", &|o| number(o.kill.leader_again_s));
    row("leader killed: all have a session again after, s", &|o| number(o.kill.sessions_again_s));
    row("leases expired", &|o| o.kill.leases_expired.to_string());
    row("hosts declared down", &|o| o.false_downs.to_string());
    row("sessions begun", &|o| o.sessions_begun.to_string());
    row("hosts suspect for a moment", &|o| o.suspects.to_string());
    row("samples dropped", &|o| o.samples_dropped.to_string());
    row("controllers told everything anew", &|o| o.resyncs.to_string());
    row("datagrams lost to full buffers", &|o| o.datagrams_dropped.to_string());
    table
}

fn lists(outcomes: &[Outcome]) -> Table {
    let mut table = table(&["", "pages", "p50", "p90", "p99", "max"]);
    for outcome in outcomes {
        for pages in &outcome.lists {
            let p = pages.latency_ms;
            table.add_row([
                format!("{} hosts, {} {} a page", outcome.hosts, pages.size, pages.what.label()),
                pages.calls.to_string(),
                number(p.p50),
                number(p.p90),
                number(p.p99),
                number(p.max),
            ]);
        }
    }
    table
}

pub(super) fn goals(outcomes: &[Outcome]) -> Vec<Goal> {
    let most = |costs: &[Cost], pick: fn(&Cost) -> f64| costs.iter().map(pick).fold(0.0, f64::max);
    let mut goals = Vec::new();
    for (number, outcome) in outcomes.iter().enumerate() {
        let hosts = outcome.hosts;
        if number == 0 {
            goals.push(Goal::at_most("idle controller", 45.0, most(&outcome.idle, |c| c.rss_mib), "MiB RSS"));
        }
        if hosts == TARGET_HOSTS {
            let steady = &outcome.steady.controllers;
            let what = format!("busiest controller, {hosts} hosts");
            goals.push(Goal::at_most(&what, 250.0, most(steady, |c| c.rss_mib), "MiB RSS"));
            goals.push(Goal::at_most(&what, 10.0, most(steady, |c| c.cpu_percent), "% of a core"));
        }
        let downs = outcome.false_downs as f64;
        goals.push(Goal::at_most(format!("false host-downs, {hosts} hosts"), 0.0, downs, "hosts"));
        for pages in &outcome.lists {
            let what = format!("p99, {} {} a page, {hosts} hosts", pages.size, pages.what.label());
            goals.push(Goal::at_most(what, 50.0, pages.latency_ms.p99, "ms"));
        }
    }
    goals
}
