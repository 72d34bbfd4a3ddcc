//! (a) Committed writes and linearizable reads: three nodes each, fsync on, in alternating rounds.

use super::args::Settings;
use super::enroll::enroll;
use super::etcd::EtcdCluster;
use super::load::{self, Span};
use super::machine::Machine;
use super::omni::{MEMBERS, OmniCluster};
use super::report::{Goal, Report, note, number, table};
use super::sides::{ApiTarget, EtcdTarget, MeshTarget, Side, THINGS, VALUE, Work};
use super::stats::{Load, Percentiles, Ratio, median};
use super::usage::Usage;
use anyhow::{Context, Result};
use comfy_table::Table;
use omni_common::ids::HostId;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What is compared, in this order.
const COMPARISONS: [(Work, usize); 5] =
    [(Work::Writes, 1), (Work::Writes, 16), (Work::Writes, 64), (Work::Reads, 1), (Work::Reads, 64)];
/// A round in which a leader changed is measured again, so often at most.
const TRIES: u32 = 3;

/// One side's round.
#[derive(Clone, Debug, Serialize)]
struct Round {
    side: Side,
    #[serde(flatten)]
    load: Load,
    /// Processor time of the three servers for each answered call, microseconds.
    server_cpu_us: f64,
}

/// All rounds of one kind of work.
#[derive(Debug, Serialize)]
struct Comparison {
    work: Work,
    clients: usize,
    rounds: Vec<[Round; 3]>,
    summary: Vec<Summary>,
}

/// One side over all rounds: medians, and what they are of etcd's.
#[derive(Debug, Serialize)]
struct Summary {
    side: Side,
    per_second: f64,
    latency_ms: Percentiles,
    server_cpu_us: f64,
    failed: usize,
    rate_over_etcd: Ratio,
    p50_over_etcd: Ratio,
    p99_over_etcd: Ratio,
}

/// Both clusters, up at the same time.
struct Arena {
    etcd: EtcdCluster,
    omni: OmniCluster,
    ids: Arc<[HostId]>,
    names: Arc<[String]>,
    span: Span,
}

/// Measures and reports.
///
/// # Errors
/// When a cluster does not start, or a comparison cannot be finished.
pub(super) async fn run(
    settings: &Settings,
    programs: &Path,
    data: &Path,
    machine: &Machine,
) -> Result<Report> {
    let span = Span {
        warm_up: settings.pick(Duration::from_millis(1_000), Duration::from_millis(300)),
        measured: settings.pick(Duration::from_secs(4), Duration::from_secs(1)),
    };
    let rounds = settings.rounds.unwrap_or(settings.pick(5, 2));
    let mut arena = Arena::start(programs, data, span).await?;
    let mut comparisons = Vec::new();
    for (work, clients) in COMPARISONS {
        comparisons.push(arena.compare(work, clients, rounds).await?);
    }
    let mut report = Report::new("writes", settings.quick, machine);
    report.setup = vec![
        format!(
            "{MEMBERS} nodes a side on loopback, fsync on, defaults; values of {VALUE} bytes under {THINGS} keys; {rounds} \
             alternating rounds of {:?} after {:?} of warm-up; medians",
            span.measured, span.warm_up
        ),
        format!(
            "etcd {}, plain HTTP/2, one connection; omni {}, TLS 1.3 with client certificates (mesh) or token (API), one \
             connection; all clients in one process, at the leader",
            EtcdCluster::version().await?,
            env!("CARGO_PKG_VERSION")
        ),
        "a mesh read is the read index alone: what a controller asks the leader before it answers from its own copy".into(),
    ];
    report.tables = comparisons.iter().map(|comparison| (comparison.title(), comparison.table())).collect();
    report.goals = goals(&comparisons);
    report.results = serde_json::to_value(&comparisons).context("encoding the results")?;
    Ok(report)
}

impl Arena {
    async fn start(programs: &Path, data: &Path, span: Span) -> Result<Self> {
        note("starting three controllers and three etcd members");
        let omni = OmniCluster::start(programs, data).await?;
        let etcd = EtcdCluster::start(data).await?;
        let controllers: Vec<_> = (0..MEMBERS).map(|member| omni.quic(member)).collect();
        let hosts = enroll(omni.agent_token(), &controllers, "host", THINGS).await?;
        let ids = hosts.iter().map(|host| host.host).collect();
        let names = hosts.into_iter().map(|host| host.name).collect();
        Ok(Self { etcd, omni, ids, names, span })
    }

    async fn compare(&mut self, work: Work, clients: usize, rounds: u32) -> Result<Comparison> {
        let mut done = Vec::new();
        for round in 0..rounds {
            // Each side comes first, second and third equally often.
            let mut order = Side::ALL;
            order.rotate_left(round as usize % Side::ALL.len());
            let mut measured = Vec::new();
            for side in order {
                measured.push(self.measure(side, work, clients).await?);
            }
            measured.sort_by_key(|round| round.side);
            let line =
                measured.iter().map(|round| format!("{} {:.0}/s", round.side.label(), round.load.per_second));
            note(format!(
                "{work:?}, {clients} clients, round {}: {}",
                round + 1,
                line.collect::<Vec<_>>().join(", ")
            ));
            let measured: [Round; 3] = measured.try_into().ok().context("three sides were measured")?;
            done.push(measured);
        }
        Ok(Comparison { work, clients, summary: summaries(&done), rounds: done })
    }

    async fn measure(&mut self, side: Side, work: Work, clients: usize) -> Result<Round> {
        let mut tries = 1;
        loop {
            match self.measure_once(side, work, clients).await {
                Err(error) if tries < TRIES => note(format!("{}: again, because {error:#}", side.label())),
                result => {
                    return result
                        .with_context(|| format!("{work:?} with {clients} clients, {}", side.label()));
                }
            }
            tries += 1;
        }
    }

    async fn measure_once(&mut self, side: Side, work: Work, clients: usize) -> Result<Round> {
        self.omni.check()?;
        self.etcd.check()?;
        let pids: Vec<u32> = (0..MEMBERS)
            .map(|member| if side == Side::Etcd { self.etcd.pid(member) } else { self.omni.pid(member) })
            .collect::<Result<_>>()?;
        let before = processor_time(&pids);
        let load = match side {
            Side::Etcd => load::run(&EtcdTarget::new(&self.etcd, work).await?, clients, self.span).await?,
            Side::OmniMesh => {
                load::run(&MeshTarget::new(&self.omni, &self.ids, work).await?, clients, self.span).await?
            }
            Side::OmniApi => {
                load::run(&ApiTarget::new(&self.omni, &self.names, work).await?, clients, self.span).await?
            }
        };
        let used = processor_time(&pids).saturating_sub(before);
        // The warm-up's share is taken out by time: the load is the same in both.
        let share = self.span.measured.as_secs_f64() / (self.span.measured + self.span.warm_up).as_secs_f64();
        let server_cpu_us = used.as_secs_f64() * 1e6 * share / load.answered.max(1) as f64;
        Ok(Round { side, load, server_cpu_us })
    }
}

fn processor_time(pids: &[u32]) -> Duration {
    pids.iter().filter_map(|pid| Usage::of(*pid)).map(|usage| usage.cpu).sum()
}

fn summaries(rounds: &[[Round; 3]]) -> Vec<Summary> {
    Side::ALL.iter().enumerate().map(|(side, _)| summary(rounds, side)).collect()
}

fn summary(rounds: &[[Round; 3]], side: usize) -> Summary {
    let middle = |pick: fn(&Round) -> f64| median(rounds.iter().map(|round| pick(&round[side])));
    let ratio =
        |pick: fn(&Round) -> f64| Ratio::of(rounds.iter().map(|round| (pick(&round[side]), pick(&round[0]))));
    Summary {
        side: Side::ALL[side],
        per_second: middle(|round| round.load.per_second),
        latency_ms: Percentiles {
            p50: middle(|round| round.load.latency_ms.p50),
            p90: middle(|round| round.load.latency_ms.p90),
            p95: middle(|round| round.load.latency_ms.p95),
            p99: middle(|round| round.load.latency_ms.p99),
            max: middle(|round| round.load.latency_ms.max),
        },
        server_cpu_us: middle(|round| round.server_cpu_us),
        failed: rounds.iter().map(|round| round[side].load.failed).sum(),
        rate_over_etcd: ratio(|round| round.load.per_second),
        p50_over_etcd: ratio(|round| round.load.latency_ms.p50),
        p99_over_etcd: ratio(|round| round.load.latency_ms.p99),
    }
}

impl Comparison {
    fn title(&self) -> String {
        let what = match self.work {
            Work::Writes => "committed writes",
            Work::Reads => "linearizable reads",
        };
        format!("{what}, {} client{}", self.clients, if self.clients == 1 { "" } else { "s" })
    }

    fn table(&self) -> Table {
        let mut table = table(&[
            "",
            "per second",
            "p50 ms",
            "p99 ms",
            "max ms",
            "server CPU µs",
            "failed",
            "rate / etcd",
            "p99 / etcd",
        ]);
        for side in &self.summary {
            let spread = |ratio: Ratio| format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max);
            table.add_row([
                side.side.label().to_owned(),
                number(side.per_second),
                number(side.latency_ms.p50),
                number(side.latency_ms.p99),
                number(side.latency_ms.max),
                number(side.server_cpu_us),
                side.failed.to_string(),
                spread(side.rate_over_etcd),
                spread(side.p99_over_etcd),
            ]);
        }
        table
    }
}

fn goals(comparisons: &[Comparison]) -> Vec<Goal> {
    let find = |work, clients, side| {
        let comparison = comparisons.iter().find(|c| c.work == work && c.clients == clients)?;
        comparison.summary.iter().find(|summary| summary.side == side)
    };
    let mut goals = Vec::new();
    for (side, door) in [(Side::OmniMesh, "mesh"), (Side::OmniApi, "API")] {
        let mut rate = |what: &str, work, clients, limit| {
            let found: Option<&Summary> = find(work, clients, side);
            let goal = |s: &Summary| {
                Goal::at_least(format!("{what} ({door})"), limit, s.rate_over_etcd.median, "x etcd")
            };
            goals.extend(found.map(goal));
        };
        rate("writes, 64 clients", Work::Writes, 64, 4.0);
        rate("writes, 1 client", Work::Writes, 1, 1.3);
        rate("linearizable reads, 64 clients", Work::Reads, 64, 6.0);
        let tail = find(Work::Writes, 64, side);
        let what = format!("p99 of writes, 64 clients ({door})");
        goals.extend(tail.map(|s| Goal::at_most(what, 0.4, s.p99_over_etcd.median, "x etcd")));
    }
    goals
}
