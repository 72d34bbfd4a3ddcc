//! Reaching one of several controllers quickly, though some of them may be dead without saying so.
//!
//! Each address gets a head start; when it has not answered by then the next is dialled beside it. Only the
//! dialling races: the first connection to come up says hello and the others are given up, to be dialled again
//! should it not work out. So a host never has two sessions at once, nor a connection that stays mute.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use omni_certs::ExpectServer;
use omni_common::wire::{ALPN_AGENT, ControllerAddress};
use omni_transport::{Connect, ConnectError, Connection, Network};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Head start of one address over the next: longer than a handshake across a continent.
const HEAD_START: Duration = Duration::from_millis(250);
/// An address that has not answered after this long is given up.
const GIVE_UP: Duration = Duration::from_secs(4);

/// One dialled controller and what came of it.
pub(super) struct Dialled {
    pub(super) controller: ControllerAddress,
    pub(super) outcome: Result<Connection, ConnectError>,
}

/// Dials addresses in order. Dropping it abandons what is under way.
pub(super) struct Dialer {
    network: Arc<dyn Network>,
    waiting: VecDeque<ControllerAddress>,
    under_way: FuturesUnordered<BoxFuture<'static, Dialled>>,
    /// Who is being dialled, in order.
    dialling: Vec<ControllerAddress>,
}

impl Dialer {
    pub(super) fn new(network: Arc<dyn Network>, order: Vec<ControllerAddress>) -> Self {
        Self { network, waiting: order.into(), under_way: FuturesUnordered::new(), dialling: Vec::new() }
    }

    /// The next controller that answered or failed; absent when all have.
    pub(super) async fn next(&mut self) -> Option<Dialled> {
        if self.under_way.is_empty() {
            self.dial_next();
        }
        let dialled = loop {
            if self.waiting.is_empty() {
                break self.under_way.next().await?;
            }
            match tokio::time::timeout(HEAD_START, self.under_way.next()).await {
                Ok(dialled) => break dialled?,
                Err(_) => self.dial_next(),
            }
        };
        self.dialling.retain(|controller| *controller != dialled.controller);
        if dialled.outcome.is_ok() {
            self.put_back();
        }
        Some(dialled)
    }

    fn dial_next(&mut self) {
        let Some(controller) = self.waiting.pop_front() else {
            return;
        };
        self.dialling.push(controller.clone());
        let network = self.network.clone();
        self.under_way.push(Box::pin(async move {
            let outcome = dial(network.as_ref(), &controller).await;
            Dialled { controller, outcome }
        }));
    }

    /// Gives up what is under way; it comes first again, should this go on.
    fn put_back(&mut self) {
        self.under_way.clear();
        for controller in self.dialling.drain(..).rev() {
            self.waiting.push_front(controller);
        }
    }
}

async fn dial(network: &dyn Network, controller: &ControllerAddress) -> Result<Connection, ConnectError> {
    // At an address that is known, another controller of the cluster may answer than the one that was there: controllers
    // that were restored from a copy have new numbers. Each of them may be believed as much as any other.
    let how = Connect::Mesh(ExpectServer::AnyController);
    let connecting = network.connect(&controller.quic, ALPN_AGENT, how);
    tokio::time::timeout(GIVE_UP, connecting)
        .await
        .unwrap_or_else(|_| Err(ConnectError::TimedOut { address: controller.quic.clone(), waited: GIVE_UP }))
}
