//! One controller, wired together. `main` and the test harness use this and nothing below it.
//!
//! `Controller::start` needs a network, a disk and a clock, real or simulated; `run` serves until it is told
//! to stop, and hands leadership over on the way out.

use crate::app::{App, People, Refusals, RenderMetrics};
use crate::coordinator::{LeaderLink, Proposer, Reader};
use crate::data_dir::Addresses;
use crate::ingest::controller_names;
use crate::ingest::{
    Connections, ContainerEvents, Gateway, Issuer, LeaderDuty, Lifetimes, ObservedHosts, Relay, Releases,
    Replicas, Reports, RunReports, Sessions, accept, cut_revoked, push_desired,
};
use crate::links::Links;
use crate::mesh::{MeshRouter, hand_over};
use crate::metrics::{RAFT_APPLIED, RAFT_LEADER, RAFT_TERM, REFUSED_HANDSHAKES};
use crate::peer::PeerClient;
use crate::raft::{Disk, MemoryDisk, Pace, RaftNode, RaftRole, RaftStatus};
use crate::reconcilers::{Backups, Liveness, Members, Moves, Placement, Rescues, drive};
use crate::state::{Actor, Command, Proposal};
use crate::store::Store;
use omni_catalogue::Catalogue;
use omni_catalogue::policies::Policies;
use omni_certs::{CaFingerprint, ClusterKey};
use omni_common::clock::Clock;
use omni_common::ids::ControllerId;
use omni_common::wire::{ALPN_PEER, ALPN_RAFT, CloseCode};
use omni_transport::{Network, Rejections};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A clean stop tries this long to let somebody else lead first.
const HAND_OVER: Duration = Duration::from_secs(3);
/// Gauges are set this often.
const GAUGES: Duration = Duration::from_secs(2);
/// Tasks that have not ended by then are left behind.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Where a controller keeps its log.
#[derive(Clone)]
pub enum Storage {
    /// In a folder.
    Folder(PathBuf),
    /// In memory that outlives a simulated crash.
    Memory(MemoryDisk),
}

/// Everything a controller needs from outside.
pub struct Parts {
    /// Its number.
    pub id: ControllerId,
    /// Where it listens and is reached.
    pub addresses: Addresses,
    /// The key that opens secrets in the state.
    pub cluster_key: Arc<ClusterKey>,
    /// What the platform consists of.
    pub catalogue: Arc<Catalogue>,
    /// What holds for backups where nobody says anything.
    pub policies: Arc<Policies>,
    /// The cluster's root.
    pub ca: CaFingerprint,
    /// QUIC, or its simulation.
    pub network: Arc<dyn Network>,
    /// The log.
    pub storage: Storage,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Raft's timing.
    pub pace: Pace,
    /// How long a host's certificate holds.
    pub host_certificate: Duration,
    /// The process's own metrics.
    pub metrics: RenderMetrics,
    /// The first entry of a new cluster, while it may not be committed.
    pub bootstrap: Option<Proposal>,
}

/// A running controller.
pub struct Controller {
    app: Arc<App>,
    gateway: Arc<Gateway>,
    network: Arc<dyn Network>,
    addresses: Addresses,
    bootstrap: Option<Proposal>,
}

impl Controller {
    /// Loads what the disk holds and begins to take part in Raft.
    pub async fn start(parts: Parts) -> io::Result<Self> {
        let raft_links = Links::new(Arc::clone(&parts.network), ALPN_RAFT);
        let peers = PeerClient::new(Links::new(Arc::clone(&parts.network), ALPN_PEER));
        let disk = match &parts.storage {
            Storage::Folder(dir) => Disk::Folder(dir),
            Storage::Memory(disk) => Disk::Memory(disk),
        };
        let node = RaftNode::start(parts.id, parts.pace, disk, raft_links).await?;
        if parts.bootstrap.is_some() {
            let address = parts.addresses.advertise_quic.clone();
            node.initialize(parts.id, address).await.map_err(io::Error::other)?;
        }
        let gateway = gateway(&parts, node, peers);
        let refusals = Refusals::default();
        let app = Arc::new(App {
            controller: parts.id,
            ca: parts.ca,
            store: gateway.store.clone(),
            proposer: Arc::clone(&gateway.proposer),
            reads: Arc::new(Reader::new(gateway.link.clone())),
            observed: Arc::clone(&gateway.observed) as _,
            mesh: Arc::new(MeshRouter::new(Arc::clone(&gateway))),
            clock: parts.clock,
            metrics: parts.metrics,
            cluster_key: parts.cluster_key,
            catalogue: parts.catalogue,
            refusals,
            releases: Arc::clone(&gateway.releases),
            people: People::default(),
        });
        Ok(Self {
            app,
            gateway,
            network: parts.network,
            addresses: parts.addresses,
            bootstrap: parts.bootstrap,
        })
    }

    /// What the API serves.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The published state.
    pub fn store(&self) -> &Store {
        &self.gateway.store
    }

    /// Its part in the Raft group.
    pub fn raft_status(&self) -> RaftStatus {
        self.gateway.link.node.status()
    }

    /// Takes a Raft snapshot now.
    pub async fn snapshot(&self) -> io::Result<()> {
        self.gateway.link.node.snapshot().await.map_err(io::Error::other)
    }

    /// Commits the first entry of a new cluster; harmless when it is committed already.
    pub async fn bootstrap(&self) -> io::Result<()> {
        let Some(entry) = &self.bootstrap else {
            return Ok(());
        };
        let applied = self.gateway.proposer.propose(entry.clone()).await.map_err(io::Error::other)?;
        applied.outcome.map(|_| ()).map_err(io::Error::other)
    }

    /// Certifies `csr` for this controller, with the names of its present addresses.
    pub(crate) async fn certify(&self, csr: &[u8]) -> anyhow::Result<omni_certs::Issued> {
        let issued = self.certify_alone(csr)?;
        let subject = crate::state::command::Subject::Controller(self.gateway.me);
        let record = Command::RecordCertificate {
            subject,
            serial: issued.serial.clone(),
            not_after: issued.not_after,
        };
        self.gateway.propose(Actor::system(), record).await??;
        Ok(issued)
    }

    /// The same without telling the cluster.
    pub(crate) fn certify_alone(&self, csr: &[u8]) -> anyhow::Result<omni_certs::Issued> {
        let state = self.gateway.store.current();
        let role = omni_certs::Role::Controller(self.gateway.me);
        let names = controller_names(&[&self.addresses.advertise_quic, &self.addresses.advertise_api]);
        Ok(self.gateway.issuer.issue(&state, csr, role, &names, self.app.clock.now())?)
    }

    /// Serves until `stop`, then hands leadership over and closes.
    ///
    /// Returns an error when Raft stopped by itself: this controller can no longer be trusted to follow.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let tasks = self.spawn();
        let node = &self.gateway.link.node;
        let result = tokio::select! {
            () = stop => Ok(()),
            reason = node.failed() => Err(io::Error::other(reason)),
        };
        if result.is_ok() && node.status().role == RaftRole::Leader && node.status().voters.len() > 1 {
            match tokio::time::timeout(HAND_OVER, hand_over(node, None)).await {
                Ok(Ok(())) => tracing::info!("handed leadership over"),
                _ => tracing::warn!("leadership was not handed over; the others will elect"),
            }
        }
        self.gateway.stop.cancel();
        tasks.close();
        if tokio::time::timeout(STOP_WITHIN, tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        node.shutdown().await;
        self.network.shutdown(CloseCode::ShuttingDown, "this controller is stopping").await;
        result
    }

    /// Starts everything that runs beside Raft.
    fn spawn(&self) -> TaskTracker {
        let tasks = TaskTracker::new();
        let gateway = &self.gateway;
        let stop = &gateway.stop;
        let node = &gateway.link.node;
        tasks.spawn(accept(Arc::clone(gateway), Arc::clone(&self.network)));
        tasks.spawn(cut_revoked(gateway.store.clone(), gateway.connections.clone(), stop.clone()));
        tasks.spawn(drive(Liveness::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        tasks.spawn(drive(Members::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        tasks.spawn(drive(Placement::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        tasks.spawn(drive(Backups::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        tasks.spawn(drive(Rescues::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        tasks.spawn(drive(Moves::new(Arc::clone(gateway)), node.clone(), stop.clone()));
        let (relay, until) = (Arc::clone(&gateway.relay), stop.clone());
        tasks.spawn(async move { relay.run(until).await });
        let (replicas, until) = (Arc::clone(&gateway.replicas), stop.clone());
        tasks.spawn(async move { replicas.run(until).await });
        let (events, proposer, clock, until) = (
            Arc::clone(&gateway.events),
            Arc::clone(&gateway.proposer),
            Arc::clone(&gateway.clock),
            stop.clone(),
        );
        tasks.spawn(async move { events.run(proposer, clock, until).await });
        let reporting = Arc::clone(gateway);
        tasks.spawn(async move { reporting.reports.run(&reporting).await });
        let reporting = Arc::clone(gateway);
        tasks.spawn(async move { reporting.run_reports.run(&reporting).await });
        tasks.spawn(push_desired(Arc::clone(gateway)));
        let refusals = self.app.refusals.clone();
        tasks.spawn(refusals.run(Arc::clone(&gateway.proposer), Arc::clone(&gateway.clock), stop.clone()));
        let seen = self.app.people.seen.clone();
        tasks.spawn(seen.run(Arc::clone(&gateway.proposer), Arc::clone(&gateway.clock), stop.clone()));
        tasks.spawn(announce(Arc::clone(gateway), self.addresses.clone()));
        tasks.spawn(gauges(node.clone(), self.network.rejections(), stop.clone()));
        tasks
    }

    /// Told when this controller begins to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.gateway.stop.clone()
    }
}

fn gateway(parts: &Parts, node: RaftNode, peers: PeerClient) -> Arc<Gateway> {
    let me = parts.id;
    let store = node.store().clone();
    let link = LeaderLink { me, node: node.clone(), peers: peers.clone() };
    let duty = Arc::new(LeaderDuty::new(node));
    let sessions = Arc::new(Sessions::default());
    let observed = Arc::new(ObservedHosts::default());
    Arc::new(Gateway {
        me,
        store: store.clone(),
        proposer: Arc::new(Proposer::new(link.clone())),
        clock: Arc::clone(&parts.clock),
        issuer: Issuer::new(
            Arc::clone(&parts.cluster_key),
            Lifetimes { host: parts.host_certificate, ..Lifetimes::default() },
        ),
        relay: Arc::new(Relay::new(link.clone(), Arc::clone(&duty), Arc::clone(&sessions))),
        replicas: Arc::new(Replicas::new(me, store, peers, Arc::clone(&observed), Arc::clone(&sessions))),
        link,
        duty,
        sessions,
        observed,
        events: Arc::new(ContainerEvents::default()),
        reports: Arc::new(Reports::default()),
        run_reports: Arc::new(RunReports::default()),
        releases: Arc::new(Releases::new(
            Arc::clone(&parts.cluster_key),
            Arc::clone(&parts.catalogue),
            Arc::clone(&parts.policies),
        )),
        connections: Connections::default(),
        started: parts.clock.now(),
        stop: CancellationToken::new(),
    })
}

/// Keeps the gauges of Raft and the counters of refused connections up to date.
async fn gauges(node: RaftNode, rejections: Rejections, stop: CancellationToken) {
    loop {
        let status = node.status();
        metrics::gauge!(RAFT_TERM).set(status.term as f64);
        metrics::gauge!(RAFT_APPLIED).set(status.applied as f64);
        metrics::gauge!(RAFT_LEADER).set(f64::from(u8::from(status.role == RaftRole::Leader)));
        for (code, count) in rejections.counts() {
            metrics::counter!(REFUSED_HANDSHAKES, "code" => code).absolute(count);
        }
        tokio::select! {
            () = tokio::time::sleep(GAUGES) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tells the cluster where this controller is now and what it runs, when the state says otherwise.
async fn announce(gateway: Arc<Gateway>, addresses: Addresses) {
    let mut applied = gateway.store.watch();
    loop {
        let state = gateway.store.current();
        if let Some(known) = state.controllers.get(&gateway.me) {
            let version = env!("CARGO_PKG_VERSION");
            let current = known.quic == addresses.advertise_quic
                && known.api == addresses.advertise_api
                && known.version == version;
            if current {
                return;
            }
            let command = Command::UpdateController {
                controller: gateway.me,
                quic: addresses.advertise_quic.clone(),
                api: addresses.advertise_api.clone(),
                version: version.to_owned(),
            };
            match gateway.propose(Actor::system(), command).await {
                Ok(Ok(_)) => return,
                Ok(Err(refusal)) => {
                    return tracing::error!(error = %refusal, "the cluster does not take this controller's address");
                }
                Err(error) => {
                    tracing::debug!(error = %error, "this controller's address is not announced yet")
                }
            }
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            () = gateway.stop.cancelled() => return,
        }
    }
}
