//! Runs: backups, copies, checks, prunes, restores and drills, and the snapshots they left.

use super::AppKey;
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemName, ItemOutcome, Probe, RunState};
use omni_common::ids::{HostId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Runs that are not over at once; more are refused.
pub const MAX_OPEN_RUNS: usize = 2_000;
/// Runs kept that are over; the oldest go first.
pub const MAX_RUNS: usize = 5_000;
/// The same of one kind for one app, or of one kind on a repository.
pub const MAX_RUNS_OF_KIND: usize = 30;
/// Snapshots known of one item in one repository; the oldest go first from here, not from the repository.
pub const MAX_SNAPSHOTS_OF_ITEM: usize = 300;
/// Newest snapshots of an item in a repository of which facts are kept, for drills to compare.
pub const MAX_WITH_FACTS: usize = 4;

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunKind {
    /// Takes data.
    Backup,
    /// Copies snapshots to another repository.
    Copy,
    /// Looks whether a repository is whole.
    Check,
    /// Applies retention.
    Prune,
    /// Brings data back.
    Restore,
    /// Brings data back into scratch space and looks at it.
    Drill,
    /// A part of the move of an app to another host.
    Move,
}

impl RunKind {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Check => "check",
            Self::Prune => "prune",
            Self::Restore => "restore",
            Self::Drill => "drill",
            Self::Move => "move",
        }
    }

    /// Whether it needs its repository alone.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Check | Self::Prune)
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One long job on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it does.
    pub task: RunTask,
    /// Whose data; absent when it is about a repository.
    pub app: Option<AppKey>,
    /// Which group and instance of the app.
    pub instance: Option<(String, u32)>,
    /// Release that names of volumes and containers follow from.
    pub release: u64,
    /// The repository; of a copy the one that is copied from.
    pub repository: String,
    /// Of a copy: where to.
    pub to: Option<String>,
    /// It may run only here.
    pub only: Option<HostId>,
    /// It may run anywhere but here.
    pub not_on: Option<HostId>,
    /// Where it runs; absent until it has been given to a host.
    pub host: Option<HostId>,
    /// How it stands.
    pub state: RunState,
    /// When it was made.
    pub created: Time,
    /// Not before this.
    pub not_before: Time,
    /// When it was given to its host.
    pub given: Option<Time>,
    /// When its host began.
    pub began: Option<Time>,
    /// When it was over.
    pub ended: Option<Time>,
    /// Who wanted it.
    pub by: String,
    /// Of a rescue: the moment that the data is of.
    pub taken: Option<Time>,
    /// The time of the schedule that it serves.
    pub due: Option<Time>,
    /// Given up after this long, milliseconds.
    pub max_duration_ms: u64,
    /// Which try this is, from one.
    pub attempt: u32,
    /// What became of its items; facts lie with the snapshots.
    pub items: Vec<ItemOutcome>,
    /// Stable word for why it failed.
    pub code: Option<String>,
    /// One sentence: why it stands as it does.
    pub message: Option<String>,
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RunTask {
    /// Takes these items.
    Backup {
        /// Names.
        items: Vec<ItemName>,
    },
    /// Copies these snapshots.
    Copy {
        /// Ids in the repository that is copied from.
        snapshots: Vec<String>,
    },
    /// Looks whether the repository is whole.
    Check {
        /// Reads this part of its data, of so many.
        part: Option<(u32, u32)>,
    },
    /// Applies retention.
    Prune,
    /// Brings data back.
    Restore {
        /// What.
        items: Vec<WantedItem>,
        /// Where to.
        into: RestoreInto,
        /// The app was stopped for it and runs again afterwards.
        start: bool,
    },
    /// Proves that data can be brought back.
    Drill {
        /// What.
        items: Vec<WantedItem>,
        /// What has to hold.
        probes: Vec<Probe>,
    },
    /// Takes all files of an instance that moves, whatever its backups leave out.
    MoveOut {
        /// It has stopped: what is taken now is what it goes on with.
        last: bool,
    },
    /// Looks whether a host can take an instance that moves, and gets its images.
    MoveReady {
        /// Bytes of its items.
        bytes: Vec<(ItemName, u64)>,
        /// Data of it that is there already may be replaced.
        replace: bool,
    },
    /// Brings the data of an instance that moves to its new host.
    MoveIn {
        /// What was taken last.
        items: Vec<WantedItem>,
    },
}

/// An item that is wanted back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedItem {
    /// Its name.
    pub item: ItemName,
    /// Id of the snapshot.
    pub snapshot: String,
    /// Only this path in it.
    pub path: Option<String>,
}

/// Where restored data goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreInto {
    /// Where it was.
    InPlace {
        /// Over what is there.
        replace: bool,
    },
    /// A folder of the host.
    Folder(String),
    /// Where the instance will live from now on, because the host that has its data is lost.
    NewHome {
        /// That host.
        from: HostId,
    },
}

impl Run {
    /// A run that waits for its turn. Whoever makes it fills in what it knows more.
    pub fn new(id: RunId, task: RunTask, repository: impl Into<String>, max_duration_ms: u64) -> Self {
        Self {
            id,
            task,
            app: None,
            instance: None,
            release: 0,
            repository: repository.into(),
            to: None,
            only: None,
            not_on: None,
            host: None,
            state: RunState::Queued,
            created: Time::EPOCH,
            not_before: Time::EPOCH,
            given: None,
            began: None,
            ended: None,
            by: String::new(),
            taken: None,
            due: None,
            max_duration_ms,
            attempt: 1,
            items: Vec::new(),
            code: None,
            message: None,
        }
    }

    /// What it is for.
    pub fn kind(&self) -> RunKind {
        match self.task {
            RunTask::Backup { .. } => RunKind::Backup,
            RunTask::Copy { .. } => RunKind::Copy,
            RunTask::Check { .. } => RunKind::Check,
            RunTask::Prune => RunKind::Prune,
            RunTask::Restore { .. } => RunKind::Restore,
            RunTask::Drill { .. } => RunKind::Drill,
            RunTask::MoveOut { .. } | RunTask::MoveReady { .. } | RunTask::MoveIn { .. } => RunKind::Move,
        }
    }

    /// What it is about, for people: the app's instance, or the repository.
    pub fn subject(&self) -> String {
        subject(self.app.as_ref(), self.instance.as_ref(), &self.repository)
    }

    /// The repositories that it uses.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        [Some(self.repository.as_str()), self.to.as_deref()].into_iter().flatten()
    }

    /// Whether it writes over an app's own data.
    pub fn is_in_place(&self) -> bool {
        matches!(self.task, RunTask::Restore { into: RestoreInto::InPlace { .. }, .. })
    }

    /// The lost host whose data it brings to another one.
    pub fn rescues_from(&self) -> Option<HostId> {
        match &self.task {
            RunTask::Restore { into: RestoreInto::NewHome { from }, .. } => Some(*from),
            _ => None,
        }
    }

    /// Whether it has been given to a host.
    pub fn is_given(&self) -> bool {
        self.host.is_some() && !self.state.is_over()
    }
}

/// What a run is about, as marks and events name it.
pub fn subject(app: Option<&AppKey>, instance: Option<&(String, u32)>, repository: &str) -> String {
    match (app, instance) {
        (Some(app), Some((group, slot))) => format!("{app} {group}.{slot}"),
        (Some(app), None) => app.to_string(),
        (None, _) => repository.to_owned(),
    }
}

/// By app, then time, so that an app's newest come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotKey {
    /// Whose.
    pub app: AppKey,
    /// Moment that the data is of.
    pub taken: Time,
    /// Where it lies.
    pub repository: String,
    /// Its full id there.
    pub id: String,
}

/// One item at one moment, in one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Group and instance.
    pub instance: (String, u32),
    /// Which item.
    pub item: ItemName,
    /// The run that took it; copies keep it.
    pub run: RunId,
    /// Where the data was.
    pub host: HostId,
    /// Release that ran.
    pub release: u64,
    /// Nothing is missing from it.
    pub whole: bool,
    /// When it was put into this repository.
    pub stored: Time,
    /// Bytes of the data.
    pub bytes: u64,
    /// Of those, new in the repository.
    pub added_bytes: u64,
    /// Files of it.
    pub files: u64,
    /// What a drill compares; kept of the newest only.
    pub facts: BTreeMap<String, String>,
}
