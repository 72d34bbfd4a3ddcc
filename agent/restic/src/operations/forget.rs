//! Snapshots that go.

use super::Call;
use crate::failure::{Error, Operation};
use crate::report::ForgetGroup;
use crate::repository::Repository;
use crate::request::{Retention, SnapshotId};
use crate::restic::Restic;
use std::ffi::OsString;

/// Most snapshots removed by name at once: they all stand on one command line.
const MAX_IDS: usize = 500;

impl Restic {
    /// Removes the snapshots that no rule keeps, and says group by group what stays and what went. Their data
    /// stays until a prune.
    pub async fn forget(
        &self,
        repository: &Repository,
        retention: &Retention,
    ) -> Result<Vec<ForgetGroup>, Error> {
        let args = retention.args()?;
        let repository = repository.clone();
        let forget = self.start(|task| async move {
            task.json(Call::new(Operation::Plain("forget"), &repository, args)).await
        });
        forget.end().await
    }

    /// Removes these snapshots. Ends well only when all of them were there, and are gone.
    pub async fn forget_snapshots(&self, repository: &Repository, ids: &[SnapshotId]) -> Result<(), Error> {
        if ids.is_empty() || ids.len() > MAX_IDS {
            let count = ids.len();
            return Err(Error::Invalid(format!(
                "1 to {MAX_IDS} snapshots can be removed at once, not {count}"
            )));
        }
        let ids: Vec<_> = ids.iter().map(|id| OsString::from(id.as_str())).collect();
        let repository = repository.clone();
        let forget = self.start(|task| async move {
            task.text(Call::plain(&repository, ["forget", "--"]).with(ids)).await.map(drop)
        });
        forget.end().await
    }
}
