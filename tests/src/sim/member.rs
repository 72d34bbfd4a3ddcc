//! Controllers as processes: started, stopped, crashed, started again on what their disk holds.

use super::world::{CLUSTER, World};
use anyhow::{Context, Result, ensure};
use omni_catalogue::Catalogue;
use omni_catalogue::policies::Policies;
use omni_certs::{CaFingerprint, Identity, Policy, Role};
use omni_common::ids::ControllerId;
use omni_controller::data_dir::Addresses;
use omni_controller::raft::{MemoryDisk, Pace, RaftStatus};
use omni_controller::service::{Controller, Parts, Storage};
use omni_controller::state::{Proposal, State};
use omni_controller::store::Store;
use omni_transport::sim::SimNetwork;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A controller that was told to stop is gone by then: handing over, closing, and some room.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// A controller's machine.
pub(super) struct Member {
    pub(super) disk: MemoryDisk,
    pub(super) process: Option<Process>,
    /// Tells when the process that was stopped last has ended.
    pub(super) ended: Option<CancellationToken>,
}

/// A running controller.
#[derive(Clone)]
pub struct Process {
    /// Which.
    pub id: ControllerId,
    /// The product.
    pub controller: Arc<Controller>,
    /// Cancelled when the process crashes or stops: whoever talks to it gets no answer any more.
    pub gone: CancellationToken,
    disk: MemoryDisk,
    stop: CancellationToken,
    ended: CancellationToken,
    _network: Arc<SimNetwork>,
    _observer: Arc<AbortOnDropHandle<()>>,
}

/// The name and address of a controller.
pub(super) fn name(id: ControllerId) -> String {
    format!("c{id}")
}

/// The address under which a controller joins.
pub(super) fn address(id: ControllerId) -> String {
    name(id)
}

impl Process {
    /// Its name.
    pub fn name(&self) -> String {
        name(self.id)
    }

    /// Its part in the Raft group.
    pub fn raft(&self) -> RaftStatus {
        self.controller.raft_status()
    }

    /// Its copy of the state.
    pub fn state(&self) -> Arc<State> {
        self.controller.store().current()
    }
}

impl World {
    /// Starts a controller on what its disk holds; `bootstrap` is the first entry of a new cluster.
    ///
    /// # Errors
    /// When it does not start, which no fault excuses.
    pub async fn start_controller(
        self: &Arc<Self>,
        id: ControllerId,
        bootstrap: Option<Proposal>,
    ) -> Result<Process> {
        let (disk, before) = self.machine(id);
        if let Some(ended) = before {
            let waited = tokio::time::timeout(STOPS_WITHIN, ended.cancelled()).await;
            ensure!(waited.is_ok(), "{} did not stop within {STOPS_WITHIN:?}", name(id));
        }
        let network = self.net.endpoint(&name(id), Some(Identity::controller(CLUSTER, id)));
        let parts = self.parts(id, &network, disk.clone(), bootstrap);
        let controller = Controller::start(parts).await.with_context(|| format!("starting {}", name(id)))?;
        let controller = Arc::new(controller);
        network.set_policy(members_only(controller.store().clone()));
        let process = self.run(id, controller, disk, network);
        self.members().get_mut(&id).expect("its machine was made above").process = Some(process.clone());
        self.map().start(&name(id), Instant::now());
        self.verdict.note(format!("{} is up", name(id)));
        Ok(process)
    }

    fn machine(&self, id: ControllerId) -> (MemoryDisk, Option<CancellationToken>) {
        let mut members = self.members();
        let member = members.entry(id).or_insert_with(|| Member {
            disk: MemoryDisk::default(),
            process: None,
            ended: None,
        });
        (member.disk.clone(), member.ended.take())
    }

    fn parts(
        &self,
        id: ControllerId,
        network: &Arc<SimNetwork>,
        disk: MemoryDisk,
        bootstrap: Option<Proposal>,
    ) -> Parts {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Parts {
            id,
            addresses: Addresses {
                quic: nowhere,
                api: nowhere,
                advertise_quic: address(id),
                advertise_api: format!("api-of-{}", name(id)),
            },
            cluster_key: Arc::clone(&self.cluster_key),
            catalogue: Arc::new(Catalogue::builtin()),
            policies: Policies::builtin(),
            ca: CaFingerprint::from_bytes([1; 32]),
            network: Arc::clone(network) as _,
            storage: Storage::Memory(disk),
            clock: Arc::new(self.clock),
            pace: Pace::default(),
            host_certificate: omni_certs::lifetimes::HOST,
            metrics: Arc::new(String::new),
            bootstrap,
        }
    }

    /// Serves in the background. Ending without having been told to is a violation.
    fn run(
        self: &Arc<Self>,
        id: ControllerId,
        controller: Arc<Controller>,
        disk: MemoryDisk,
        network: Arc<SimNetwork>,
    ) -> Process {
        let (stop, gone, ended) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let observer = tokio::spawn(Arc::clone(self).observe(id, controller.store().clone()));
        let process = Process {
            id,
            controller: Arc::clone(&controller),
            gone: gone.clone(),
            disk,
            stop: stop.clone(),
            ended: ended.clone(),
            _network: network,
            _observer: Arc::new(AbortOnDropHandle::new(observer)),
        };
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let result = controller.run(stop.cancelled()).await;
            if !gone.is_cancelled() {
                let result = result.and(Err(std::io::Error::other("nobody told it to")));
                world.verdict.check(result.with_context(|| format!("{} stopped by itself", name(id))));
            }
            ended.cancel();
        });
        process
    }

    /// Shows every state that a controller publishes to the invariants.
    async fn observe(self: Arc<Self>, id: ControllerId, store: Store) {
        let mut applied = store.watch();
        self.invariants().process_started(id);
        loop {
            let seen = self.invariants().state_published(&self, id, &store.current());
            self.verdict.check(seen);
            if applied.changed().await.is_err() {
                return;
            }
        }
    }

    /// Kills a controller: what it had not synced is lost, and nobody is told.
    pub fn crash_controller(&self, id: ControllerId) {
        let mut members = self.members();
        let Some(member) = members.get_mut(&id) else { return };
        let Some(process) = member.process.take() else { return };
        self.net.crash(&name(id));
        member.disk = process.disk.survivor();
        // What is left of it can reach neither network nor disk, and ends in its own time.
        member.ended = None;
        drop(members);
        self.map().stop(&name(id), Instant::now());
        process.gone.cancel();
        process.controller.stopping().cancel();
        process.stop.cancel();
        self.verdict.note(format!("{} crashes", name(id)));
    }

    /// Tells a controller to stop. It hands leadership over first.
    pub fn stop_controller(&self, id: ControllerId) {
        let mut members = self.members();
        let Some(member) = members.get_mut(&id) else { return };
        let Some(process) = member.process.take() else { return };
        member.ended = Some(process.ended.clone());
        drop(members);
        self.map().stop(&name(id), Instant::now());
        process.gone.cancel();
        process.stop.cancel();
        self.verdict.note(format!("{} is told to stop", name(id)));
    }

    /// How long a controller's disk takes to sync.
    pub fn set_disk_latency(&self, id: ControllerId, latency: Duration) {
        if let Some(process) = self.members().get(&id).and_then(|member| member.process.as_ref()) {
            process.disk.set_sync_latency(latency);
        }
        self.map().disturb(Instant::now());
    }

    /// Forgets a controller that was removed from the cluster.
    pub fn scrap_controller(&self, id: ControllerId) {
        self.crash_controller(id);
        self.members().remove(&id);
    }
}

/// As in production: whoever was removed is turned away, but a controller that is just joining knows nobody.
fn members_only(store: Store) -> Policy {
    Arc::new(move |leaf| {
        let state = store.current();
        let joining =
            |id: ControllerId| !state.controllers.contains_key(&id) && id.0 >= state.next_controller;
        state.cluster.is_none()
            || matches!(leaf.identity.role, Role::Controller(id) if joining(id))
            || state.accepts_certificate(leaf.identity.role)
    })
}
