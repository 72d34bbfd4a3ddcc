//! Where the screen's news come from: listings every few seconds, samples as they arrive.

use super::model::{Model, Update};
use anyhow::{Context, Result};
use omni_common::api::v1::{CommaList, ContainersQuery, HostView, HostsQuery, MetricsQuery, MetricsSource};
use omni_sdk::{Client, LiveStream};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Hosts and containers come and go this slowly; what they do comes live.
const LIST_EVERY: Duration = Duration::from_secs(5);
/// After a stream has failed for good.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// News waiting to be drawn; the screen is faster than that, and if not, the feeds wait.
const QUEUE: usize = 16;
/// Up to this many hosts are asked to report each second. More would be a load that nobody can read.
const WATCHED_CLOSELY: usize = 32;
/// Running, or trying to.
const STATES: [&str; 3] = ["running", "restarting", "paused"];

/// Background tasks that fetch; they end when this is dropped.
pub(super) struct Feed {
    updates: mpsc::Receiver<Update>,
    _tasks: JoinSet<()>,
}

impl Feed {
    /// Begins to fetch.
    pub(super) fn start(client: Client, only: Vec<String>, model: &Model) -> Self {
        let (sender, updates) = mpsc::channel(QUEUE);
        let watched = watched(&only, model);
        let mut tasks = JoinSet::new();
        tasks.spawn(list(client.clone(), only, sender.clone()));
        tasks.spawn(sample(client, watched, sender));
        Self { updates, _tasks: tasks }
    }

    /// The next piece of news.
    pub(super) async fn next(&mut self) -> Result<Update> {
        self.updates.recv().await.context("the feeds ended")
    }
}

/// Hosts to name in the live stream: naming them makes them report each second.
fn watched(only: &[String], model: &Model) -> Vec<String> {
    if !only.is_empty() {
        return only.to_vec();
    }
    let hosts = model.hosts();
    if hosts.len() > WATCHED_CLOSELY {
        return Vec::new();
    }
    hosts.iter().map(|row| row.view.name.clone()).collect()
}

/// What there is now.
pub(super) async fn listing(client: &Client, only: &[String]) -> Result<Update, omni_sdk::Error> {
    let containers = ContainersQuery {
        host: (!only.is_empty()).then(|| only.iter().collect::<CommaList>()),
        state: Some(STATES.into_iter().collect()),
        ..ContainersQuery::default()
    };
    let (hosts, containers) = tokio::try_join!(hosts(client, only), client.containers(containers))?;
    Ok(Update::Listing { hosts, containers })
}

async fn hosts(client: &Client, only: &[String]) -> Result<Vec<HostView>, omni_sdk::Error> {
    if only.is_empty() {
        return client.hosts(HostsQuery::default()).await;
    }
    let mut hosts = Vec::with_capacity(only.len());
    for name in only {
        hosts.push(client.host(name).await?);
    }
    Ok(hosts)
}

async fn list(client: Client, only: Vec<String>, sender: mpsc::Sender<Update>) {
    loop {
        sleep(LIST_EVERY).await;
        let update = listing(&client, &only).await.unwrap_or_else(|error| trouble(&error));
        if sender.send(update).await.is_err() {
            return;
        }
    }
}

async fn sample(client: Client, watched: Vec<String>, sender: mpsc::Sender<Update>) {
    loop {
        let mut stream = client.live_metrics(&watched);
        let Some(error) = forward(&mut stream, &sender).await else {
            return;
        };
        if sender.send(trouble(&error)).await.is_err() {
            return;
        }
        sleep(RETRY_AFTER).await;
    }
}

/// Passes samples on until the stream fails; nothing is left to do when the screen is gone.
async fn forward(stream: &mut LiveStream, sender: &mpsc::Sender<Update>) -> Option<omni_sdk::Error> {
    loop {
        match stream.next().await {
            Err(error) => return Some(error),
            Ok(samples) => sender.send(Update::Samples(samples)).await.ok()?,
        }
    }
}

fn trouble(error: &omni_sdk::Error) -> Update {
    let text = error.to_string();
    Update::Trouble(text.lines().next().unwrap_or_default().to_owned())
}

/// For the first frame: readings of GPUs, which listings only sum up. A host that cannot tell is left out.
pub(super) async fn gpu_samples(client: &Client, model: &mut Model) {
    let with_gpus: Vec<_> = model.gpus().iter().map(|gpu| gpu.host.view.id).collect();
    for host in with_gpus {
        let newest =
            MetricsQuery { max: Some(1), source: Some(MetricsSource::Gateway), ..MetricsQuery::default() };
        let metrics = client.host_metrics(&host.to_string(), &newest).await;
        if let Ok(Some(latest)) = metrics.map(|metrics| metrics.latest) {
            model.set_gpus(host, latest.gpus);
        }
    }
}
