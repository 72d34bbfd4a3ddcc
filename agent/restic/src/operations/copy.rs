//! Copies in other repositories.

use super::{Call, Task};
use crate::failure::{Error, Operation};
use crate::report::{CopiedSnapshot, CopyReport, Snapshot};
use crate::repository::Repository;
use crate::request::{Copy, Filter, SnapshotId};
use crate::restic::Restic;
use crate::running::Running;
use std::collections::{BTreeMap, BTreeSet};

/// Most snapshots copied by one call of restic: they all stand on one command line.
const MAX_IDS: usize = 500;

impl Restic {
    /// Copies snapshots from one repository into another, and looks whether they are there. What is there
    /// already is not copied again. The copy has an id of its own; [`Snapshot::origin`] says what it is a
    /// copy of.
    pub fn copy(&self, from: &Repository, to: &Repository, copy: &Copy) -> Running<CopyReport> {
        let (from, to, copy) = (from.clone(), to.clone(), copy.clone());
        self.start(|task| async move { task.copy(&from, &to, &copy).await })
    }
}

impl Task {
    async fn copy(&self, from: &Repository, to: &Repository, copy: &Copy) -> Result<CopyReport, Error> {
        let sources = self.chosen(from, copy).await?;
        let before = self.copies(to).await?;
        let missing: Vec<_> = sources.iter().filter(|source| !before.contains_key(source.origin())).collect();
        for part in missing.chunks(MAX_IDS) {
            let args = copy.args(part.iter().map(|source| &source.id));
            let call = Call { from: Some(from), ..Call::new(Operation::Plain("copy"), to, args) };
            self.lines(call, |_| None).await?;
        }
        let after = if missing.is_empty() { before.clone() } else { self.copies(to).await? };
        report(&sources, &before, &after, to)
    }

    async fn chosen(&self, from: &Repository, copy: &Copy) -> Result<Vec<Snapshot>, Error> {
        let all = if copy.snapshots.is_empty() { copy.filter.args() } else { Filter::default().args() };
        let mut listed = self.json::<Vec<Snapshot>>(Call::plain(from, ["snapshots"]).with(all)).await?;
        if copy.snapshots.is_empty() {
            return Ok(listed);
        }
        let wanted: BTreeSet<_> = copy.snapshots.iter().collect();
        for id in &wanted {
            if !listed.iter().any(|snapshot| is(snapshot, id)) {
                let repository = from.location().to_string();
                return Err(Error::SnapshotMissing { repository, detail: id.to_string() });
            }
        }
        listed.retain(|snapshot| wanted.iter().any(|id| is(snapshot, id)));
        Ok(listed)
    }

    /// What is there, by what it is a copy of.
    async fn copies(&self, to: &Repository) -> Result<BTreeMap<SnapshotId, SnapshotId>, Error> {
        let listed = self.json::<Vec<Snapshot>>(Call::plain(to, ["snapshots"])).await?;
        Ok(listed.into_iter().map(|snapshot| (snapshot.origin().clone(), snapshot.id)).collect())
    }
}

fn is(snapshot: &Snapshot, id: &SnapshotId) -> bool {
    snapshot.id.as_str().starts_with(id.as_str())
}

fn report(
    sources: &[Snapshot],
    before: &BTreeMap<SnapshotId, SnapshotId>,
    after: &BTreeMap<SnapshotId, SnapshotId>,
    to: &Repository,
) -> Result<CopyReport, Error> {
    let copied = |source: &Snapshot| {
        let copy = after.get(source.origin()).cloned().ok_or_else(|| Error::SnapshotMissing {
            repository: to.location().to_string(),
            detail: format!("{} was copied, and is not there", source.id),
        })?;
        let already_there = before.contains_key(source.origin());
        Ok(CopiedSnapshot { source: source.id.clone(), copy, already_there })
    };
    Ok(CopyReport { snapshots: sources.iter().map(copied).collect::<Result<_, _>>()? })
}
