//! Passwords of a repository. Each opens it by a key of its own.
//!
//! To rotate: [`Restic::add_key`] with the new password, tell everybody, then [`Restic::remove_key`] of the
//! old one with the new one in hand. Whatever dies in between, one of the two opens the repository.

use super::{Call, Task};
use crate::failure::Error;
use crate::process::Input;
use crate::report::{Key, KeyId};
use crate::repository::Repository;
use crate::restic::Restic;
use crate::secret::Secret;

impl Restic {
    /// The keys.
    pub async fn keys(&self, repository: &Repository) -> Result<Vec<Key>, Error> {
        let repository = repository.clone();
        self.start(|task| async move { task.keys(&repository).await }).end().await
    }

    /// Adds a password, and opens the repository with it to see that it works. Asked twice, it adds it twice.
    pub async fn add_key(&self, repository: &Repository, password: Secret) -> Result<Key, Error> {
        let renewed = repository
            .clone()
            .with_password(password.clone())
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let repository = repository.clone();
        let add = self.start(|task| async move {
            // restic takes it from a file only. This one has no name and is never on a disk.
            let call = Call::plain(&repository, ["key", "add", "--new-password-file", "/dev/stdin"]);
            task.text(Call { input: Input::Secret(password), ..call }).await?;
            let current = task.keys(&renewed).await?.into_iter().find(|key| key.current);
            current.ok_or_else(|| Error::Answer {
                operation: "key",
                detail:
                    "the new password opens the repository, and none of its keys is called the current one"
                        .into(),
            })
        });
        add.end().await
    }

    /// Removes a password. Not the one that the repository is opened with.
    pub async fn remove_key(&self, repository: &Repository, key: &KeyId) -> Result<(), Error> {
        let (repository, key) = (repository.clone(), key.clone());
        let remove = self.start(|task| async move {
            let call = Call::plain(&repository, ["key", "remove", "--"]).with([key.as_str()]);
            match task.text(call).await {
                Err(Error::SnapshotMissing { repository, detail }) => {
                    Err(Error::Invalid(format!("no such key in {repository}: {detail}; list the keys")))
                }
                other => other.map(drop),
            }
        });
        remove.end().await
    }
}

impl Task {
    async fn keys(&self, repository: &Repository) -> Result<Vec<Key>, Error> {
        self.json(Call::plain(repository, ["key", "list"])).await
    }
}
