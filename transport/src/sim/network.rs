//! An endpoint of the simulated network.

use crate::connection::{Connection, Link as Carrier};
use crate::error::{Closed, ClosedBy, ConnectError};
use crate::network::{Connect, Network};
use crate::quic::{NEWCOMER_STREAMS, QuicOptions};
use crate::rejections::Rejections;
use crate::roles::check_role;
use crate::sim::link::{Limits, Link};
use crate::sim::stream::End;
use crate::sim::{SimNet, count};
use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use omni_certs::{CaFingerprint, ExpectServer, Identity, LeafInfo, MeshTls, Policy, Role};
use omni_common::clock::Time;
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL, CloseCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Mutex, mpsc, watch};

/// One endpoint: a process with one address.
pub struct SimNetwork {
    net: SimNet,
    name: String,
    leaf: ArcSwapOption<LeafInfo>,
    root: ArcSwapOption<CaFingerprint>,
    policy: ArcSwap<Policy>,
    rejections: Rejections,
    incoming: mpsc::Sender<Connection>,
    ready: Mutex<mpsc::Receiver<Connection>>,
    down: watch::Sender<bool>,
}

impl SimNetwork {
    pub(super) fn new(net: SimNet, name: String, identity: Option<Identity>) -> Arc<Self> {
        let (incoming, ready) = mpsc::channel(net.0.options.accept_queue);
        let own = identity.map(|identity| Arc::new(leaf(&net, identity)));
        let everyone: Policy = Arc::new(|_| true);
        Arc::new(Self {
            net,
            name,
            leaf: ArcSwapOption::from(own),
            root: ArcSwapOption::empty(),
            policy: ArcSwap::from_pointee(everyone),
            rejections: Rejections::default(),
            incoming,
            ready: Mutex::new(ready),
            down: watch::Sender::new(false),
        })
    }

    /// Its name, which is its address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it an identity, as enrolment would.
    pub fn set_identity(&self, identity: Identity) {
        self.leaf.store(Some(Arc::new(leaf(&self.net, identity))));
    }

    /// Sets who is welcome here, as [`MeshTls::set_policy`] does.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    pub(super) fn set_root(&self, root: CaFingerprint) {
        self.root.store(Some(Arc::new(root)));
    }

    pub(super) fn go_down(&self) {
        self.down.send_replace(true);
    }

    fn is_down(&self) -> bool {
        *self.down.borrow()
    }

    /// Waits for the way to `addr` to be open for a round trip.
    async fn reach(&self, addr: &str) -> Arc<Self> {
        let mut changes = self.net.0.changes.subscribe();
        loop {
            if self.net.topology().reach(&self.name, addr).is_some() {
                let extra = self.net.topology().extra(&self.name, addr);
                let round_trip = self.net.0.weather.latency() + self.net.0.weather.latency() + extra * 2;
                tokio::time::sleep(round_trip).await;
                if let Some(target) = self.net.topology().reach(&self.name, addr) {
                    return target;
                }
            }
            // The network outlives its endpoints, so there is always somebody to send the next change.
            changes.changed().await.ok();
        }
    }

    /// What a dialling side checks of the server; the answer is the server's leaf.
    fn check_server(&self, target: &Self, how: Connect<'_>) -> Result<LeafInfo, String> {
        let found = target.leaf.load_full().ok_or("the server has no certificate")?;
        let expect = match how {
            Connect::Mesh(expect) => expect,
            Connect::Enroll(_) => ExpectServer::AnyController,
        };
        let fits = match (expect, found.identity.role) {
            (ExpectServer::AnyController, Role::Controller(_)) => true,
            (ExpectServer::Controller(id), Role::Controller(other)) => id == other,
            (ExpectServer::Host(id), Role::Host(other)) => id == other,
            _ => false,
        };
        if !fits {
            return Err(format!("expected {expect}, but {} answered", found.identity));
        }
        let same_cluster = match how {
            Connect::Mesh(_) => {
                self.leaf.load().as_ref().is_some_and(|own| own.identity.cluster == found.identity.cluster)
            }
            Connect::Enroll(pin) => target.root.load().as_ref().is_none_or(|root| **root == *pin),
        };
        if same_cluster {
            Ok((*found).clone())
        } else {
            Err("the server belongs to another cluster".to_owned())
        }
    }

    /// Takes in a peer that has dialled, or turns it away.
    fn take_in(&self, connection: Connection) {
        let leaf = connection.peer_leaf();
        if leaf.as_ref().is_some_and(|leaf| !(self.policy.load())(leaf)) {
            count(&self.net.0.counters.refused);
            self.rejections.handshake_failed();
            return connection.close_uncounted(CloseCode::Revoked, "our identity has been revoked");
        }
        if let Err(code) = check_role(connection.alpn(), connection.peer()) {
            count(&self.net.0.counters.refused);
            return connection.close(code, "this certificate is not for this protocol");
        }
        match self.incoming.try_send(connection) {
            Ok(()) => count(&self.net.0.counters.connected),
            Err(mpsc::error::TrySendError::Full(refused) | mpsc::error::TrySendError::Closed(refused)) => {
                count(&self.net.0.counters.refused);
                refused.close(CloseCode::ShuttingDown, "no new connections are taken now");
            }
        }
    }

    fn handshake_failed(&self, addr: &str, reason: String) -> ConnectError {
        count(&self.net.0.counters.refused);
        let closed = Closed { code: CloseCode::UnknownPeer, reason, by: ClosedBy::Local };
        ConnectError::Handshake { address: addr.to_owned(), closed }
    }
}

#[async_trait]
impl Network for SimNetwork {
    async fn connect(
        &self,
        addr: &str,
        alpn: &'static [u8],
        how: Connect<'_>,
    ) -> Result<Connection, ConnectError> {
        if self.is_down() {
            return Err(ConnectError::ShutDown);
        }
        let own = match how {
            Connect::Mesh(_) => Some(self.leaf.load_full().ok_or(ConnectError::NoIdentity)?),
            Connect::Enroll(_) => None,
        };
        count(&self.net.0.counters.dialled);
        let waited = self.net.0.options.connect_timeout;
        let Ok(target) = tokio::time::timeout(waited, self.reach(addr)).await else {
            count(&self.net.0.counters.unanswered);
            return Err(ConnectError::TimedOut { address: addr.to_owned(), waited });
        };
        if self.is_down() {
            return Err(ConnectError::ShutDown);
        }
        let server = self.check_server(&target, how).map_err(|reason| self.handshake_failed(addr, reason))?;

        let link = Link::open(self.net.0.weather.clone(), limits(alpn, &self.net.0.options));
        self.net.topology().add_link(&self.name, addr, &link);
        let near = Carrier::Sim(End::new(link.clone(), 0, addr.to_owned()));
        let far = Carrier::Sim(End::new(link, 1, self.name.clone()));
        let own = own.map(|leaf| (*leaf).clone());
        target.take_in(Connection::new(far, alpn.to_vec(), own, target.rejections.clone()));
        Ok(Connection::new(near, alpn.to_vec(), Some(server), self.rejections.clone()))
    }

    async fn accept(&self) -> Option<Connection> {
        let mut down = self.down.subscribe();
        let mut ready = self.ready.lock().await;
        tokio::select! {
            biased;
            _ = down.wait_for(|down| *down) => None,
            connection = ready.recv() => connection,
        }
    }

    fn local_addr(&self) -> String {
        self.name.clone()
    }

    fn set_tls(&self, tls: MeshTls) {
        self.leaf.store(Some(Arc::new(tls.leaf())));
        self.set_root(tls.fingerprint());
    }

    fn rejections(&self) -> Rejections {
        self.rejections.clone()
    }

    async fn shutdown(&self, code: CloseCode, reason: &str) {
        if self.is_down() {
            // Crashed: its connections are gone, and its name may be another process's by now.
            return;
        }
        self.go_down();
        let links = self.net.topology().links_of(&self.name);
        for (link, side) in links {
            link.close(side, code, reason);
        }
        self.net.change(|topology| topology.remove(&self.name));
        // As long as it takes to tell the others.
        tokio::time::sleep(self.net.0.weather.latency()).await;
    }
}

/// Streams as in reality: few for an agent, more for its gateway, many between controllers.
fn limits(alpn: &[u8], options: &QuicOptions) -> Limits {
    match alpn {
        ALPN_ENROLL => Limits { idle: options.agent_idle, streams: [NEWCOMER_STREAMS, 0] },
        ALPN_AGENT => {
            Limits { idle: options.agent_idle, streams: [NEWCOMER_STREAMS, options.agent_requests] }
        }
        _ => Limits { idle: options.controller_idle, streams: [options.controller_streams; 2] },
    }
}

/// Stands in for a certificate: valid always, with a serial of its own.
fn leaf(net: &SimNet, identity: Identity) -> LeafInfo {
    let serial = net.0.counters.serials.fetch_add(1, Ordering::Relaxed);
    LeafInfo {
        identity,
        serial: format!("{serial:032x}"),
        not_before: Time::EPOCH,
        not_after: Time::from_millis(i64::MAX),
        public_key: [0; 32],
    }
}
