//! Repositories as a whole: made, looked at, checked, tidied.

use super::{Call, Task};
use crate::failure::{Cause, Error, Operation};
use crate::report::{Initialised, PruneLines, PruneReport, RepositoryInfo, Stats};
use crate::repository::Repository;
use crate::request::{Check, Filter, Prune, StatsMode};
use crate::restic::Restic;
use crate::running::Running;

impl Restic {
    /// Makes a repository, or finds that it is there and its password right. With `like`, it cuts data as
    /// that repository does, without which snapshots copied from there would share nothing with others.
    pub async fn init(
        &self,
        repository: &Repository,
        like: Option<&Repository>,
    ) -> Result<Initialised, Error> {
        let (repository, like) = (repository.clone(), like.cloned());
        self.start(|task| async move { task.init(&repository, like.as_ref()).await }).end().await
    }

    /// Opens a repository: is it there, and is the password right?
    pub async fn info(&self, repository: &Repository) -> Result<RepositoryInfo, Error> {
        let repository = repository.clone();
        self.start(|task| async move { task.info(&repository).await }).end().await
    }

    /// Looks for damage. Ends well when there is none, and as [`Error::Damaged`] with the findings.
    pub fn check(&self, repository: &Repository, check: &Check) -> Result<Running<()>, Error> {
        let args = check.args()?;
        let repository = repository.clone();
        Ok(self.start(|task| async move {
            task.lines(Call::new(Operation::Check, &repository, args), |_| None).await.map(drop)
        }))
    }

    /// Removes data that no snapshot needs. Keeps everybody else out while it works.
    pub fn prune(&self, repository: &Repository, prune: &Prune) -> Running<PruneReport> {
        let (repository, args) = (repository.clone(), prune.args());
        self.start(|task| async move {
            let mut lines = PruneLines::default();
            let call = Call::new(Operation::Plain("prune"), &repository, args);
            task.lines(call, |line| {
                lines.line(line);
                None
            })
            .await?;
            Ok(lines.report())
        })
    }

    /// Counts.
    pub async fn stats(
        &self,
        repository: &Repository,
        filter: &Filter,
        mode: StatsMode,
    ) -> Result<Stats, Error> {
        let (repository, args) = (repository.clone(), filter.args());
        let count = self.start(|task| async move {
            let call = Call::plain(&repository, ["stats", "--mode", mode.word()]).with(args);
            task.json(call).await
        });
        count.end().await
    }
}

impl Task {
    async fn init(&self, repository: &Repository, like: Option<&Repository>) -> Result<Initialised, Error> {
        match self.info(repository).await {
            Ok(info) => return Ok(Initialised::AlreadyThere(info)),
            // A bucket that is still to be made, say, is not told apart from a repository by every server.
            Err(Error::RepositoryMissing { .. } | Error::Other { .. }) => {}
            Err(error) => return Err(error),
        }
        let chunker = like.map(|_| "--copy-chunker-params");
        let call = Call { from: like, ..Call::plain(repository, ["init"]).with(chunker) };
        let operation = call.operation;
        let stop = self.cancel.child_token();
        let ended = self.run(call, &stop, drain).await?;
        if ended.findings.named(Cause::AlreadyThere).is_some() {
            // Somebody else was faster.
            return self.info(repository).await.map(Initialised::AlreadyThere);
        }
        self.judge(operation, repository, ended)?;
        // Old versions say only the beginning of its id.
        self.info(repository).await.map(Initialised::Created)
    }

    async fn info(&self, repository: &Repository) -> Result<RepositoryInfo, Error> {
        self.json(Call::plain(repository, ["cat", "config", "--no-lock"])).await
    }
}

async fn drain(mut stdout: tokio::process::ChildStdout) {
    // Nothing in it is needed, and an error would be its end all the same.
    tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await.ok();
}
