//! Runs of backups and their kin, between an agent and its gateway.
//!
//! The gateway names the runs that a host is to do; the agent fetches each order on a stream of its own, because orders
//! carry secrets and are made when they are asked for. A run that is named is done, also a second time when the agent
//! died in it; one that is no longer named is given up. The outcome is said again in every session until the gateway
//! stops naming the run: it has been recorded then.

use crate::clock::Time;
use crate::domain::backup::{ItemName, RunOutcome};
use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// Ability of an agent, told in its hello: it has restic and does runs.
pub const CAPABILITY_RUNS: &str = "runs/1";
/// Most runs that a host is named at once.
pub const MAX_RUNS_PER_HOST: usize = 64;
/// Largest order that an agent takes, bytes.
pub const MAX_RUN_ORDER: usize = 8 << 20;
/// Most facts in the outcome of one run; each key and each value has at most [`MAX_RUN_TEXT`] bytes.
pub const MAX_RUN_FACTS: usize = 512;
/// Most paths that are named as missing in the outcome of one run.
pub const MAX_RUN_MISSING: usize = 64;
/// Longest text of a fact, a path or a sentence in an outcome, bytes. With the limits above an outcome fits a frame.
pub const MAX_RUN_TEXT: usize = 512;

/// The runs of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredRuns {
    /// Grows with each change; an agent ignores what is older than it has.
    pub generation: u64,
    /// In the order in which they should be done, at most [`MAX_RUNS_PER_HOST`].
    pub runs: Vec<RunId>,
}

/// What an agent says about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// Which.
    pub run: RunId,
    /// What came of it; absent when it has only begun.
    pub outcome: Option<RunOutcome>,
}

/// Ability of a gateway, told in its welcome: it hands out standing orders, and takes in what came of them.
pub const CAPABILITY_STANDING: &str = "standing/1";
/// Largest standing orders of a host, bytes as JSON; apps beyond have to wait for a controller.
pub const MAX_STANDING: usize = 2 << 20;

/// A backup that an agent began by itself, because no controller was reachable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineRun {
    /// Made by the agent. Handed in more than once, it is recorded once.
    pub id: RunId,
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// Which group.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// Release of the app by which it was taken.
    pub release: u64,
    /// Name of the repository.
    pub repository: String,
    /// What was to be taken.
    pub items: Vec<ItemName>,
    /// The time of the schedule that it serves.
    pub due: Time,
    /// Which try this is, from one.
    pub attempt: u32,
    /// When it began, by the host's clock.
    pub began: Time,
    /// It is given up after this long, milliseconds.
    pub max_duration_ms: u64,
    /// What came of it; absent while it is under way.
    pub outcome: Option<RunOutcome>,
}
