//! The agents connected to this gateway.

use omni_common::ids::{BootId, HostId, SessionId};
use omni_common::wire::{AgentRequest, CloseCode, GatewayFrame, Lease};
use omni_transport::Connection;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};

/// One agent's session.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) host: HostId,
    pub(crate) boot: BootId,
    pub(crate) connection: Connection,
    /// Frames for its control stream; a full queue means that the agent does not read.
    pub(crate) control: mpsc::Sender<GatewayFrame>,
    /// The newest lease the leader granted, and the generation of the host's list that it holds for.
    pub(crate) lease: watch::Sender<Option<(Lease, u64)>>,
    /// The agent runs allocations.
    pub(crate) runs: bool,
    /// The agent does backups and their kin.
    pub(crate) backups: bool,
    /// The agent lists what is in snapshots.
    pub(crate) files: bool,
}

impl Session {
    /// Whether the agent said that it knows how to answer such a request.
    pub(crate) fn answers(&self, request: &AgentRequest) -> bool {
        match request {
            AgentRequest::Files(_) => self.files,
            _ => true,
        }
    }
}

/// All sessions, by host. A host has at most one here.
#[derive(Default)]
pub(crate) struct Sessions {
    by_host: Mutex<BTreeMap<HostId, Arc<Session>>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Arc<Session>>> {
        self.by_host.lock().expect("no holder of this lock panics")
    }

    /// Takes a session in; an older one of the same host is closed.
    pub(crate) fn open(&self, session: Arc<Session>) {
        let mut sessions = self.lock();
        if let Some(older) = sessions.insert(session.host, session) {
            older.connection.close(CloseCode::Superseded, "a newer session of this host took over");
        }
        gauge(sessions.len());
    }

    /// Takes a session off, unless a newer one has its place.
    pub(crate) fn close(&self, session: &Session) {
        let mut sessions = self.lock();
        if sessions.get(&session.host).is_some_and(|held| held.id == session.id) {
            sessions.remove(&session.host);
        }
        gauge(sessions.len());
    }

    /// The session of a host.
    pub(crate) fn get(&self, host: HostId) -> Option<Arc<Session>> {
        self.lock().get(&host).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn gauge(count: usize) {
    metrics::gauge!(crate::metrics::SESSIONS).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}
