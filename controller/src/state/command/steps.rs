//! What larger commands are made of: releases, secrets, and the decisions of the leader.

use crate::state::model::{AppKey, DeploymentState, GpuGrant, Group, MoveStage, Run, RunKind};
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::RunState;
use omni_common::ids::{AllocationId, DeploymentId, HostId, MoveId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A secret's value on its way into the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSecret {
    /// Bytes of the value.
    pub size: u32,
    /// The value, sealed for the secret's name.
    pub sealed: Vec<u8>,
}

/// One decision of the leader about runs. One that has nothing to do any more is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RunStep {
    /// A run that is due.
    Start(Box<Run>),
    /// A time of a schedule is served or passed over.
    Mark {
        /// What is due.
        kind: RunKind,
        /// For whom, see [`crate::state::subject`].
        subject: String,
        /// The time.
        at: Time,
    },
    /// A run is given to a host.
    Give {
        /// Which.
        run: RunId,
        /// To whom.
        host: HostId,
    },
    /// Why a run waits.
    Wait {
        /// Which.
        run: RunId,
        /// One sentence.
        why: String,
    },
    /// A run's host was lost; another may do it.
    TakeBack {
        /// Which.
        run: RunId,
        /// One sentence.
        why: String,
    },
    /// A run is given up.
    End {
        /// Which.
        run: RunId,
        /// How it ends.
        state: RunState,
        /// Stable word.
        code: String,
        /// One sentence.
        why: String,
    },
}

/// One decision of the leader about a move. One that has nothing to do any more is passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MoveStep {
    /// A run for one of its instances.
    Begin {
        /// Which move.
        id: MoveId,
        /// The run; it names app and instance.
        run: Box<Run>,
    },
    /// It goes on to another stage.
    Enter {
        /// Which app.
        app: AppKey,
        /// Which move.
        id: MoveId,
        /// The stage that it is in.
        from: MoveStage,
        /// The stage that it enters.
        to: MoveStage,
        /// One sentence, when it does not go on as wished.
        reason: Option<String>,
    },
}

/// A release on its way into the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRelease {
    /// Of which app.
    pub app: AppKey,
    /// Id for the move to it; absent to keep it without moving.
    pub deployment: Option<DeploymentId>,
    /// The specification, among `contents` or known.
    pub spec: ContentDigest,
    /// Files that travel with it, among `contents` or known.
    pub files: Vec<ContentDigest>,
    /// Contents, sealed under the cluster key.
    pub contents: Vec<(ContentDigest, Vec<u8>)>,
    /// What placing needs to know.
    pub groups: BTreeMap<String, Arc<Group>>,
    /// From which commit, branch or file.
    pub source: Option<String>,
    /// What the maker says about it.
    pub note: Option<String>,
    /// Revision the caller saw; zero when the app must not exist yet.
    pub expect: Option<u64>,
}

/// What an operator does about a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Steer {
    /// Nothing more is replaced for now.
    Pause,
    /// Goes on.
    Resume,
    /// Goes on without waiting for health from now on.
    Promote,
    /// Goes back to the release before.
    Abort,
}

/// One decision of the planner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlanStep {
    /// Runs an instance on a host.
    Place {
        /// Id for it.
        id: AllocationId,
        /// Which app.
        app: AppKey,
        /// Which group.
        group: String,
        /// Which instance.
        slot: u32,
        /// Where.
        host: HostId,
        /// Of which release.
        release: u64,
        /// Cards of the host for it.
        gpus: Vec<GpuGrant>,
        /// One sentence: why there.
        why: String,
    },
    /// Has the data of a slot removed on a host where no instance of it is any more. Only for an app that goes with its
    /// volumes.
    Purge {
        /// Id for the allocation that does it.
        id: AllocationId,
        /// Which app.
        app: AppKey,
        /// Which group.
        group: String,
        /// Which instance.
        slot: u32,
        /// Where.
        host: HostId,
    },
    /// Stops an instance.
    Stop {
        /// Which.
        id: AllocationId,
        /// One sentence.
        why: String,
    },
    /// Gives an instance up whose host is down.
    Lose {
        /// Which.
        id: AllocationId,
    },
    /// Ends a deployment.
    Conclude {
        /// Which app.
        app: AppKey,
        /// Which deployment.
        deployment: DeploymentId,
        /// How it ended, or that it pauses.
        state: DeploymentState,
        /// One sentence.
        reason: Option<String>,
        /// Last output of the container that failed.
        log: Option<String>,
    },
    /// Ends a failed deployment by going back to the release before.
    RollBack {
        /// Which app.
        app: AppKey,
        /// The deployment that failed.
        deployment: DeploymentId,
        /// Id for the move back.
        back: DeploymentId,
        /// One sentence: what failed.
        reason: String,
        /// Last output of the container that failed.
        log: Option<String>,
    },
    /// Forgets an app of which nothing runs any more.
    Forget {
        /// Which app.
        app: AppKey,
    },
    /// Has an instance's host turn it into one of another release.
    Renew {
        /// Which.
        id: AllocationId,
        /// Of which release it is to be.
        release: u64,
        /// Cards of the host for it.
        gpus: Vec<GpuGrant>,
    },
}
