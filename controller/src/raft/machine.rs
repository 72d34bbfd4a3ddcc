//! The adapter between openraft and the pure [`apply_to()`]: entries in, published states out.

use super::snapshots::{SnapshotStore, StoredSnapshot};
use super::types::{Applied, LogId, Snapshot, SnapshotMeta, StoredMembership, Types};
use crate::state::{State, apply_to, snapshot};
use crate::store::{Publisher, Store};
use futures_util::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two tries to save a snapshot.
const SAVE_RETRY: Duration = Duration::from_secs(2);

/// The replicated state machine of one controller.
pub(crate) struct Machine {
    publisher: Publisher,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Arc<dyn SnapshotStore>,
}

impl Machine {
    /// Starts from the newest snapshot; the log brings the rest.
    pub(crate) fn open(snapshots: Arc<dyn SnapshotStore>) -> io::Result<(Self, Store)> {
        let (state, applied, membership) = match snapshots.load()? {
            Some(stored) => {
                let state = snapshot::decode(&stored.data).map_err(invalid)?;
                (state, stored.meta.last_log_id, stored.meta.last_membership)
            }
            None => (State::default(), None, StoredMembership::default()),
        };
        let (publisher, store) = Store::new(state);
        Ok((Self { publisher, applied, membership, snapshots }, store))
    }
}

pub(super) fn invalid(error: snapshot::SnapshotError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Arc<Vec<u8>>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    /// Applies what is there, publishes once, then answers: a reader woken by an answer sees its effect.
    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut state = State::clone(&self.publisher.current());
        let mut answers = Vec::new();
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let id = entry.log_id();
            let outcome = match &entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(data) => {
                    let (next, outcome) = apply_to(state, id.index, &data.0);
                    state = next;
                    Some(outcome)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(id), membership.clone());
                    None
                }
            };
            self.applied = Some(id);
            if let Some(responder) = responder {
                answers.push((responder, Applied { index: id.index, outcome }));
            }
        }
        if let Some(applied) = self.applied {
            self.publisher.publish(Arc::new(state), applied.index);
        }
        for (responder, answer) in answers {
            responder.send(answer);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            state: self.publisher.current(),
            meta: SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() },
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Arc<Vec<u8>>) -> io::Result<()> {
        let stored = StoredSnapshot { meta: meta.clone(), data };
        let snapshots = Arc::clone(&self.snapshots);
        let (stored, state) = blocking(move || {
            let state = snapshot::decode(&stored.data).map_err(invalid)?;
            save(snapshots.as_ref(), &stored);
            Ok((stored, state))
        })
        .await?;
        self.applied = stored.meta.last_log_id;
        self.membership = stored.meta.last_membership;
        let index = self.applied.map_or(0, |id| id.index);
        self.publisher.publish(Arc::new(state), index);
        tracing::info!(index, "installed a snapshot from the leader");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshots = Arc::clone(&self.snapshots);
        let stored = blocking(move || snapshots.load()).await?;
        Ok(stored.map(|stored| Snapshot { meta: stored.meta, snapshot: stored.data }))
    }
}

/// Writes one frozen state; apply goes on meanwhile.
pub(crate) struct Builder {
    state: Arc<State>,
    meta: SnapshotMeta,
    snapshots: Arc<dyn SnapshotStore>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Arc<Vec<u8>>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (state, meta, snapshots) =
            (Arc::clone(&self.state), self.meta.clone(), Arc::clone(&self.snapshots));
        blocking(move || {
            let data = Arc::new(snapshot::encode(&state).map_err(invalid)?);
            let stored = StoredSnapshot { meta, data };
            save(snapshots.as_ref(), &stored);
            Ok(Snapshot { meta: stored.meta, snapshot: stored.data })
        })
        .await
    }
}

/// Saves a snapshot, however long the disk takes to have room: an error would stop Raft here for good, and
/// until the snapshot is saved the log simply keeps its entries.
#[allow(clippy::disallowed_methods, reason = "this runs on a thread for blocking work")]
fn save(snapshots: &dyn SnapshotStore, stored: &StoredSnapshot) {
    let mut told = false;
    while let Err(error) = snapshots.save(stored) {
        if !std::mem::replace(&mut told, true) {
            tracing::error!(error = %error, "the snapshot cannot be saved, retrying");
        }
        std::thread::sleep(SAVE_RETRY);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| io::Error::other("a snapshot task was stopped"))?
}
