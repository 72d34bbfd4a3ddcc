//! (b) From a leader's death to the next accepted write, and the gap that a planned hand-over leaves.

use super::args::Settings;
use super::enroll::enroll;
use super::etcd::EtcdCluster;
use super::machine::Machine;
use super::omni::{MEMBERS, OmniCluster};
use super::outage::{gaps, until_accepted};
use super::report::{Goal, Report, note, number, table};
use super::sides::{ApiTarget, EtcdTarget, Work};
use super::stats::Percentiles;
use anyhow::{Context, Result};
use omni_common::ids::ControllerId;
use omni_sdk::Options;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Quiet before each event. The further milliseconds of [`settle`] shift events against heartbeats.
const QUIET: Duration = Duration::from_millis(400);

/// What happens to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    /// `kill -9`.
    Killed,
    /// Told to hand leadership to another.
    Transfer,
    /// SIGTERM.
    Stopped,
}

/// One kind of event on both sides, milliseconds.
#[derive(Debug, Serialize)]
struct Outcome {
    event: Event,
    omni: Times,
    etcd: Times,
}

/// Milliseconds of one side.
#[derive(Debug, Default, Serialize)]
struct Times {
    outages: Vec<f64>,
    /// Longest gaps before planned events.
    calm: Vec<f64>,
    #[serde(rename = "distribution")]
    percentiles: Percentiles,
}

impl Times {
    fn add(&mut self, outage: Duration, calm: Option<Duration>) {
        self.outages.push(millis(outage));
        self.calm.extend(calm.map(millis));
    }

    fn finish(&mut self) {
        self.percentiles = Percentiles::of(self.outages.clone());
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Both clusters, up at the same time.
struct Arena {
    omni: OmniCluster,
    etcd: EtcdCluster,
    names: Arc<[String]>,
}

/// Measures and reports.
///
/// # Errors
/// When a cluster does not start, or does not come back after an event.
pub(super) async fn run(
    settings: &Settings,
    programs: &Path,
    data: &Path,
    machine: &Machine,
) -> Result<Report> {
    let kills = settings.kills.unwrap_or(settings.pick(50, 5));
    let counts = [
        (Event::Killed, kills),
        (Event::Transfer, settings.pick(30, 3)),
        (Event::Stopped, settings.pick(10, 2)),
    ];
    let mut arena = Arena::start(programs, data).await?;
    let mut outcomes = Vec::new();
    for (event, count) in counts {
        outcomes.push(Box::pin(arena.repeat(event, count)).await?);
    }
    let mut report = Report::new("failover", settings.quick, machine);
    report.setup = vec![
        format!("{MEMBERS} nodes a side on loopback, fsync on, defaults (omni heartbeat 50 ms, election 140 to 270 ms; etcd {} heartbeat 100 ms, election 1000 ms)",
            EtcdCluster::version().await?),
        "killed: from the signal to the first acknowledged write; a fresh one goes to the two survivors in turn every 5 ms".into(),
        "transfer, stopped: the longest time without an acknowledged write, four writers at the other two members; in brackets \
         the same in the calm second before".into(),
    ];
    report.tables = vec![("milliseconds without an accepted write".into(), rows(&outcomes))];
    report.goals = goals(&outcomes);
    report.results = serde_json::to_value(&outcomes).context("encoding the results")?;
    Ok(report)
}

impl Arena {
    async fn start(programs: &Path, data: &Path) -> Result<Self> {
        note("starting three controllers and three etcd members");
        let omni = OmniCluster::start(programs, data).await?;
        let etcd = EtcdCluster::start(data).await?;
        let hosts = enroll(omni.agent_token(), &[omni.quic(0)], "host", 4).await?;
        Ok(Self { omni, etcd, names: hosts.into_iter().map(|host| host.name).collect() })
    }

    async fn repeat(&mut self, event: Event, count: u32) -> Result<Outcome> {
        let (mut omni, mut etcd) = (Times::default(), Times::default());
        for turn in 0..count {
            settle(turn).await;
            self.omni(event, &mut omni).await.with_context(|| format!("omni, {event:?} {}", turn + 1))?;
            settle(turn).await;
            Box::pin(self.etcd(event, &mut etcd))
                .await
                .with_context(|| format!("etcd, {event:?} {}", turn + 1))?;
            let last = |times: &Times| times.outages.last().copied().unwrap_or_default();
            note(format!(
                "{event:?} {} of {count}: omni {:.0} ms, etcd {:.0} ms",
                turn + 1,
                last(&omni),
                last(&etcd)
            ));
        }
        omni.finish();
        etcd.finish();
        Ok(Outcome { event, omni, etcd })
    }

    async fn omni(&mut self, event: Event, times: &mut Times) -> Result<()> {
        let leader = self.omni.leader().await?;
        let others = others(leader);
        let door = |member: usize| ApiTarget::through(&self.omni, member, &self.names, Work::Writes);
        let doors = [door(others[0])?, door(others[1])?];
        match event {
            Event::Killed => {
                warm(&doors).await?;
                self.omni.kill(leader)?;
                times.add(until_accepted(&doors, Instant::now()).await?, None);
                self.omni.revive(leader).await
            }
            Event::Transfer => {
                let client = self.omni.client(&[others[0]], Options::default())?;
                let to = ControllerId(others[1] as u64 + 1);
                let seen =
                    gaps(&doors, async { Ok(client.transfer_leadership(Some(to)).await.map(drop)?) }).await?;
                times.add(seen.around, Some(seen.calm));
                self.omni.ready().await
            }
            Event::Stopped => {
                let seen = gaps(&doors, async { self.omni.terminate(leader) }).await?;
                times.add(seen.around, Some(seen.calm));
                self.omni.revive(leader).await
            }
        }
    }

    async fn etcd(&mut self, event: Event, times: &mut Times) -> Result<()> {
        let leader = self.etcd.leader().await?;
        let others = others(leader);
        let doors = [
            EtcdTarget::through(&self.etcd, others[0], Work::Writes).await?,
            EtcdTarget::through(&self.etcd, others[1], Work::Writes).await?,
        ];
        match event {
            Event::Killed => {
                warm(&doors).await?;
                self.etcd.kill(leader)?;
                times.add(until_accepted(&doors, Instant::now()).await?, None);
                self.etcd.revive(leader).await
            }
            Event::Transfer => {
                let mut client = self.etcd.client(leader).await?;
                let to = self.etcd.member_id(others[1]).await?;
                let seen = gaps(&doors, async { Ok(client.move_leader(to).await.map(drop)?) }).await?;
                times.add(seen.around, Some(seen.calm));
                self.etcd.ready().await
            }
            Event::Stopped => {
                let seen = gaps(&doors, async { self.etcd.terminate(leader) }).await?;
                times.add(seen.around, Some(seen.calm));
                self.etcd.revive(leader).await
            }
        }
    }
}

/// Waits a little, each time a few milliseconds longer than the last.
async fn settle(turn: u32) {
    tokio::time::sleep(QUIET + Duration::from_millis(u64::from(turn % 10) * 13)).await;
}

/// One write through each door, so that connections are open when it counts.
async fn warm<T: super::load::Target>(doors: &[T]) -> Result<()> {
    for door in doors {
        door.call(0, 0).await.context("writing before the kill")?;
    }
    Ok(())
}

fn others(leader: usize) -> [usize; 2] {
    [(leader + 1) % MEMBERS, (leader + 2) % MEMBERS]
}

fn rows(outcomes: &[Outcome]) -> comfy_table::Table {
    let mut table = table(&["", "events", "p50", "p90", "p99", "max", "p50 / etcd", "p99 / etcd"]);
    for Outcome { event, omni, etcd } in outcomes {
        for (name, times) in [("omni", omni), ("etcd", etcd)] {
            let calm = Percentiles::of(times.calm.clone());
            let cell = |value: f64, calm: f64| match times.calm.is_empty() {
                true => number(value),
                false => format!("{} ({})", number(value), number(calm)),
            };
            let (own, peer) = (times.percentiles, etcd.percentiles);
            let over = |own: f64, peer: f64| if peer > 0.0 { number(own / peer) } else { "–".to_owned() };
            table.add_row([
                format!("{event:?}, {name}"),
                times.outages.len().to_string(),
                cell(own.p50, calm.p50),
                cell(own.p90, calm.p90),
                cell(own.p99, calm.p99),
                cell(own.max, calm.max),
                over(own.p50, peer.p50),
                over(own.p99, peer.p99),
            ]);
        }
    }
    table
}

fn goals(outcomes: &[Outcome]) -> Vec<Goal> {
    let find = |event| {
        outcomes.iter().find(|outcome| outcome.event == event).map(|outcome| outcome.omni.percentiles)
    };
    let mut goals = Vec::new();
    goals.extend(find(Event::Killed).map(|p| Goal::at_most("leader killed, p99", 600.0, p.p99, "ms")));
    goals.extend(find(Event::Transfer).map(|p| Goal::at_most("planned hand-over, p99", 20.0, p.p99, "ms")));
    goals.extend(
        find(Event::Stopped).map(|p| Goal::at_most("clean stop of the leader, p99", 20.0, p.p99, "ms")),
    );
    goals
}
