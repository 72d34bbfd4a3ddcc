//! Moves of apps between hosts, and data that was left behind.

use crate::clock::Time;
use crate::domain::backup::RunProgress;
use crate::ids::{HostId, MoveId, RunId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Moves an app to another host, with its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartMove {
    /// Name or id of the host.
    pub to: String,
    /// Only this group; all that can move when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only the group of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The repository that data goes through; one that both hosts reach when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a move would do, or does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovePlan {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Where to.
    pub to: HostId,
    /// That host's name.
    pub to_name: String,
    /// The repository that data goes through; absent when there is none to bring.
    pub repository: Option<String>,
    /// What moves.
    pub legs: Vec<MoveLegView>,
    /// What is done, in order.
    pub steps: Vec<String>,
    /// What is worth knowing about it.
    pub notes: Vec<String>,
    /// The move that was begun; absent when that was not asked for.
    pub moving: Option<MoveView>,
}

/// An instance that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoveLegView {
    /// Its group.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// Where it runs, or did when the move was asked for.
    pub from: HostId,
    /// That host's name.
    pub from_name: String,
    /// It has data, and stops while that is brought along.
    pub data: bool,
    /// Old data of it on the new host is replaced.
    pub replaces: bool,
    /// The run of the present stage.
    pub run: Option<RunId>,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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
    /// It runs there, and the old copy is kept.
    Settled,
    /// It runs there, and the old copy goes or has gone.
    Confirmed,
    /// It was given up before the app started there.
    Failed,
    /// The app has gone back to where it was.
    Returned,
}

impl MoveStage {
    /// Whether it is not over.
    pub fn is_open(self) -> bool {
        self <= Self::Returning
    }
}

/// The move of an app to another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoveView {
    /// Its id.
    pub id: MoveId,
    /// Where to.
    pub to: HostId,
    /// That host's name.
    pub to_name: String,
    /// The repository that data goes through.
    pub repository: Option<String>,
    /// What moves.
    pub legs: Vec<MoveLegView>,
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
    /// How far the run of the present stage is, when it says so.
    pub progress: Option<RunProgress>,
}

/// Why data of an app is on a host where it does not live any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OldDataReason {
    /// The instance moved on to another host.
    Moved,
    /// Its host was lost, and the instance came back elsewhere from a snapshot.
    Rescued,
    /// A move brought it here and was given up before anything ran on it.
    Unused,
    /// The instance ran here for a while, and went back to its data of before.
    TriedHere,
}

/// Data of an app that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OldDataView {
    /// Of which group.
    pub group: String,
    /// Of which of the group's instances, from zero.
    pub slot: u32,
    /// The volumes, as far as the wanted release still has them.
    pub volumes: Vec<String>,
    /// Where.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Since when it is old.
    pub since: Time,
    /// Why it is there.
    pub why: OldDataReason,
    /// It is being removed, or will be once its host is up.
    pub going: bool,
}

/// Says that old data may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmMove {
    /// Names or ids of the hosts that have it.
    pub hosts: Vec<String>,
}
