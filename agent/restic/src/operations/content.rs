//! What is in a repository, and out of it again.

use super::Call;
use crate::failure::{Error, Operation};
use crate::process::{Ended, LineReader};
use crate::report::{EntryLines, Listing, RestoreLines, RestoreReport, Snapshot};
use crate::repository::Repository;
use crate::request::{Filter, Restore, SnapshotId};
use crate::restic::Restic;
use crate::running::Running;
use std::io;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes moved at once.
const CHUNK: usize = 64 << 10;

impl Restic {
    /// The snapshots that a filter chooses, oldest first.
    pub async fn snapshots(&self, repository: &Repository, filter: &Filter) -> Result<Vec<Snapshot>, Error> {
        let (repository, args) = (repository.clone(), filter.args());
        let list = self.start(|task| async move {
            task.json::<Vec<Snapshot>>(Call::plain(&repository, ["snapshots"]).with(args)).await
        });
        let mut snapshots = list.end().await?;
        snapshots.sort_by_key(|snapshot| snapshot.time);
        Ok(snapshots)
    }

    /// One snapshot.
    pub async fn snapshot(&self, repository: &Repository, id: &SnapshotId) -> Result<Snapshot, Error> {
        let (repository, id) = (repository.clone(), id.clone());
        let found = self.start(|task| async move {
            let call = Call::plain(&repository, ["snapshots", "--"]).with([id.as_str()]);
            let found = task.json::<Vec<Snapshot>>(call).await?;
            found.into_iter().next().ok_or_else(|| Error::SnapshotMissing {
                repository: repository.location().to_string(),
                detail: id.to_string(),
            })
        });
        found.end().await
    }

    /// What is in a snapshot, below a folder or below `/`: at most `most` entries.
    pub async fn list(
        &self,
        repository: &Repository,
        snapshot: &SnapshotId,
        folder: Option<&Path>,
        most: usize,
    ) -> Result<Listing, Error> {
        if folder.is_some_and(|folder| !folder.is_absolute()) {
            return Err(Error::Invalid("a folder in a snapshot is named from /".into()));
        }
        let (repository, snapshot) = (repository.clone(), snapshot.clone());
        let folder = folder.map(Path::to_owned);
        let list = self.start(|task| async move {
            let call =
                Call::plain(&repository, ["ls", "--recursive", "--"]).with([snapshot.as_str()]).with(folder);
            let operation = call.operation;
            let stop = task.cancel.child_token();
            let read = async |stdout| {
                let mut entries = EntryLines::new(most);
                let mut lines = LineReader::new(stdout);
                while let Ok(Some(line)) = lines.next().await {
                    if !entries.line(&line) {
                        // Enough. Asked to end, restic gives up its lock; the rest is read and dropped.
                        stop.cancel();
                    }
                }
                entries.listing()
            };
            match task.run(call, &stop, read).await? {
                Ended { output: Some(listing), .. } if listing.truncated && !task.cancel.is_cancelled() => {
                    Ok(listing)
                }
                ended => Ok(task.judge(operation, &repository, ended)?.0),
            }
        });
        list.end().await
    }

    /// Restores files. What could not be written makes it fail as [`Error::Incomplete`], with the list.
    pub fn restore(
        &self,
        repository: &Repository,
        restore: &Restore,
    ) -> Result<Running<RestoreReport>, Error> {
        let args = restore.args(self.version())?;
        let repository = repository.clone();
        Ok(self.start(|task| async move {
            let mut lines = RestoreLines::default();
            let call = Call::new(Operation::Restore, &repository, args);
            task.lines(call, |line| lines.line(line)).await?;
            Ok(lines.report())
        }))
    }

    /// Writes a file of a snapshot, or a folder as tar, into `to`, and says how many bytes. What has been
    /// written is worth something only when this ends well.
    pub fn dump(
        &self,
        repository: &Repository,
        snapshot: &SnapshotId,
        path: &Path,
        to: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Running<u64>, Error> {
        if !path.is_absolute() {
            return Err(Error::Invalid("a path in a snapshot is named from /".into()));
        }
        let (repository, snapshot, path) = (repository.clone(), snapshot.clone(), path.to_owned());
        Ok(self.start(|task| async move {
            let call = Call::new(Operation::Dump, &repository, vec!["dump".into(), "--".into()])
                .with([snapshot.as_str().into(), path.into_os_string()]);
            let stop = task.cancel.child_token();
            let read = async |stdout| {
                let written = pour(stdout, to).await;
                if written.is_err() {
                    stop.cancel();
                }
                written
            };
            let ended = task.run(call, &stop, read).await?;
            match ended.output {
                Some(Err(source)) => Err(Error::Io { doing: "writing what restic read", source }),
                _ => match task.judge(Operation::Dump, &repository, ended)?.0 {
                    Ok(count) => Ok(count),
                    Err(source) => Err(Error::Io { doing: "writing what restic read", source }),
                },
            }
        }))
    }
}

async fn pour(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut written = 0;
    loop {
        match from.read(&mut buffer).await? {
            0 => break,
            count => {
                to.write_all(&buffer[..count]).await?;
                written += count as u64;
            }
        }
    }
    to.shutdown().await?;
    Ok(written)
}
