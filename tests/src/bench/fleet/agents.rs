//! The fleet's own process: enrols, starts, and tells how it goes.

use super::{Crowd, News, Order};
use crate::bench::enroll::{HostIdentity, enroll};
use anyhow::{Context, Result, bail};
use omni_agent::session::LeaseState;
use omni_agent::sim::{SimAgent, SimOptions};
use omni_common::clock::{Clock, SystemClock};
use omni_transport::QuicNetwork;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::sync::CancellationToken;

/// News go out this often when there are any: the resolution of everything that is waited for.
const NEWS: Duration = Duration::from_millis(20);
/// Files that one agent holds open: its QUIC socket and the one that probes its gateway's port.
const FILES_PER_HOST: u64 = 2;
/// Files for everything else.
const FILES_BESIDE: u64 = 256;

type Agents = Arc<Mutex<Vec<Arc<SimAgent>>>>;

/// Lives as a fleet that takes its orders from `chief`, until that goes away.
pub(in crate::bench) async fn live(chief: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(chief).await.context("connecting to the benchmark")?;
    stream.set_nodelay(true).context("setting up the connection")?;
    let (read, mut write) = stream.into_split();
    let mut orders = BufReader::new(read).lines();
    let (tally, agents) = (Tally::default(), Agents::default());
    tokio::select! {
        ended = obey(&mut orders, &tally, &agents) => ended,
        failed = async {
            let mut told = None;
            loop {
                let news = tally.news(&agents);
                if told.as_ref() != Some(&news) {
                    let line = serde_json::to_string(&news).context("news are plain values")? + "\n";
                    write.write_all(line.as_bytes()).await.context("telling the news")?;
                    told = Some(news);
                }
                tokio::time::sleep(NEWS).await;
            }
        } => failed,
    }
}

/// Ends when the benchmark has gone.
async fn obey(orders: &mut Lines<BufReader<OwnedReadHalf>>, tally: &Tally, agents: &Agents) -> Result<()> {
    let mut crowd = None;
    while let Some(line) = orders.next_line().await.context("waiting for orders")? {
        match serde_json::from_str(&line).context("reading an order")? {
            Order::Enroll(wanted) => {
                allow_files(u64::from(wanted.hosts) * FILES_PER_HOST + FILES_BESIDE)?;
                let hosts = enroll(&wanted.token, &wanted.controllers, "sim", wanted.hosts).await?;
                tally.lock().enrolled = wanted.hosts;
                crowd = Some((wanted, hosts));
            }
            Order::Start => {
                let Some((wanted, hosts)) = crowd.take() else { bail!("there is nobody to start") };
                start(&wanted, hosts, tally, agents)?;
            }
        }
    }
    Ok(())
}

/// Raises this process's limit of open files, as far as this user may.
fn allow_files(wanted: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .with_context(|| format!("{wanted} files must be open at once; raise the limit (ulimit -n)"))
}

fn start(crowd: &Crowd, hosts: Vec<HostIdentity>, tally: &Tally, agents: &Agents) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut started = Vec::with_capacity(hosts.len());
    for (number, host) in hosts.into_iter().enumerate() {
        let options = SimOptions {
            hostname: host.name.clone(),
            containers: crowd.containers,
            seed: number as u64 + 1,
            probe_ports: true,
            ..SimOptions::default()
        };
        let network = QuicNetwork::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(host.tls))
            .with_context(|| format!("opening the socket of {}", host.name))?;
        started.push(Arc::new(SimAgent::new(options, network, host.controllers, Arc::clone(&clock))));
    }
    for agent in &started {
        let (agent, tally) = (Arc::clone(agent), tally.clone());
        tokio::spawn(async move {
            tokio::select! {
                ended = agent.run(CancellationToken::new()) => eprintln!("an agent ended: {ended:?}"),
                () = watch(&agent, &tally) => {}
            }
        });
    }
    *agents.lock().unwrap_or_else(PoisonError::into_inner) = started;
    Ok(())
}

/// Counts the sessions and the lost leases of one agent, for ever.
async fn watch(agent: &SimAgent, tally: &Tally) {
    let (mut status, mut lease) = (agent.status(), agent.lease());
    let (mut gateway, mut begun) = (None, 0);
    loop {
        let changed = tokio::select! {
            changed = status.changed() => {
                let now = status.borrow_and_update().clone();
                let at = now.session.map(|(gateway, _)| gateway);
                let mut news = tally.lock();
                news.moved(gateway, at);
                news.begun += now.sessions - begun;
                (gateway, begun) = (at, now.sessions);
                changed
            }
            changed = lease.changed() => {
                let expired = *lease.borrow_and_update() == LeaseState::Expired;
                tally.lock().expired += u64::from(expired);
                changed
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// What is counted, shared by all agents.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<News>>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The news of this moment. What agents count themselves is added up here.
    fn news(&self, agents: &Agents) -> News {
        let mut news = self.lock().clone();
        for agent in agents.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            news.samples += agent.host().samples();
            news.dropped += agent.dropped_samples();
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_suffices_stays() {
        let before = getrlimit(Resource::Nofile);
        allow_files(1).expect("enough");
        assert_eq!(getrlimit(Resource::Nofile), before);
    }
}
