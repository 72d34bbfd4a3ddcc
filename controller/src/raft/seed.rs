//! A group that begins from a state instead of from nothing, and the state that the disk of a stopped member holds.

use super::backend::{LogBackend, LogOp, RedbBackend};
use super::log_store::{self, encode};
use super::machine::invalid;
use super::snapshots::{FileSnapshots, SnapshotStore, StoredSnapshot};
use super::types::{LogId, Member, SnapshotMeta, StoredMembership, Vote};
use crate::state::{State, apply_to, snapshot};
use omni_common::ids::ControllerId;
use openraft::{EntryPayload, Membership};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where the log lies in a data folder.
pub(super) const LOG: &str = "raft.redb";
/// Where snapshots lie in a data folder.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// Term in which the state was agreed on, as the new group sees it. The old group's terms mean nothing to it.
const TERM: u64 = 1;

/// Writes the disk of the only member of a new group whose log goes on after `state`.
///
/// # Errors
/// When the folder holds a log already, or cannot be written.
pub(crate) fn seed(dir: &Path, id: ControllerId, quic: String, state: &State) -> io::Result<()> {
    let mut log = RedbBackend::open(&dir.join(LOG))?;
    if !log.load()?.entries.is_empty() {
        let message = format!("{} holds the log of another controller; nothing was changed", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let leader = openraft::impls::leader_id_adv::LeaderId { term: TERM, node_id: id };
    let last = LogId { leader_id: leader, index: state.index };
    let members = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, Member { quic })]))
        .map_err(io::Error::other)?;
    let meta =
        SnapshotMeta { last_log_id: Some(last), last_membership: StoredMembership::new(Some(last), members) };
    let data = Arc::new(snapshot::encode(state).map_err(invalid)?);
    FileSnapshots::open(&dir.join(SNAPSHOTS))?.save(&StoredSnapshot { meta, data })?;
    // The vote last: what it is of is on disk then.
    let vote = Vote::new_committed(TERM, id);
    log.commit(&[LogOp::Purge { upto: state.index, id: encode(&last)? }, LogOp::Vote(encode(&vote)?)])
}

/// The newest state that the disk of a stopped controller knows: its snapshot, and every entry of its log. The last few
/// entries may never have been agreed on; whatever was acknowledged and had reached this disk is among them.
///
/// # Errors
/// When there is nothing, or it cannot be read.
pub(crate) fn newest(dir: &Path) -> io::Result<State> {
    let stored = FileSnapshots::open(&dir.join(SNAPSHOTS))?.load()?;
    let (mut state, after) = match stored {
        Some(stored) => {
            let state = snapshot::decode(&stored.data).map_err(invalid)?;
            (state, stored.meta.last_log_id.map_or(0, |id| id.index))
        }
        None => (State::default(), 0),
    };
    let entries = log_store::entries(RedbBackend::open(&dir.join(LOG))?.load()?)?;
    for (index, entry) in entries.into_iter().filter(|(index, _)| *index > after) {
        if let EntryPayload::Normal(data) = &entry.payload {
            state = apply_to(state, index, &data.0).0;
        }
    }
    Ok(state)
}
