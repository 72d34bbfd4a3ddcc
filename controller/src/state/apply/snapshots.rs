//! What is known to lie in repositories.

use crate::state::model::{
    MAX_SNAPSHOTS_OF_ITEM, MAX_WITH_FACTS, Run, RunTask, Snapshot, SnapshotKey, State,
};
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemOutcome, RunState};
use std::sync::Arc;

/// What the items of a copy say about where they come from: the id of the snapshot that was copied.
const COPY_SOURCE: &str = "source";

/// Forgets what a run was to use and did not find: retention has been at it, or a person.
pub(super) fn not_found(state: &mut State, run: &Run) {
    let ids: Vec<&String> = match &run.task {
        RunTask::Copy { snapshots } => snapshots.iter().collect(),
        RunTask::Restore { items, .. } | RunTask::Drill { items, .. } => {
            items.iter().map(|item| &item.snapshot).collect()
        }
        _ => return,
    };
    let Some(app) = &run.app else { return };
    let gone: Vec<SnapshotKey> = state
        .snapshots_of(app)
        .map(|(key, _)| key)
        .filter(|key| key.repository == run.repository && ids.contains(&&key.id))
        .cloned()
        .collect();
    for key in gone {
        state.snapshots.remove(&key);
    }
}

/// Notes the snapshots that a run left.
pub(super) fn note(state: &mut State, run: &Run, items: &[ItemOutcome], at: Time) {
    let made = |item: &&ItemOutcome| matches!(item.state, RunState::Succeeded | RunState::Partial);
    match &run.task {
        RunTask::Backup { .. } => {
            for item in items.iter().filter(made) {
                taken(state, run, item, at);
            }
        }
        RunTask::Copy { snapshots } => {
            for item in items.iter().filter(made) {
                let source = item.facts.get(COPY_SOURCE).filter(|source| snapshots.contains(source));
                if let Some(from) = source {
                    copied(state, run, from, item, at);
                }
            }
        }
        _ => {}
    }
}

fn taken(state: &mut State, run: &Run, item: &ItemOutcome, at: Time) -> Option<()> {
    let (app, instance) = (run.app.clone()?, run.instance.clone()?);
    let key = SnapshotKey {
        app,
        // A host's clock may be ahead; nothing is newer than now.
        taken: item.taken.min(at),
        repository: run.repository.clone(),
        id: item.snapshot.clone()?,
    };
    let snapshot = Snapshot {
        instance,
        item: item.item.clone(),
        run: run.id,
        host: run.host?,
        release: run.release,
        whole: item.state == RunState::Succeeded,
        stored: at,
        bytes: item.bytes,
        added_bytes: item.added_bytes,
        files: item.files,
        facts: item.facts.clone(),
    };
    keep(state, key, snapshot);
    Some(())
}

fn copied(state: &mut State, run: &Run, from: &str, item: &ItemOutcome, at: Time) -> Option<()> {
    let source = state
        .snapshots_of(run.app.as_ref()?)
        .find(|(key, _)| key.repository == run.repository && key.id == from)
        .map(|(key, snapshot)| (key.clone(), Snapshot::clone(snapshot)));
    let (key, snapshot) = source?;
    let key = SnapshotKey { repository: run.to.clone()?, id: item.snapshot.clone()?, ..key };
    keep(state, key, Snapshot { stored: at, added_bytes: item.added_bytes, ..snapshot });
    Some(())
}

/// Keeps a snapshot, forgets the oldest of its kind beyond the bound, and facts of all but the newest.
fn keep(state: &mut State, key: SnapshotKey, snapshot: Snapshot) {
    let same = |other: &SnapshotKey, one: &Snapshot| {
        other.repository == key.repository && one.item == snapshot.item && one.instance == snapshot.instance
    };
    let mut others: Vec<SnapshotKey> = state
        .snapshots_of(&key.app)
        .rev()
        .filter(|(other, one)| same(other, one))
        .map(|(other, _)| other.clone())
        .collect();
    for old in others.split_off(others.len().min(MAX_SNAPSHOTS_OF_ITEM - 1)) {
        state.snapshots.remove(&old);
    }
    if let Some(old) = others.get(MAX_WITH_FACTS - 1)
        && let Some(old) = state.snapshots.get_mut(old).map(Arc::make_mut)
    {
        old.facts.clear();
    }
    state.snapshots.insert(key, Arc::new(snapshot));
}
