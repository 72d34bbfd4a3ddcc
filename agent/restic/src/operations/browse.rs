//! Looking around in a snapshot, folder by folder. Without a lock: who looks must neither wait for a prune nor make it
//! fail, and nothing is left behind in the repository whatever becomes of the listing.

use super::{Call, Task};
use crate::failure::Error;
use crate::process::{Ended, LineReader};
use crate::report::{Folder, FolderLines, TargetLines};
use crate::repository::Repository;
use crate::request::SnapshotId;
use crate::restic::Restic;
use std::path::Path;
use tokio::process::ChildStdout;

impl Restic {
    /// What is in one folder of a snapshot, without what is below: at most `most` entries after the first `skip`. A path
    /// where nothing is has an empty answer. With `most` zero it tells what the snapshot was made of.
    pub async fn browse(
        &self,
        repository: &Repository,
        snapshot: &SnapshotId,
        folder: &Path,
        skip: u64,
        most: usize,
    ) -> Result<Folder, Error> {
        if !folder.is_absolute() {
            return Err(Error::Invalid("a folder in a snapshot is named from /".into()));
        }
        let (repository, snapshot, folder) = (repository.clone(), snapshot.clone(), folder.to_owned());
        let browse = self.start(|task| async move {
            let mut lines = FolderLines::new(&folder, skip, most);
            let words = ["ls", "--no-lock", "--"];
            task.some_lines(&repository, &snapshot, &folder, words, |line| lines.line(line)).await?;
            let mut found = lines.folder();
            let mut targets = TargetLines::new(&found.entries);
            if !targets.is_done() {
                let words = ["ls", "--no-lock", "--long", "--json=false", "--"];
                task.some_lines(&repository, &snapshot, &folder, words, |line| targets.line(line)).await?;
            }
            found.targets = targets.targets();
            Ok(found)
        });
        browse.end().await
    }
}

impl Task {
    /// Hands on the lines of an answer until enough have come.
    async fn some_lines<const N: usize>(
        &self,
        repository: &Repository,
        snapshot: &SnapshotId,
        folder: &Path,
        words: [&'static str; N],
        mut take: impl FnMut(&str) -> bool + Send,
    ) -> Result<(), Error> {
        let call = Call::plain(repository, words).with([snapshot.as_str().as_ref(), folder.as_os_str()]);
        let operation = call.operation;
        let stop = self.cancel.child_token();
        let read = async |stdout: ChildStdout| {
            let mut lines = LineReader::new(stdout);
            let mut enough = false;
            while let Ok(Some(line)) = lines.next().await {
                if !enough && !take(&line) {
                    // Asked to end, restic ends; the rest is read and dropped.
                    enough = true;
                    stop.cancel();
                }
            }
            enough
        };
        match self.run(call, &stop, read).await? {
            Ended { output: Some(true), .. } if !self.cancel.is_cancelled() => Ok(()),
            ended => self.judge(operation, repository, ended).map(drop),
        }
    }
}
