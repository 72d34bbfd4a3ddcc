//! `omni-agent run`: puts the parts of a real agent together and runs them until told to stop.

use crate::backup::{Backups, Browser, Debts, FromGateway, Locksmith, RealDocker, Shared};
use crate::collectors::Roots;
use crate::config::Config;
use crate::credentials::StoredCredentials;
use crate::docker::Watcher;
use crate::executors::converge::{Converger, Dirs, Holds};
use crate::host::Host;
use crate::images::Images;
use crate::ledger::{Ledger, LedgerError, StoredIdentity};
use crate::machine::LocalMachine;
use crate::runs::{Alone, Keeper, OfflineKeeper, Runs};
use crate::session::{Agent, Book, MAX_SAMPLES, Monotonic, Parts, Removed};
use crate::supervisor::{OnEnd, Supervisor};
use crate::workloads::Depot;
use omni_certs::MeshTls;
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::{BootId, ControllerId, HostId};
use omni_common::wire::{CloseCode, ControllerAddress, ControllerList};
use omni_restic::{Restic, Settings};
use omni_transport::{BindError, Network, QuicNetwork};
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Secrets of apps lie here while they run: `/run` is in memory on every system that has one.
const SECRETS: &str = "/run/omni/secrets";
/// After the stop token, parts have this long to end.
const PATIENCE: Duration = Duration::from_secs(8);

/// The agent cannot run, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The folder has no identity: the machine has not joined.
    #[error("this machine has not joined a cluster: run `omni-agent join` first")]
    NotJoined,
    /// The folder does not say where the cluster is.
    #[error(
        "the data folder names no controllers: restore its `controllers` file, or move it away and join again"
    )]
    NoControllers,
    /// The stored certificate is of no use.
    #[error("the stored certificate cannot be used; move the data folder away and join again")]
    Certificate(#[source] omni_certs::Error),
    /// The network cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No thread for the collectors.
    #[error("cannot start the collectors")]
    Collectors(#[source] std::io::Error),
    /// The cluster sent the host away.
    #[error(transparent)]
    Removed(#[from] Removed),
}

/// Runs the agent of this machine until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    let ledger = Arc::new(Ledger::open(&config.data_dir)?);
    let identity = ledger.identity()?.ok_or(RunError::NotJoined)?;
    let controllers = with_named(ledger.controllers()?.ok_or(RunError::NoControllers)?, &config.controllers);
    // It may have been put back from a copy of the cluster's state: the controllers are asked again.
    ledger.clear_removed()?;
    let host_id = identity.host;
    let tls = MeshTls::new(&identity.key, &identity.chain).map_err(RunError::Certificate)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    announce(&config, &identity, &tls, clock.as_ref());
    let network = bind(config.bind, Some(tls.clone()))?;

    let (docker, watcher) = Watcher::new(config.docker.clone(), clock.clone());
    let history = config.data_dir.join("history");
    let dirs =
        Dirs { files: config.data_dir.join("apps"), secrets: Path::new(SECRETS).join(host_id.to_string()) };
    let depot = Depot::open(ledger.clone())?;
    let images = Arc::new(Images::new(docker.clone(), config.data_dir.join("images")));
    let holds = Arc::new(Holds::open(ledger.clone())?);
    let workloads = Converger::new(
        host_id,
        depot,
        docker.clone(),
        images.clone(),
        dirs.clone(),
        holds.clone(),
        clock.clone(),
    );
    let docker_of_runs = RealDocker::new(docker.clone(), images.clone(), holds, clock.clone());
    let restic = find_restic(&config).await;
    let browser = Browser::new(restic.as_ref(), restic_folders(&config).1);
    let locksmith = Locksmith { restic: restic.clone(), work: restic_folders(&config).1 };
    let shared = shared(&config, &ledger, docker_of_runs, restic, host_id, dirs, clock.clone())?;
    let doer = Backups::new(shared.with_states(Arc::new(FromGateway(images.clone()))));
    let runs = Runs::new(Some(Arc::new(doer)), Keeper::Ledger(ledger.clone()), clock.clone())?;
    let runs = match config.alone_after {
        0 => {
            // What it is not to do by itself it need not know.
            ledger.clear_standing()?;
            runs
        }
        seconds => {
            let keeper = OfflineKeeper::Ledger(ledger.clone());
            let alone = Alone::open(keeper, Duration::from_secs(seconds), clock.clone())?;
            runs.with_alone(Arc::new(alone))
        }
    };
    let host = Host::start(Roots::default(), Some(history), clock.clone()).map_err(RunError::Collectors)?;
    let agent = Arc::new(Agent::new(Parts {
        network: network.clone(),
        machine: Arc::new(LocalMachine::new(docker, host, images, browser).with_locksmith(locksmith)),
        workloads: Arc::new(workloads),
        runs: Arc::new(runs),
        book: Arc::new(Book::new(controllers, Some(ledger.clone()))),
        credentials: Some(Arc::new(StoredCredentials::new(ledger.clone(), tls, identity))),
        clock,
        monotonic: Monotonic::machine(),
        region: config.region,
        boot: BootId::mint(),
        max_samples: MAX_SAMPLES,
        probe_ports: true,
        seed: rand::random(),
    }));
    let ended = supervise(agent, watcher, stop).await;
    if ended.is_err()
        && let Err(error) = ledger.clear_standing().and_then(|()| ledger.mark_removed(host_id))
    {
        tracing::warn!(%error, "the removal cannot be noted; to join anew, move the data folder away first");
    }
    network.shutdown(CloseCode::ShuttingDown, "the agent stops").await;
    ended.map_err(RunError::from)
}

/// restic, where it is there and new enough; says so once when it is not.
async fn find_restic(config: &Config) -> Option<Restic> {
    let (cache, work) = restic_folders(config);
    // What an earlier process left there was for its own calls of restic.
    std::fs::remove_dir_all(&work).ok();
    for folder in [&cache, &work] {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        if let Err(error) = made {
            tracing::error!(folder = %folder.display(), %error, "no backups: a folder for restic cannot be made");
            return None;
        }
    }
    let mut settings = Settings::new(&config.search_path, &config.home, cache, work);
    settings.binary.clone_from(&config.restic);
    match Restic::find(settings).await {
        Ok(restic) => {
            tracing::info!(version = %restic.version(), binary = %restic.binary().display(), "backups with restic");
            Some(restic)
        }
        Err(error) => {
            tracing::warn!(%error, "no backups on this host; after installing restic, restart omni-agent");
            None
        }
    }
}

fn restic_folders(config: &Config) -> (PathBuf, PathBuf) {
    let folder = config.data_dir.join("restic");
    (folder.join("cache"), folder.join("work"))
}

/// The controllers that are known, and after them those that an operator names: the cluster may live on elsewhere.
fn with_named(mut known: ControllerList, named: &[String]) -> ControllerList {
    let fresh = named.iter().filter(|address| !known.controllers.iter().any(|one| one.quic == **address));
    // Their numbers are heard when they answer; until then each has one that nobody can have.
    let numbers = (0..).map(|count| ControllerId(u64::MAX - count));
    let fresh: Vec<_> = fresh
        .zip(numbers)
        .map(|(address, id)| ControllerAddress { id, quic: address.clone(), region: None })
        .collect();
    known.controllers.extend(fresh);
    known
}

/// What the runs of this host are done with: restic, where there is one.
fn shared(
    config: &Config,
    ledger: &Arc<Ledger>,
    docker: RealDocker,
    restic: Option<Restic>,
    host: HostId,
    dirs: Dirs,
    clock: Arc<dyn Clock>,
) -> Result<Shared, LedgerError> {
    let debts = Debts::open(ledger.clone())?;
    let (_, work) = restic_folders(config);
    Ok(Shared::new(Arc::new(docker), restic, debts, clock, host.to_string(), work, dirs))
}

/// Runs the session and the Docker watcher until one of them, or the operator, ends it.
async fn supervise(agent: Arc<Agent>, watcher: Watcher, stop: CancellationToken) -> Result<(), Removed> {
    let supervisor = Supervisor::new(stop);
    let watcher = Arc::new(tokio::sync::Mutex::new(watcher));
    supervisor.spawn("docker", OnEnd::Restart, move |stop| {
        let watcher = watcher.clone();
        async move { watcher.lock().await.run(stop).await }
    });
    let outcome = Arc::new(Mutex::new(Ok(())));
    let seen = outcome.clone();
    supervisor.spawn("session", OnEnd::StopAll, move |stop| {
        let (agent, seen) = (agent.clone(), seen.clone());
        async move {
            let ended = agent.run(stop).await;
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = ended;
        }
    });
    for part in supervisor.finish(PATIENCE).await {
        tracing::warn!(part, "part did not stop in time");
    }
    outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn announce(config: &Config, identity: &StoredIdentity, tls: &MeshTls, clock: &dyn Clock) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        host = %identity.host,
        cluster = %identity.cluster,
        data_dir = %config.data_dir.display(),
        "agent starts"
    );
    let (now, leaf) = (clock.now(), tls.leaf());
    if now < leaf.not_before {
        tracing::error!(not_before = %leaf.not_before, %now, "certificate not valid yet; the clock is behind");
    }
}

/// Opens the local end. Where the kernel has no IPv6, the default address falls back to IPv4.
pub fn bind(address: SocketAddr, tls: Option<MeshTls>) -> Result<Arc<QuicNetwork>, BindError> {
    let opened = QuicNetwork::client(address, tls.clone());
    if opened.is_err() && address.is_ipv6() && address.ip().is_unspecified() {
        return QuicNetwork::client((Ipv4Addr::UNSPECIFIED, address.port()).into(), tls);
    }
    opened
}
