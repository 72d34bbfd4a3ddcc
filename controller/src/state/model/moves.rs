//! Moves of apps between hosts, with their data; and data that was left behind.

use super::AppKey;
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemName, RunState};
use omni_common::ids::{AllocationId, HostId, MoveId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Instances that one move takes along at most.
pub const MAX_LEGS: usize = 64;

/// The move of an app to another host. The newest of each app is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its id.
    pub id: MoveId,
    /// Which app.
    pub app: AppKey,
    /// Where to.
    pub to: HostId,
    /// The repository that the data goes through; absent when there is none to bring.
    pub repository: Option<String>,
    /// The release that moves.
    pub release: u64,
    /// The instances that move, never none.
    pub legs: Vec<Leg>,
    /// How far it is.
    pub stage: MoveStage,
    /// Since when.
    pub since: Time,
    /// When it was asked for.
    pub started: Time,
    /// Who asked for it.
    pub by: String,
    /// When the app was told to stop for it.
    pub stopped: Option<Time>,
    /// When it was healthy again.
    pub healthy: Option<Time>,
    /// Why it stands as it does.
    pub reason: Option<String>,
}

/// One instance that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its group.
    pub group: String,
    /// Which instance of it.
    pub slot: u32,
    /// Where it runs.
    pub from: HostId,
    /// It has data, which comes along.
    pub data: bool,
    /// The new host has old data of it, which is known and may be replaced.
    pub replace: bool,
    /// The run of the present stage, once it was begun.
    pub run: Option<RunId>,
    /// How that run ended.
    pub ended: Option<LegEnd>,
    /// What was taken of it last.
    pub items: Vec<MovedItem>,
}

impl Leg {
    /// Whether it is about that instance.
    pub fn is(&self, group: &str, slot: u32) -> bool {
        self.group == group && self.slot == slot
    }

    /// Group and slot.
    pub fn instance(&self) -> (String, u32) {
        (self.group.clone(), self.slot)
    }
}

/// How a run for a move ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegEnd {
    /// In a word.
    pub state: RunState,
    /// One sentence, when it did not end well.
    pub message: Option<String>,
}

/// An item of an instance that moves, as it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedItem {
    /// Its name.
    pub item: ItemName,
    /// The snapshot that holds it.
    pub snapshot: String,
    /// Bytes of it.
    pub bytes: u64,
    /// What has to hold again on the new host.
    pub facts: BTreeMap<String, String>,
}

/// How far a move is.
///
/// ```text
/// Copying ─▶ Preparing ─▶ Stopping ─▶ Syncing ─▶ Filling ─▶ Starting ─▶ Settled ─▶ Confirmed
///    └───────────┴───── the app goes on ─┴──────────┴─▶ Failed  └─▶ Returning ◀─┘
///                                                                   └─▶ Returned
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MoveStage {
    /// The data is taken while the app runs.
    Copying,
    /// The new host looks whether it can take it, and gets the images.
    Preparing,
    /// The app stops.
    Stopping,
    /// What changed since is taken.
    Syncing,
    /// The data is brought to the new host.
    Filling,
    /// The app starts there.
    Starting,
    /// It stops there, to go on where it was.
    Returning,
    /// It runs there. The old copy is kept until somebody says that it may go.
    Settled,
    /// It runs there, and the old copy goes or has gone.
    Confirmed,
    /// It was given up before the app started there; the app goes on where it was.
    Failed,
    /// The app started there and has gone back to where it was.
    Returned,
}

impl MoveStage {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Preparing => "preparing",
            Self::Stopping => "stopping",
            Self::Syncing => "syncing",
            Self::Filling => "filling",
            Self::Starting => "starting",
            Self::Returning => "returning",
            Self::Settled => "settled",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Returned => "returned",
        }
    }

    /// Whether the leader still has to do something about it.
    pub fn is_open(self) -> bool {
        self <= Self::Returning
    }

    /// Whether instances with data are kept from running.
    pub fn holds_still(self) -> bool {
        matches!(self, Self::Stopping | Self::Syncing | Self::Filling | Self::Returning)
    }

    /// Whether data may have been brought to the new host, and nothing has run on it.
    pub fn is_before_start(self) -> bool {
        self < Self::Starting
    }
}

impl Move {
    /// The instances whose data comes along.
    pub fn with_data(&self) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(|leg| leg.data)
    }

    /// Whether it keeps that instance from running at the moment.
    pub fn holds(&self, group: &str) -> bool {
        self.stage.holds_still() && self.with_data().any(|leg| leg.group == group)
    }
}

/// Data of an instance on a host where it does not live any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OldDataKey {
    /// Whose.
    pub app: AppKey,
    /// Group and instance.
    pub instance: (String, u32),
    /// Where.
    pub host: HostId,
}

/// Why it is there, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldData {
    /// Since when it is old.
    pub since: Time,
    /// Why.
    pub why: OldDataWhy,
    /// It is to be removed.
    pub going: bool,
    /// The allocation by which its host is told so.
    pub by: Option<AllocationId>,
}

/// How data came to be old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldDataWhy {
    /// The instance moved on to another host.
    Moved,
    /// Its host was lost, and the instance came back elsewhere from a snapshot.
    Rescued,
    /// A move brought it here and was given up before anything ran on it.
    Unused,
    /// The instance ran here for a while, and went back to its data of before.
    TriedHere,
}

impl OldDataWhy {
    /// The word shown to people and kept stable in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Rescued => "rescued",
            Self::Unused => "unused",
            Self::TriedHere => "tried_here",
        }
    }
}
