//! Connections from this controller to the others: dialled when needed, shared by all who need them.

use omni_certs::ExpectServer;
use omni_common::ids::ControllerId;
use omni_common::wire::CloseCode;
use omni_transport::{Connect, ConnectError, Connection, Network};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// A dial that takes longer has failed.
const DIAL_TIMEOUT: Duration = Duration::from_millis(1_500);
/// After this many calls in a row without an answer in time the connection is dropped: a peer that was
/// restarted on the same address does not know it, and would be silent until the idle timeout.
const STRIKES: u32 = 2;
/// A peer that could not be dialled is not dialled again for this long; whoever asks meanwhile is told so at
/// once instead of waiting in line for the same answer.
const REDIAL: Duration = Duration::from_millis(250);

/// A peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The dial failed.
    #[error("cannot connect to controller {to} at {address}: {source}")]
    Dial {
        to: ControllerId,
        address: String,
        #[source]
        source: ConnectError,
    },
    /// The dial took too long.
    #[error("controller {to} at {address} does not answer")]
    Silent { to: ControllerId, address: String },
}

/// Connections of one protocol.
#[derive(Clone)]
pub(crate) struct Links {
    network: Arc<dyn Network>,
    alpn: &'static [u8],
    slots: Arc<Mutex<HashMap<ControllerId, Arc<Slot>>>>,
}

#[derive(Default)]
struct Slot {
    held: tokio::sync::Mutex<Held>,
    strikes: AtomicU32,
}

#[derive(Default)]
struct Held {
    live: Option<(String, Connection)>,
    /// When the last dial failed.
    failed: Option<Instant>,
}

impl Links {
    /// Links over `network` for one protocol.
    pub(crate) fn new(network: Arc<dyn Network>, alpn: &'static [u8]) -> Self {
        Self { network, alpn, slots: Arc::default() }
    }

    fn slot(&self, to: ControllerId) -> Arc<Slot> {
        Arc::clone(self.slots.lock().expect("no holder of this lock panics").entry(to).or_default())
    }

    /// The live connection to a controller, or a new one. Callers at the same time share one dial, and a
    /// caller that gives up does not stop it: the next one finds the connection made.
    pub(crate) async fn get(&self, to: ControllerId, address: &str) -> Result<Connection, LinkError> {
        let slot = self.slot(to);
        if let Some(connection) = slot.held.lock().await.usable(address) {
            return Ok(connection);
        }
        let dial =
            Dial { network: Arc::clone(&self.network), alpn: self.alpn, to, address: address.to_owned() };
        let dialled = tokio::spawn(dial.run(slot));
        dialled.await.unwrap_or_else(|_| Err(LinkError::Silent { to, address: address.to_owned() }))
    }

    /// A call over `connection` was answered.
    pub(crate) fn answered(&self, to: ControllerId) {
        self.slot(to).strikes.store(0, Ordering::Relaxed);
    }

    /// A call over `connection` was not answered in time.
    pub(crate) fn unanswered(&self, to: ControllerId, connection: &Connection) {
        if self.slot(to).strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES {
            connection.close(CloseCode::Stalled, "calls are not answered");
        }
    }

    /// Drops the connection to a controller that was removed.
    pub(crate) async fn forget(&self, to: ControllerId, code: CloseCode, reason: &str) {
        let slot = self.slots.lock().expect("no holder of this lock panics").remove(&to);
        if let Some(slot) = slot
            && let Some((_, connection)) = slot.held.lock().await.live.take()
        {
            connection.close(code, reason);
        }
    }
}

impl Held {
    fn usable(&self, address: &str) -> Option<Connection> {
        let (at, connection) = self.live.as_ref()?;
        (at == address && !connection.is_closed()).then(|| connection.clone())
    }
}

struct Dial {
    network: Arc<dyn Network>,
    alpn: &'static [u8],
    to: ControllerId,
    address: String,
}

impl Dial {
    async fn run(self, slot: Arc<Slot>) -> Result<Connection, LinkError> {
        let mut held = slot.held.lock().await;
        if let Some(connection) = held.usable(&self.address) {
            return Ok(connection);
        }
        if held.failed.is_some_and(|failed| failed.elapsed() < REDIAL) {
            return Err(LinkError::Silent { to: self.to, address: self.address });
        }
        let connect = Connect::Mesh(ExpectServer::Controller(self.to));
        let dial = self.network.connect(&self.address, self.alpn, connect);
        let error = match tokio::time::timeout(DIAL_TIMEOUT, dial).await {
            Ok(Ok(connection)) => {
                slot.strikes.store(0, Ordering::Relaxed);
                *held = Held { live: Some((self.address, connection.clone())), failed: None };
                return Ok(connection);
            }
            Ok(Err(source)) => LinkError::Dial { to: self.to, address: self.address, source },
            Err(_) => LinkError::Silent { to: self.to, address: self.address },
        };
        held.failed = Some(Instant::now());
        Err(error)
    }
}
