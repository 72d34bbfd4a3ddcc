//! The door: takes connections and hands each to whoever serves its protocol.

use super::events::ContainerEvents;
use super::guard::Connections;
use super::issuer::Issuer;
use super::observed::ObservedHosts;
use super::relay::Relay;
use super::replicas::Replicas;
use super::reports::Reports;
use super::runs::{Releases, RunReports};
use super::sessions::Sessions;
use super::{LeaderDuty, enroll, peers, session};
use crate::app::ports::{Propose, ProposeError};
use crate::coordinator::LeaderLink;
use crate::state::{Actor, Command, Outcome, Proposal};
use crate::store::Store;
use omni_certs::Role;
use omni_common::clock::{Clock, Time};
use omni_common::ids::{ControllerId, RequestId};
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL, ALPN_PEER, ALPN_RAFT, CloseCode};
use omni_transport::{Connection, Network};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Machines enrolling at the same time; more wait.
const ENROLLING: usize = 64;

/// Everything that connections of this controller share.
pub(crate) struct Gateway {
    pub(crate) me: ControllerId,
    pub(crate) store: Store,
    pub(crate) link: LeaderLink,
    pub(crate) proposer: Arc<dyn Propose>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) issuer: Issuer,
    pub(crate) duty: Arc<LeaderDuty>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) observed: Arc<ObservedHosts>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) events: Arc<ContainerEvents>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) run_reports: Arc<RunReports>,
    /// What releases hold for backups.
    pub(crate) releases: Arc<Releases>,
    pub(crate) connections: Connections,
    pub(crate) started: Time,
    pub(crate) stop: CancellationToken,
}

impl Gateway {
    /// Commits a command of omni's own or of a machine.
    pub(crate) async fn propose(&self, actor: Actor, command: Command) -> Result<Outcome, ProposeError> {
        let proposal =
            Proposal { request: RequestId::mint(), fingerprint: None, at: self.clock.now(), actor, command };
        Ok(self.proposer.propose(proposal).await?.outcome)
    }
}

/// Accepts until the network is shut down or `stop` says so; then waits for what is open to end.
pub(crate) async fn accept(gateway: Arc<Gateway>, network: Arc<dyn Network>) {
    let open = TaskTracker::new();
    let enrolling = Arc::new(Semaphore::new(ENROLLING));
    loop {
        let connection = tokio::select! {
            connection = network.accept() => connection,
            () = gateway.stop.cancelled() => None,
        };
        let Some(connection) = connection else { break };
        let (gateway, enrolling) = (Arc::clone(&gateway), Arc::clone(&enrolling));
        open.spawn(async move { serve(&gateway, connection, &enrolling).await });
    }
    open.close();
    open.wait().await;
}

async fn serve(gateway: &Arc<Gateway>, connection: Connection, enrolling: &Semaphore) {
    let alpn = connection.alpn().to_vec();
    if alpn == ALPN_ENROLL {
        let _turn = enrolling.acquire().await.expect("this semaphore is never closed");
        return enroll::serve(gateway, connection).await;
    }
    let Some(identity) = connection.peer() else {
        return connection.close(CloseCode::WrongRole, "this protocol needs a certificate");
    };
    let _listed = gateway.connections.add(identity.role, connection.clone());
    match (identity.role, alpn.as_slice()) {
        (Role::Host(host), ALPN_AGENT) => session::serve(gateway, connection, host).await,
        (Role::Controller(_), ALPN_RAFT) => {
            tokio::select! {
                () = gateway.link.node.serve(connection.clone()) => {}
                () = gateway.stop.cancelled() => {}
            }
        }
        (Role::Controller(from), ALPN_PEER) => {
            tokio::select! {
                () = peers::serve(gateway, connection.clone(), from) => {}
                () = gateway.stop.cancelled() => {}
            }
        }
        _ => connection.close(CloseCode::WrongRole, "this certificate is for another protocol"),
    }
}
