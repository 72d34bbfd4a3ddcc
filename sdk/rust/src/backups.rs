//! Backups: repositories, runs, snapshots, restores, policies, and how all of it stands.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{
    AppBackupView, BackupDefaults, BackupPolicyView, CreateRepository, FilesQuery, Page, RepositoryLock,
    RepositoryView, RestorePlan, RunView, RunsQuery, SnapshotView, SnapshotsQuery, StartRestore, StartRun,
    UnlockRepository, UnlockedRepository,
};
use omni_common::domain::backup::{FileEntry, PolicyOptions};
use reqwest::Method;

/// A path below `/backup`.
fn path<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    [&["api", "v1", "backup"], parts].concat()
}

/// Repositories.
impl Client {
    /// All repositories.
    pub async fn repositories(&self) -> Result<Vec<RepositoryView>> {
        let page: Page<RepositoryView> = self.read(Call::get(&path(&["repositories"]))).await?;
        Ok(page.items)
    }

    /// One repository.
    pub async fn repository(&self, name: &str) -> Result<RepositoryView> {
        self.read(Call::get(&path(&["repositories", name]))).await
    }

    /// Adds a repository.
    pub async fn create_repository(&self, body: &CreateRepository) -> Result<RepositoryView> {
        self.write(Call::change(Method::POST, &path(&["repositories"])).body(body)).await
    }

    /// Forgets a repository. What lies in it stays there.
    pub async fn remove_repository(&self, name: &str) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &path(&["repositories", name]))).await
    }

    /// The locks that a repository has now.
    pub async fn repository_locks(&self, name: &str) -> Result<Vec<RepositoryLock>> {
        let page: Page<RepositoryLock> =
            self.read(Call::get(&path(&["repositories", name, "locks"]))).await?;
        Ok(page.items)
    }

    /// Removes the locks that nobody holds, and when it is forced, all.
    pub async fn unlock_repository(&self, name: &str, body: &UnlockRepository) -> Result<UnlockedRepository> {
        self.write(Call::change(Method::POST, &path(&["repositories", name, "unlock"])).body(body)).await
    }
}

/// Runs, snapshots and restores.
impl Client {
    /// Runs, newest first; all pages up to `limit`.
    pub async fn runs(&self, query: RunsQuery) -> Result<Vec<RunView>> {
        self.list(&path(&["runs"]), query).await
    }

    /// One run, by its id or the end of it.
    pub async fn run(&self, id: &str) -> Result<RunView> {
        self.read(Call::get(&path(&["runs", id]))).await
    }

    /// Begins runs.
    pub async fn start_runs(&self, body: &StartRun) -> Result<Vec<RunView>> {
        let call = Call::change(Method::POST, &path(&["runs"])).body(body);
        let page: Page<RunView> = self.write(call).await?;
        Ok(page.items)
    }

    /// Gives a run up.
    pub async fn cancel_run(&self, id: &str) -> Result<RunView> {
        self.write(Call::change(Method::POST, &path(&["runs", id, "cancel"]))).await
    }

    /// Snapshots, newest first within an app; all pages up to `limit`.
    pub async fn snapshots(&self, query: SnapshotsQuery) -> Result<Vec<SnapshotView>> {
        self.list(&path(&["snapshots"]), query).await
    }

    /// What is in a folder of a snapshot, by name; all pages up to `limit`.
    pub async fn snapshot_files(
        &self,
        environment: &str,
        app: &str,
        snapshot: &str,
        query: FilesQuery,
    ) -> Result<Vec<FileEntry>> {
        let call = Call::get(&path(&["snapshots", environment, app, snapshot, "files"])).slow();
        self.list_by(call, query).await
    }

    /// Brings data back, or says what that would do.
    pub async fn restore(&self, body: &StartRestore) -> Result<RestorePlan> {
        self.write(Call::change(Method::POST, &path(&["restores"])).body(body)).await
    }
}

/// Policies, and how all of it stands.
impl Client {
    /// How the backups of every app stand.
    pub async fn backup_status(&self) -> Result<Vec<AppBackupView>> {
        let page: Page<AppBackupView> = self.read(Call::get(&path(&["status"]))).await?;
        Ok(page.items)
    }

    /// What holds for an app's backups.
    pub async fn backup_policy(&self, environment: &str, app: &str) -> Result<BackupPolicyView> {
        self.read(Call::get(&path(&["policies", environment, app]))).await
    }

    /// Sets it by hand; with nothing, goes back to what the app's release says.
    pub async fn set_backup_policy(
        &self,
        environment: &str,
        app: &str,
        policy: Option<&PolicyOptions>,
    ) -> Result<BackupPolicyView> {
        let path = path(&["policies", environment, app]);
        match policy {
            Some(policy) => self.write(Call::change(Method::PUT, &path).body(policy)).await,
            None => self.write(Call::change(Method::DELETE, &path)).await,
        }
    }

    /// What holds for backups of apps that say nothing else.
    pub async fn backup_defaults(&self) -> Result<BackupDefaults> {
        self.read(Call::get(&path(&["defaults"]))).await
    }

    /// Sets it.
    pub async fn set_backup_defaults(&self, body: &BackupDefaults) -> Result<BackupDefaults> {
        self.write(Call::change(Method::PUT, &path(&["defaults"])).body(body)).await
    }
}
