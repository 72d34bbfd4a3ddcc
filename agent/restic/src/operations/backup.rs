//! Backups.

use super::{Call, Task};
use crate::failure::{Error, Operation};
use crate::process::{Input, Source};
use crate::report::{BackupLines, BackupReport, Snapshot};
use crate::repository::Repository;
use crate::request::{Backup, SnapshotId, StreamBackup};
use crate::restic::Restic;
use crate::running::Running;
use std::ffi::OsString;

impl Restic {
    /// Backs up files. Files that cannot be read make the report partial, not the backup fail.
    pub fn backup(&self, repository: &Repository, backup: &Backup) -> Result<Running<BackupReport>, Error> {
        let args = backup.args(self.version())?;
        let repository = repository.clone();
        Ok(self.start(|task| async move { task.backup(&repository, args, Input::Empty).await }))
    }

    /// Backs up a stream. There is a snapshot only when the source has ended well and had something: not when
    /// it fails, not when this is cancelled, and not when this process is killed.
    pub fn backup_stream(
        &self,
        repository: &Repository,
        backup: &StreamBackup,
        source: Source,
    ) -> Running<BackupReport> {
        let args = backup.args();
        let repository = repository.clone();
        self.start(|task| async move { task.backup(&repository, args, Input::Stream(source)).await })
    }
}

impl Task {
    async fn backup(
        &self,
        repository: &Repository,
        args: Vec<OsString>,
        input: Input,
    ) -> Result<BackupReport, Error> {
        let mut lines = BackupLines::default();
        let call = Call { input, ..Call::new(Operation::Backup, repository, args) };
        let findings = self.lines(call, |line| lines.line(line)).await?;
        let Some(mut report) = lines.report() else {
            return Err(Error::Answer { operation: "backup", detail: "there is no summary in it".into() });
        };
        report.unreadable = findings.into_files();
        if let Some(short) = report.snapshot.as_ref().filter(|id| !id.is_whole()) {
            report.snapshot = Some(self.whole_id(repository, short).await);
        }
        Ok(report)
    }

    /// The whole id of a snapshot that restic before 0.17 names by eight digits. The backup is there whatever
    /// comes of this, so a failure leaves the short one, which restic takes too.
    async fn whole_id(&self, repository: &Repository, short: &SnapshotId) -> SnapshotId {
        let call = Call::plain(repository, ["snapshots", "--no-lock", "--"]).with([short.as_str()]);
        match self.tidying().json::<Vec<Snapshot>>(call).await {
            Ok(found) if found.len() == 1 => found.into_iter().next().map_or(short.clone(), |found| found.id),
            Ok(found) => {
                tracing::warn!(snapshot = %short, count = found.len(), "short id of a new snapshot is not unique");
                short.clone()
            }
            Err(error) => {
                tracing::warn!(snapshot = %short, %error, "whole id of a new snapshot not found");
                short.clone()
            }
        }
    }
}
