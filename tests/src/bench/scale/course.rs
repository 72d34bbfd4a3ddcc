//! One course with one number of hosts, from three idle controllers to the return of a killed leader.

use super::changes::Changes;
use super::lists::{self, Pages, What};
use super::outcome::{Kill, Outcome, Steady};
use super::{CONTAINERS, Times, udp};
use crate::bench::fleet::{Crowd, Fleet, News};
use crate::bench::omni::{MEMBERS, OmniCluster};
use crate::bench::report::note;
use crate::bench::usage::{Cost, Usage};
use anyhow::{Context, Result, ensure};
use omni_common::api::v1::HostsQuery;
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::ControllerId;
use omni_sdk::{Client, Options};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Controllers without hosts are given this long to come to rest, and looked at for as long.
const IDLE: Duration = Duration::from_secs(10);
/// One enrolment commits twice; even a slow disk manages a hundred a second.
const ENROL_EACH: Duration = Duration::from_millis(50);
/// Everybody is connected, or connected again, within this.
const CONNECTED_WITHIN: Duration = Duration::from_secs(120);
/// How often the cluster is asked how many hosts are up.
const LOOK: Duration = Duration::from_millis(100);
/// After the killed leader is back.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// Sizes of pages: the usual one, and the largest, which the SDK takes when it wants everything.
const PAGE_SIZES: [u32; 2] = [100, 500];
/// What a controller logs when it must tell another everything anew.
const RESYNC: &str = "does not keep up with observations";
/// Not about the member that never runs: the identity by which this benchmark asks who leads.
const ABOUT_CALLER: &str = "peer=4";

/// What is to be done.
pub(super) struct Course<'a> {
    pub(super) programs: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) hosts: u32,
    pub(super) times: Times,
}

impl Course<'_> {
    pub(super) async fn run(&self) -> Result<Outcome> {
        let datagrams = udp::dropped();
        let mut cluster = OmniCluster::start(self.programs, self.folder).await?;
        let client = cluster.client(&[0, 1, 2], Options::default())?;
        tokio::time::sleep(IDLE).await;
        let idle = Cost::over(&pids(&cluster)?, IDLE).await?;

        let mut fleet = Fleet::start(self.folder).await?;
        let mut changes = Changes::default();
        let crowd = Crowd {
            token: cluster.agent_token().to_owned(),
            controllers: (0..MEMBERS).map(|member| cluster.quic(member)).collect(),
            hosts: self.hosts,
            containers: CONTAINERS,
        };
        let within = Duration::from_secs(30) + ENROL_EACH * self.hosts;
        let enrolled = fleet.enroll(&crowd, within).await?;
        note(format!("enrolled after {:.1} s", enrolled.as_secs_f64()));
        changes.look(&client).await?;
        let (sessions, up) = self.start(&mut fleet, &client, &mut changes).await?;
        note(format!(
            "all connected after {:.1} s, up after {:.1} s",
            sessions.as_secs_f64(),
            up.as_secs_f64()
        ));
        changes.watch(&client, self.times.settle).await?;

        let steady = self.steady(&cluster, &fleet, &client).await?;
        note("steady window is over; lists");
        let (lists, listing) = self.lists(&cluster).await?;
        let expired = fleet.news().expired;
        note("killing the leader");
        let (mut kill, victim) = self.kill(&cluster, &mut fleet).await?;
        note(format!("all connected again after {:.2} s", kill.sessions_again_s));
        changes.watch(&client, self.times.watch).await?;
        kill.leases_expired = fleet.news().expired - expired;
        cluster.revive(victim).await?;
        changes.watch(&client, AFTERWARDS).await?;
        cluster.check()?;
        let last = fleet.news();
        ensure!(
            last.connected() == self.hosts,
            "at the end {} have no session",
            self.hosts - last.connected()
        );
        Ok(Outcome {
            hosts: self.hosts,
            containers: self.containers(),
            idle,
            enrolled_s: enrolled.as_secs_f64(),
            sessions_s: sessions.as_secs_f64(),
            up_s: up.as_secs_f64(),
            steady,
            lists,
            listing,
            kill,
            false_downs: changes.of("host.down"),
            suspects: changes.of("host.suspect"),
            unwell: changes.unwell().to_vec(),
            events: changes.kinds().clone(),
            sessions_begun: last.begun,
            samples_dropped: last.dropped,
            resyncs: cluster.count_in_logs(|line| line.contains(RESYNC) && !line.contains(ABOUT_CALLER)),
            datagrams_dropped: udp::dropped() - datagrams,
        })
    }

    fn containers(&self) -> u64 {
        u64::from(self.hosts) * u64::from(CONTAINERS)
    }

    /// Starts all agents; returns how long it took until all had a session, and until all were up.
    async fn start(
        &self,
        fleet: &mut Fleet,
        client: &Client,
        changes: &mut Changes,
    ) -> Result<(Duration, Duration)> {
        let since = Instant::now();
        fleet.go().await?;
        let all = |news: &News| news.connected() == self.hosts;
        tokio::select! {
            connected = fleet.until("every agent has a session", CONNECTED_WITHIN, all) => connected?,
            failed = changes.count_on(client) => failed?,
        }
        let sessions = since.elapsed();
        loop {
            changes.look(client).await?;
            let status = client.status().await?;
            if status.hosts.up == self.hosts && u64::from(status.containers.total) == self.containers() {
                return Ok((sessions, since.elapsed()));
            }
            ensure!(
                since.elapsed() < CONNECTED_WITHIN,
                "only {:?} after {:?}",
                status.hosts,
                since.elapsed()
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn steady(&self, cluster: &OmniCluster, fleet: &Fleet, client: &Client) -> Result<Steady> {
        let leader = cluster.leader().await?;
        let (before, samples) = (fleet.usage()?, fleet.news().samples);
        let controllers = Cost::over(&pids(cluster)?, self.times.steady).await?;
        let (after, taken) = (fleet.usage()?, fleet.news().samples);
        Ok(Steady {
            seconds: self.times.steady.as_secs_f64(),
            controllers,
            leader,
            fleet: Cost::between(&before, &after),
            samples: taken - samples,
            oldest_sample_s: oldest_sample(client).await?,
        })
    }

    /// All lists at all sizes, and what the controllers cost meanwhile.
    async fn lists(&self, cluster: &OmniCluster) -> Result<(Vec<Pages>, Vec<Cost>)> {
        let doors = (0..MEMBERS).map(|member| cluster.client(&[member], Options::default()));
        let doors: Vec<Client> = doors.collect::<Result<_>>()?;
        let read = || -> Result<Vec<Usage>> {
            pids(cluster)?.into_iter().map(|pid| Usage::of(pid).context("a controller has ended")).collect()
        };
        let before = read()?;
        let mut pages = Vec::new();
        for (what, items) in [(What::Hosts, u64::from(self.hosts)), (What::Containers, self.containers())] {
            for size in PAGE_SIZES {
                pages.push(lists::walk(&doors, what, size, items, self.times.list).await?);
            }
        }
        let costs = before.iter().zip(&read()?).map(|(before, after)| Cost::between(before, after)).collect();
        Ok((pages, costs))
    }

    /// Kills the leader; returns what came of it, and who it was.
    async fn kill(&self, cluster: &OmniCluster, fleet: &mut Fleet) -> Result<(Kill, usize)> {
        let victim = cluster.leader().await?;
        let gateway = ControllerId(victim as u64 + 1);
        let sessions_lost = fleet.news().sessions.get(&gateway).copied().unwrap_or_default();
        let (at, since) = (SystemClock.now(), Instant::now());
        cluster.kill(victim)?;
        let others: Vec<usize> = (0..MEMBERS).filter(|member| *member != victim).collect();
        let leads = async {
            cluster.leader_among(&others).await?;
            anyhow::Ok(since.elapsed())
        };
        let moved = async {
            let all = |news: &News| news.connected_without(gateway) == self.hosts;
            fleet.until("every agent has a session again", CONNECTED_WITHIN, all).await?;
            anyhow::Ok(since.elapsed())
        };
        let (leader, sessions) = tokio::try_join!(leads, moved)?;
        let kill = Kill {
            at,
            sessions_lost,
            sessions_again_s: sessions.as_secs_f64(),
            leader_again_s: leader.as_secs_f64(),
            leases_expired: 0,
        };
        Ok((kill, victim))
    }
}

fn pids(cluster: &OmniCluster) -> Result<Vec<u32>> {
    (0..MEMBERS).map(|member| cluster.pid(member)).collect()
}

/// Age of the oldest of all hosts' newest samples, seconds.
async fn oldest_sample(client: &Client) -> Result<f64> {
    let hosts = client.hosts(HostsQuery::default()).await?;
    let mut oldest = 0;
    for host in hosts {
        let sample = host.sample.with_context(|| format!("{} has no sample", host.name))?;
        oldest = oldest.max(sample.age_ms);
    }
    Ok(oldest as f64 / 1_000.0)
}
