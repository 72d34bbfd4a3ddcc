//! Tells the other controllers what this gateway's agents report.
//!
//! ```text
//! publish ──▶ one bounded queue a controller ──▶ Observe stream: everything known first, then each frame
//! ```
//!
//! A controller that falls behind loses its queue and gets everything anew: memory stays bounded and nothing
//! is silently missing.

use super::observed::ObservedHosts;
use super::sessions::Sessions;
use crate::peer::wire::{Observed, PeerCall};
use crate::peer::{PeerClient, PeerError};
use crate::store::Store;
use backon::{BackoffBuilder, ExponentialBuilder};
use omni_common::ids::ControllerId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Frames waiting for one controller.
const QUEUE: usize = 4_096;

struct Replica {
    address: String,
    queue: mpsc::Sender<Arc<PeerCall>>,
    _task: AbortOnDropHandle<()>,
}

/// Streams to all other controllers.
pub(crate) struct Replicas {
    me: ControllerId,
    store: Store,
    peers: PeerClient,
    observed: Arc<ObservedHosts>,
    sessions: Arc<Sessions>,
    replicas: Mutex<BTreeMap<ControllerId, Replica>>,
}

impl Replicas {
    pub(crate) fn new(
        me: ControllerId,
        store: Store,
        peers: PeerClient,
        observed: Arc<ObservedHosts>,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self { me, store, peers, observed, sessions, replicas: Mutex::default() }
    }

    /// Queues an observation for every other controller. One whose queue is full starts anew.
    pub(crate) fn publish(&self, observed: Observed) {
        let call = Arc::new(PeerCall::Observed(observed));
        let mut behind = Vec::new();
        {
            let replicas = self.replicas.lock().expect("no holder of this lock panics");
            for (id, replica) in replicas.iter() {
                if replica.queue.try_send(Arc::clone(&call)).is_err() {
                    behind.push(*id);
                }
            }
        }
        for id in behind {
            tracing::warn!(peer = %id, "a controller does not keep up with observations and starts anew");
            self.restart(id);
        }
    }

    /// Keeps one stream for each other controller, until told to stop.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut applied = self.store.watch();
        loop {
            self.follow_members();
            tokio::select! {
                changed = applied.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    fn follow_members(&self) {
        let state = self.store.current();
        let mut replicas = self.replicas.lock().expect("no holder of this lock panics");
        replicas.retain(|id, replica| state.controllers.get(id).is_some_and(|c| c.quic == replica.address));
        for (id, controller) in &state.controllers {
            if *id != self.me && !replicas.contains_key(id) {
                replicas.insert(*id, self.start(*id, controller.quic.clone()));
            }
        }
    }

    fn restart(&self, id: ControllerId) {
        let mut replicas = self.replicas.lock().expect("no holder of this lock panics");
        if let Some(old) = replicas.remove(&id) {
            replicas.insert(id, self.start(id, old.address));
        }
    }

    fn start(&self, id: ControllerId, address: String) -> Replica {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let feed = Feed {
            id,
            address: address.clone(),
            peers: self.peers.clone(),
            observed: Arc::clone(&self.observed),
            sessions: Arc::clone(&self.sessions),
        };
        Replica { address, queue, _task: AbortOnDropHandle::new(tokio::spawn(feed.run(waiting))) }
    }
}

struct Feed {
    id: ControllerId,
    address: String,
    peers: PeerClient,
    observed: Arc<ObservedHosts>,
    sessions: Arc<Sessions>,
}

impl Feed {
    /// Streams until the queue's other end is gone; reconnects with growing, jittered pauses.
    async fn run(self, mut waiting: mpsc::Receiver<Arc<PeerCall>>) {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .without_max_times();
        let mut pauses = backoff.build();
        loop {
            match self.stream(&mut waiting).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(peer = %self.id, error = %error, "observations are not delivered")
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_secs(5))).await;
            // What queued up meanwhile is in the listing that comes first.
            while waiting.try_recv().is_ok() {}
        }
    }

    async fn stream(&self, waiting: &mut mpsc::Receiver<Arc<PeerCall>>) -> Result<(), PeerError> {
        let (mut calls, _) = self.peers.open(self.id, &self.address, &PeerCall::Observe).await?;
        for session in self.sessions.all() {
            let opened = Observed::Session { host: session.host, session: session.id };
            calls.send(&PeerCall::Observed(opened)).await?;
            for frame in self.observed.frames(session.host) {
                let frame = Observed::Frame { host: session.host, frame: Box::new(frame) };
                calls.send(&PeerCall::Observed(frame)).await?;
            }
        }
        while let Some(call) = waiting.recv().await {
            calls.send(&call).await?;
        }
        Ok(())
    }
}
