//! What survives a reboot: the data folder.
//!
//! ```text
//! D/             0700, owned by the user the agent runs as
//!   VERSION      which layout the folder has
//!   lock         held while a process uses the folder
//!   identity     key, certificates and who this host is         0600
//!   controllers  where the cluster is reached                   0600
//!   pending      a join whose answer has not arrived            0600
//!   removed      the last run ended because the cluster had removed this host
//!   desired      what the host is to run, as last heard         0600
//!   contents/    what that needs: specifications and files, named by their digests
//!   runs         what came of runs that the cluster may not have heard of   0600
//!   standing     backups that the host takes by itself while no controller is reachable, secrets included   0600
//!   offline      what came of them, until it is recorded                    0600
//!   debts        what a run has changed on this host and has to undo        0600
//!   adopted      labels of containers that were taken over as they ran, which an engine cannot give them
//!   unfinished   volumes whose restore has not ended well, which nothing is started on
//!   restic/      restic's cache, and its short-lived files
//!   agent.toml   settings, see `config.rs`
//!   history/     the ring of samples
//! ```
//!
//! Every file is replaced as a whole (written beside, synced, renamed), so a crash leaves the old or the new
//! one. A file that is torn nevertheless stops the agent with its name; nothing is overwritten.

mod contents;
mod folder;
mod record;
#[cfg(test)]
mod tests;

use crate::backup::Debt;
use crate::runs::{Kept, Offline};
use folder::Lock;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::StandingOrders;
use omni_common::ids::{ClusterId, HostId, RequestId, RunId};
use omni_common::wire::{ControllerList, Desired};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the data folder cannot be used. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what was written to it.
    #[error(
        "{} is torn or was edited by hand ({reason}); restore it from a backup, or move the data folder away and join again",
        path.display()
    )]
    Torn {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Content does not hold what was written to it.
    #[error("{} is torn: its bytes have another digest than its name; remove the file, and it is fetched again", path.display())]
    TornContent {
        /// Which file.
        path: PathBuf,
    },
    /// The folder was written by a later version.
    #[error(
        "{} has layout {found} and this omni-agent knows up to {known}: it was written by a newer version; install that one",
        dir.display()
    )]
    Newer {
        /// The data folder.
        dir: PathBuf,
        /// Its layout.
        found: u32,
        /// The newest layout this build reads.
        known: u32,
    },
    /// The folder belongs to somebody else.
    #[error("{} belongs to user {owner}, but omni-agent runs as user {user}: run it as the owner, or chown the folder", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// A secret can be read by others.
    #[error("{} can be read by other users (mode {mode:o}): chmod 600 it, and renew what it holds if they could log in", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process holds the folder.
    #[error("{} is in use by another omni-agent: stop it first, or choose another data folder", dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} holds other files ({example}) and no omni-agent data: choose an empty folder", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// One of the files.
        example: String,
    },
    /// The folder does not exist or was never joined.
    #[error("{} holds no omni-agent data: run `omni-agent join` first", dir.display())]
    Empty {
        /// The folder.
        dir: PathBuf,
    },
}

/// Who this host is and how it proves it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredIdentity {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id there.
    pub host: HostId,
    /// PKCS#8 private key, DER.
    #[serde(with = "record::base64_bytes")]
    pub key: Vec<u8>,
    /// Leaf first, root last, DER.
    #[serde(with = "record::base64_list")]
    pub chain: Vec<Vec<u8>>,
}

impl fmt::Debug for StoredIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredIdentity")
            .field("cluster", &self.cluster)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// A join that was begun. A repeated join uses the same request id and key, so a lost answer costs nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingJoin {
    /// The request's id.
    pub request: RequestId,
    /// Fingerprint of the CA that is being joined, as text.
    pub ca: String,
    /// PKCS#8 private key, DER.
    #[serde(with = "record::base64_bytes")]
    pub key: Vec<u8>,
}

impl fmt::Debug for PendingJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingJoin")
            .field("request", &self.request)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

const IDENTITY: &str = "identity";
const CONTROLLERS: &str = "controllers";
const PENDING: &str = "pending";
const REMOVED: &str = "removed";
const DESIRED: &str = "desired";
const CONTENTS: &str = "contents";
const RUNS: &str = "runs";
const STANDING: &str = "standing";
const OFFLINE: &str = "offline";
const DEBTS: &str = "debts";
const ADOPTED: &str = "adopted";
const UNFINISHED: &str = "unfinished";

/// Labels of containers that were taken over, by container id.
pub type AdoptedLabels = BTreeMap<String, BTreeMap<String, String>>;

/// An open data folder. While it lives, no other process can open the same folder.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    _lock: Lock,
}

impl Ledger {
    /// Opens a folder that was joined before.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        folder::check(dir)?;
        Self::lock(dir)
    }

    /// Opens a folder, making it when it is missing or empty.
    pub fn create(dir: &Path) -> Result<Self, LedgerError> {
        folder::prepare(dir)?;
        Self::lock(dir)
    }

    fn lock(dir: &Path) -> Result<Self, LedgerError> {
        let lock = Lock::take(dir)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Who this host is; absent before it joined.
    pub fn identity(&self) -> Result<Option<StoredIdentity>, LedgerError> {
        record::read(&self.dir, IDENTITY)
    }

    /// Replaces the identity.
    pub fn save_identity(&self, identity: &StoredIdentity) -> Result<(), LedgerError> {
        record::write(&self.dir, IDENTITY, identity)
    }

    /// The controllers, as last heard.
    pub fn controllers(&self) -> Result<Option<ControllerList>, LedgerError> {
        record::read(&self.dir, CONTROLLERS)
    }

    /// Replaces the controllers.
    pub fn save_controllers(&self, list: &ControllerList) -> Result<(), LedgerError> {
        record::write(&self.dir, CONTROLLERS, list)
    }

    /// The join that was begun and not answered, when there is one.
    pub fn pending(&self) -> Result<Option<PendingJoin>, LedgerError> {
        record::read(&self.dir, PENDING)
    }

    /// Remembers a join that is about to be sent.
    pub fn save_pending(&self, pending: &PendingJoin) -> Result<(), LedgerError> {
        record::write(&self.dir, PENDING, pending)
    }

    /// Forgets the join, which was answered.
    pub fn clear_pending(&self) -> Result<(), LedgerError> {
        record::remove(&self.dir, PENDING)
    }

    /// Whether the last run ended because the cluster had removed this host: the identity is of no more use.
    pub fn is_removed(&self) -> Result<bool, LedgerError> {
        Ok(record::read::<HostId>(&self.dir, REMOVED)?.is_some())
    }

    /// Notes that the cluster has removed this host, whose identity stays for the case that it was wrong.
    pub fn mark_removed(&self, host: HostId) -> Result<(), LedgerError> {
        record::write(&self.dir, REMOVED, &host)
    }

    /// A run begins, or the host has joined anew.
    pub fn clear_removed(&self) -> Result<(), LedgerError> {
        record::remove(&self.dir, REMOVED)
    }

    /// What the host is to run, as last heard; absent when no controller has said so yet.
    pub fn desired(&self) -> Result<Option<Desired>, LedgerError> {
        record::read(&self.dir, DESIRED)
    }

    /// Replaces what the host is to run.
    pub fn save_desired(&self, desired: &Desired) -> Result<(), LedgerError> {
        record::write(&self.dir, DESIRED, desired)
    }

    /// Forgets what the host was to run: that was said to an identity that it has no more.
    pub fn clear_desired(&self) -> Result<(), LedgerError> {
        record::remove(&self.dir, DESIRED)
    }

    /// The contents that are held, by name only: none of them has been read.
    pub fn contents(&self) -> Result<BTreeSet<ContentDigest>, LedgerError> {
        contents::list(&self.dir.join(CONTENTS))
    }

    /// One content, proved to be what its name says; absent when it is not held.
    pub fn content(&self, digest: &ContentDigest) -> Result<Option<Vec<u8>>, LedgerError> {
        contents::read(&self.dir.join(CONTENTS), digest)
    }

    /// Keeps content under its digest.
    pub fn save_content(&self, digest: &ContentDigest, bytes: &[u8]) -> Result<(), LedgerError> {
        contents::write(&self.dir.join(CONTENTS), digest, bytes)
    }

    /// Forgets content; fine when it is not there.
    pub fn remove_content(&self, digest: &ContentDigest) -> Result<(), LedgerError> {
        contents::remove(&self.dir.join(CONTENTS), digest)
    }

    /// The labels of containers that were taken over, by container id; absent when there are none.
    pub fn adopted(&self) -> Result<Option<AdoptedLabels>, LedgerError> {
        record::read(&self.dir, ADOPTED)
    }

    /// Replaces those labels.
    pub fn save_adopted(&self, adopted: &AdoptedLabels) -> Result<(), LedgerError> {
        record::write(&self.dir, ADOPTED, adopted)
    }

    /// What came of runs, as far as it is kept; absent when nothing is.
    pub fn runs(&self) -> Result<Option<Kept>, LedgerError> {
        record::read(&self.dir, RUNS)
    }

    /// Replaces what came of runs.
    pub fn save_runs(&self, kept: &Kept) -> Result<(), LedgerError> {
        record::write(&self.dir, RUNS, kept)
    }

    /// Backups that the host takes by itself while no controller is reachable; absent when it was never told.
    pub fn standing(&self) -> Result<Option<StandingOrders>, LedgerError> {
        record::read(&self.dir, STANDING)
    }

    /// Replaces them.
    pub fn save_standing(&self, orders: &StandingOrders) -> Result<(), LedgerError> {
        record::write(&self.dir, STANDING, orders)
    }

    /// Forgets them: they hold secrets of a cluster that the host does not belong to any more.
    pub fn clear_standing(&self) -> Result<(), LedgerError> {
        record::remove(&self.dir, STANDING)
    }

    /// What the host did by itself; absent when that is nothing.
    pub fn offline(&self) -> Result<Option<Offline>, LedgerError> {
        record::read(&self.dir, OFFLINE)
    }

    /// Replaces what the host did by itself.
    pub fn save_offline(&self, offline: &Offline) -> Result<(), LedgerError> {
        record::write(&self.dir, OFFLINE, offline)
    }

    /// What runs have changed and have to undo; absent when that is nothing.
    pub fn debts(&self) -> Result<Option<Vec<Debt>>, LedgerError> {
        record::read(&self.dir, DEBTS)
    }

    /// Replaces what has to be undone.
    pub fn save_debts(&self, debts: &[Debt]) -> Result<(), LedgerError> {
        record::write(&self.dir, DEBTS, &debts)
    }

    /// The volumes whose restore has not ended well, and by which run; absent when there are none.
    pub fn unfinished(&self) -> Result<Option<BTreeMap<String, RunId>>, LedgerError> {
        record::read(&self.dir, UNFINISHED)
    }

    /// Replaces that list.
    pub fn save_unfinished(&self, volumes: &BTreeMap<String, RunId>) -> Result<(), LedgerError> {
        record::write(&self.dir, UNFINISHED, volumes)
    }

    /// Writes the settings file unless there is one already.
    pub fn seed_settings(&self, text: &str) -> Result<(), LedgerError> {
        let path = self.dir.join(crate::config::SETTINGS_FILE);
        if path.exists() {
            return Ok(());
        }
        record::replace(&path, text.as_bytes())
    }
}
