//! What a host is told to do.

use super::{Hidden, Item, ItemName};
use crate::clock::Time;
use crate::domain::app::AppSpec;
use crate::ids::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One task for a host, with all that it takes to do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOrder {
    /// The run.
    pub id: RunId,
    /// The task is given up after this long, milliseconds.
    pub max_duration_ms: u64,
    /// What to do.
    pub task: Task,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Take a backup.
    Backup(Box<BackupTask>),
    /// Copy snapshots to another repository.
    Copy(Box<CopyTask>),
    /// Look whether a repository is whole.
    Check(CheckTask),
    /// Forget what retention no longer keeps, and free its space.
    Prune(PruneTask),
    /// Bring data back.
    Restore(Box<RestoreTask>),
    /// Keep the state of the controllers, or prove that it was kept.
    Controllers(Box<ControllersTask>),
    /// Get ready for an instance that moves here.
    Ready(Box<ReadyTask>),
}

/// An instance of a group of an app on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Which group.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// The release that runs, or that is to run: names of volumes and containers follow from it.
    pub spec: AppSpec,
}

/// Take a backup of an instance's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupTask {
    /// Whose.
    pub instance: Instance,
    /// What, in this order.
    pub items: Vec<Item>,
    /// Where to.
    pub to: Repository,
    /// It is taken because the instance moves to another host, and is no backup.
    #[serde(default)]
    pub moves: Option<Moves>,
    /// Backups that begin together with it, because the data of both is good only together: of which instances, and the runs.
    /// Written down with each item as the fact `same_moment:INSTANCE`.
    #[serde(default)]
    pub same_moment: BTreeMap<String, RunId>,
}

/// How an instance is whose files are taken for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moves {
    /// It runs: what is taken is no more than a start.
    Running,
    /// It has stopped. Refused while any container of it runs.
    Stopped,
}

/// Get ready for an instance that moves here: its images are fetched, its volumes made, and what would keep it from coming
/// is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadyTask {
    /// Which.
    pub instance: Instance,
    /// What will be brought.
    pub items: Vec<ReadyItem>,
    /// What is there of it already may be replaced.
    pub replace: bool,
}

/// Something that will be brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyItem {
    /// The item.
    pub item: Item,
    /// About so many bytes.
    pub bytes: u64,
}

/// Keep the state of the controllers, or prove that it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllersTask {
    /// Whose tags its snapshots carry: environment and name.
    pub app: String,
    /// The same: group and slot.
    pub slot: String,
    /// Where it lies.
    pub repository: Repository,
    /// Which of the two.
    pub work: ControllersWork,
}

/// What is done with the state of the controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControllersWork {
    /// It is asked of the gateway, and kept.
    Take {
        /// Under this name.
        item: ItemName,
    },
    /// Snapshots of it are read again, and have to be what was kept.
    Prove {
        /// Which.
        items: Vec<KeptState>,
    },
}

/// A snapshot of the controllers' state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    /// The name that it was kept under.
    pub item: ItemName,
    /// Full id of the snapshot.
    pub snapshot: String,
    /// What was written down about it when it was taken.
    pub facts: BTreeMap<String, String>,
}

/// Copy snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyTask {
    /// Full ids in the repository they are copied from.
    pub snapshots: Vec<String>,
    /// Where from.
    pub from: Repository,
    /// Where to.
    pub to: Repository,
}

/// Look whether a repository is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckTask {
    /// Which.
    pub repository: Repository,
    /// How much of the data is read, not only its structure; absent for none.
    pub read: Option<ReadPart>,
}

/// One of several equal parts of a repository's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPart {
    /// Which, from one.
    pub part: u32,
    /// Of how many.
    pub of: u32,
}

/// Forget and free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PruneTask {
    /// Which repository.
    pub repository: Repository,
    /// What each app's snapshots are kept by.
    pub forget: Vec<Forget>,
    /// Unused space that may stay, as restic writes it, e.g. `10%`.
    pub max_unused: Option<String>,
    /// Most that is written anew at a time, as restic writes it, e.g. `10G`; what is left goes next time.
    #[serde(default)]
    pub max_repack_size: Option<String>,
    /// Snapshots that go once they are old enough, whatever else is kept.
    #[serde(default)]
    pub expire: Vec<Expire>,
}

/// Snapshots that go once they are old enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expire {
    /// The name of the tag that they carry, before its `=`, e.g. `omni-move`.
    pub tag: String,
    /// Those that were taken before.
    pub before: Time,
}

/// Retention of the snapshots that carry a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The tag, e.g. `omni-app=default/shop`.
    pub tag: String,
    /// Options of restic's `forget` without `--keep-`, e.g. `last: 1`, `within-daily: 30d`. Never empty.
    pub keep: BTreeMap<String, String>,
}

/// Bring data back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreTask {
    /// For whom: the instance whose data it becomes, or whose likeness is made in scratch space.
    pub instance: Instance,
    /// What.
    pub items: Vec<RestoreItem>,
    /// Where from.
    pub from: Repository,
    /// Where to.
    pub into: Destination,
    /// In place: what was written down about the items has to hold again, or the restore has failed.
    #[serde(default)]
    pub compare: bool,
}

/// An item and the snapshot that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreItem {
    /// The item as it was taken.
    pub item: Item,
    /// Full id of the snapshot.
    pub snapshot: String,
    /// Only this path within the item; absent for all.
    pub path: Option<String>,
    /// What was written down about it when it was taken, see [`super::ItemOutcome::facts`]: a drill compares.
    pub facts: BTreeMap<String, String>,
}

/// Where restored data goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The instance's own volumes. Refused while any container of it runs.
    InPlace {
        /// Data that is there is replaced; without it, only what is absent or empty is filled.
        replace: bool,
    },
    /// Volumes and containers made for it and removed afterwards.
    Scratch {
        /// What has to hold of the data.
        probes: Vec<Probe>,
    },
    /// A folder of the host, which must be absent or empty. Each item gets a folder of its name in it.
    Folder {
        /// Absolute path.
        path: String,
    },
}

/// What has to hold of restored data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Facts that were written down at backup time hold again.
    Facts {
        /// Of which item; absent for every one.
        item: Option<ItemName>,
    },
    /// A query answers in a scratch server that took the item's dump.
    Sql {
        /// Which item.
        item: ItemName,
        /// In which database.
        database: Option<String>,
        /// The query.
        query: String,
        /// What its first value has to be; absent for any answer.
        equals: Option<String>,
    },
    /// A command in a scratch container of the service ends well.
    Command {
        /// Whose likeness.
        service: crate::domain::app::ServiceName,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// What a command wrote is an archive that is whole to its end, with the entries and sums that it had.
    Archive {
        /// Of which item; absent for every one that a command writes.
        item: Option<ItemName>,
    },
    /// Every repository of Git in restored files passes `git fsck`.
    Git {
        /// In which item; absent for all that are files.
        item: Option<ItemName>,
    },
    /// A scratch container of the service answers over HTTP, asked from inside it: nothing else can reach it.
    Http {
        /// Whose likeness.
        service: crate::domain::app::ServiceName,
        /// Port inside the container.
        port: u16,
        /// From `/`.
        path: String,
        /// What has to be answered; absent for anything from 200 to 399.
        status: Option<u16>,
        /// What has to be in the answer; absent for anything.
        text: Option<String>,
        /// What it does not work without, beside what its file says that it depends on. A drill starts none of that.
        #[serde(default)]
        needs: Vec<String>,
    },
}

impl Probe {
    /// What is wrong with one that somebody wrote; nothing when it can be asked.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::Http { port: 0, .. } => Some("`port` of an `http` probe is 1 to 65535".to_owned()),
            Self::Http { path, .. }
                if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Some(format!("`{path}` is no path of an `http` probe: it begins with `/` and has no spaces"))
            }
            Self::Http { status: Some(status), .. } if !(100..600).contains(status) => {
                Some(format!("`status` of an `http` probe is 100 to 599, not {status}"))
            }
            _ => None,
        }
    }
}

/// A repository and all it takes to open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name in the cluster, for people.
    pub name: String,
    /// As restic writes it: a path, `rest:https://…`, `s3:…`, `sftp:…`, `rclone:…`. Without a password in it.
    pub location: String,
    /// Of the repository itself.
    pub password: Hidden,
    /// Of the server it lies on.
    pub credentials: Credentials,
    /// Certificates of the server's authority, PEM; absent for the system's.
    pub ca: Option<String>,
    /// Made when it is absent.
    pub create: bool,
    /// Most that is sent, KiB a second.
    pub upload_kib: Option<u32>,
    /// Most that is fetched, KiB a second.
    pub download_kib: Option<u32>,
}

/// What a repository's server wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// Nothing of omni's.
    None,
    /// A user of a REST server.
    Rest {
        /// Name.
        user: String,
        /// Password.
        password: Hidden,
    },
    /// Keys of an object store.
    S3 {
        /// Who.
        access_key_id: String,
        /// The proof.
        secret_access_key: Hidden,
        /// For stores that check it.
        region: Option<String>,
    },
    /// A key of an SSH server.
    Sftp {
        /// The private key as its file has it.
        private_key: Hidden,
        /// Lines of a `known_hosts` file.
        known_hosts: Option<String>,
    },
    /// rclone's variables, `RCLONE_…`.
    Rclone {
        /// By name.
        variables: BTreeMap<String, Hidden>,
    },
}
