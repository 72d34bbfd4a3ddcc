//! Locks: whose they are, and how they go.

use super::{Call, Task};
use crate::failure::Error;
use crate::report::Lock;
use crate::repository::Repository;
use crate::restic::Restic;
use std::time::Duration;

/// Most locks looked at. Each takes a call of its own.
const MAX_LOCKS: usize = 32;
/// How long tidying up after a killed restic may take.
const TIDY_WITHIN: Duration = Duration::from_secs(60);

/// Which locks are removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unlock {
    /// Those that restic takes for left behind: of this host, without their process; of any, not renewed for
    /// half an hour.
    Stale,
    /// All. Whoever is at work loses data unless they are known to be gone.
    All,
}

impl Restic {
    /// The locks of a repository; at most 32.
    pub async fn locks(&self, repository: &Repository) -> Result<Vec<Lock>, Error> {
        let repository = repository.clone();
        self.start(|task| async move { task.locks(&repository).await }).end().await
    }

    /// Removes locks.
    pub async fn unlock(&self, repository: &Repository, which: Unlock) -> Result<(), Error> {
        let repository = repository.clone();
        self.start(|task| async move { task.unlock(&repository, which).await }).end().await
    }
}

impl Task {
    async fn locks(&self, repository: &Repository) -> Result<Vec<Lock>, Error> {
        let ids = self.text(Call::plain(repository, ["list", "locks", "--no-lock"])).await?;
        let mut locks = Vec::new();
        for id in ids.lines().map(|line| line.trim_matches('"')).filter(|id| is_id(id)).take(MAX_LOCKS) {
            let call = Call::plain(repository, ["cat", "lock", "--no-lock", "--"]).with([id]);
            match self.json::<Lock>(call).await {
                Ok(lock) => locks.push(Lock { id: id.to_owned(), ..lock }),
                // Locks come and go, also between two calls.
                Err(Error::Cancelled { detail }) => return Err(Error::Cancelled { detail }),
                Err(error) => tracing::debug!(%error, lock = id, "lock cannot be read, it may be gone"),
            }
        }
        Ok(locks)
    }

    async fn unlock(&self, repository: &Repository, which: Unlock) -> Result<(), Error> {
        let all = (which == Unlock::All).then_some("--remove-all");
        self.text(Call::plain(repository, ["unlock"]).with(all)).await.map(drop)
    }

    /// Removes the lock of a restic that was killed or interrupted. Only when it is the only one: restic
    /// would take those of others with it that look left behind, and whether they are is not decided here.
    pub(super) async fn give_up_lock(&self, repository: &Repository, pid: u32) {
        let task = self.tidying();
        let tidy = async {
            let locks = Box::pin(task.locks(repository)).await?;
            let host = rustix::system::uname();
            let ours =
                |lock: &Lock| lock.pid == pid && host.nodename().to_bytes() == lock.hostname.as_bytes();
            match locks.as_slice() {
                [] => Ok(()),
                [lock] if ours(lock) => Box::pin(task.unlock(repository, Unlock::Stale)).await,
                locks => {
                    if locks.iter().any(ours) {
                        let count = locks.len();
                        tracing::warn!(pid, count, "lock of a killed restic stays, because there are others");
                    }
                    Ok(())
                }
            }
        };
        match tokio::time::timeout(TIDY_WITHIN, tidy).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(pid, %error, "lock of a killed restic not removed"),
            Err(_) => tracing::warn!(pid, "lock of a killed restic not removed in time"),
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
