//! Apps: what is to run, its releases, where it runs, and moves between releases.

use super::{Adopt, MoveView, OldDataView, ProjectBuild};
use crate::clock::Time;
use crate::domain::AllocationState;
use crate::ids::{AllocationId, DeploymentId, HostId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A compose project as its files lie in a folder. What a client cannot know it packs when it is told that it is needed:
/// the answer to an incomplete project names the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Paths of the compose files among `files`, later ones over earlier ones.
    pub compose: Vec<String>,
    /// All files, by path from the project's folder.
    pub files: BTreeMap<String, PackedFile>,
    /// Paths that were looked at and left out: folders that stay on the host, and paths where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Variables for interpolation, over those of `.env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Active profiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The app's name; absent for the one in the files, or the folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of the images that were built, by the service that has a `build` of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built: BTreeMap<String, String>,
}

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
// A release has packed files of its own: one name in the document would hide the other.
#[schema(as = ProjectFile)]
pub struct PackedFile {
    /// Its bytes, in base64.
    pub content: String,
    /// Its permission bits.
    #[serde(default = "readable")]
    pub mode: u32,
}

fn readable() -> u32 {
    0o644
}

/// Asks how a project reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadProject {
    /// The project.
    pub project: Project,
    /// The environment it is for; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// How a project reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectReading {
    /// The app's name; empty while files are needed to tell.
    pub name: String,
    /// The project with everything resolved, as a compose file; empty while files are needed to tell.
    pub normalised: String,
    /// What reads differently from what one may expect.
    pub notes: Vec<ReadingNote>,
    /// Paths that the client has to pack, or to name in `left_out`, before the project can be deployed.
    pub needed: Vec<NeededFile>,
    /// Images to build, and to name in the project's `built`, before it can be deployed.
    #[serde(default)]
    pub builds: Vec<ProjectBuild>,
}

/// A file that a project refers to and that was not packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeededFile {
    /// Its path from the project's folder.
    pub path: String,
    /// What for: `compose_file`, `variables`, `content`, `mount`, `build_context`.
    pub kind: String,
    /// It may be absent.
    pub optional: bool,
    /// Something writes to it: a folder then stays on the host and is not packed.
    pub writable: bool,
}

/// Something worth knowing about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadingNote {
    /// `file:line:column: key`.
    pub place: String,
    /// What.
    pub message: String,
}

/// Deploys a project: makes a release of it and moves the app there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The project.
    pub project: Project,
    /// The environment; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// From which commit, branch or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What to remember about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The compose project whose running containers become the app's; only for an app that is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
}

/// What a deployment would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeployPlan {
    /// The app's name.
    pub name: String,
    /// Its environment.
    pub environment: String,
    /// The release it has now; absent for a new app.
    pub from: Option<u64>,
    /// Nothing would change.
    pub unchanged: bool,
    /// What differs from the release it has now.
    pub changes: Vec<Change>,
    /// What would be placed, stopped or replaced, and why.
    pub steps: Vec<String>,
    /// What would wait, and why.
    pub waiting: Vec<String>,
    /// What reads differently from what one may expect.
    pub notes: Vec<ReadingNote>,
    /// Revision of the app that this plan is about; hand it back as `If-Match`.
    pub revision: u64,
}

/// One difference between two releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Where in the specification, e.g. `services.web.image`.
    pub path: String,
    /// What it was; absent when it is new.
    pub from: Option<String>,
    /// What it is; absent when it is gone.
    pub to: Option<String>,
}

/// What is wanted of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppGoal {
    /// It runs.
    Run,
    /// It is stopped; its data and definition stay.
    Stop,
    /// It goes, and its volumes stay.
    Remove,
    /// It goes with its volumes.
    Purge,
}

/// How an app is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppStatus {
    /// All wanted instances are healthy.
    Healthy,
    /// A deployment is under way.
    Deploying,
    /// Some wanted instances are not healthy.
    Degraded,
    /// None is.
    Down,
    /// An instance has no host that fits.
    Pending,
    /// It is to be stopped, and is.
    Stopped,
    /// It is on its way out.
    Removing,
}

/// An app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppView {
    /// Its name.
    pub name: String,
    /// Its environment.
    pub environment: String,
    /// What is wanted of it.
    pub goal: AppGoal,
    /// How it is.
    pub status: AppStatus,
    /// The release that is wanted.
    pub release: u64,
    /// Instances that are wanted; those of groups that run on every host are counted as they are.
    pub wanted: u32,
    /// Instances that are healthy.
    pub healthy: u32,
    /// Its groups.
    pub groups: Vec<GroupView>,
    /// What runs where.
    pub allocations: Vec<AllocationView>,
    /// Where its data is, also that of instances which are stopped at present.
    #[serde(default)]
    pub volumes: Vec<VolumeView>,
    /// The newest move to another host.
    #[serde(default)]
    pub moving: Option<MoveView>,
    /// Its data on hosts where it does not live any more.
    #[serde(default)]
    pub old_data: Vec<OldDataView>,
    /// Instances whose data is on a host that was lost, and that may come back from a backup.
    #[serde(default)]
    pub stranded: Vec<StrandedView>,
    /// The newest move between releases.
    pub deployment: Option<DeploymentView>,
    /// The moves before that one, newest first, as far as they are remembered; a list of apps leaves them out.
    #[serde(default)]
    pub earlier_deployments: Vec<DeploymentView>,
    /// When its first release was made.
    pub created: Time,
    /// Grows with each change of what people can change; the `ETag` of the resource.
    pub revision: u64,
}

/// A group of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its services.
    pub services: Vec<String>,
    /// Instances that are wanted; absent for one on every host that fits.
    pub replicas: Option<u32>,
    /// Never two at once that could write the same data.
    pub exclusive: bool,
    /// Why something wanted does not happen.
    pub waiting: Vec<String>,
}

/// One placed instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AllocationView {
    /// Its id.
    pub id: AllocationId,
    /// Which group.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// Where.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Of which release.
    pub release: u64,
    /// Grows with each decision about its slot.
    pub epoch: u64,
    /// To run, or to be stopped.
    pub run: bool,
    /// As its agent last reported.
    pub state: AllocationState,
    /// Its host was given up: nothing is known of it.
    pub lost: bool,
    /// Since when.
    pub since: Time,
    /// Why it stands as it does.
    pub reason: Option<String>,
    /// Last output of the container that failed.
    pub log: Option<String>,
    /// Why it was placed there.
    pub why: String,
}

/// A volume of an app on the host that has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct VolumeView {
    /// Its name in the app: a named volume, or a path beside the compose file that something writes to.
    pub name: String,
    /// Of which group.
    pub group: String,
    /// Of which of the group's instances, from zero.
    pub slot: u32,
    /// Where.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Its data came from a snapshot, because the host that had it was lost.
    #[serde(default)]
    pub restored: Option<RestoredView>,
}

/// Data that came from a snapshot, because the host that had it was lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct RestoredView {
    /// The name of the host that was lost.
    pub from_host: String,
    /// Moment that the data is of.
    pub taken: Time,
    /// What was written for so long before that host was declared down is lost, milliseconds.
    pub lost_ms: u64,
    /// When it was back.
    pub at: Time,
}

/// How it stands with data on a host that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrandedState {
    /// A backup is being brought back.
    Returning,
    /// A backup comes back as soon as a host has room for it, or after a pause.
    Waiting,
    /// The newest usable backup is older than the app allows: a person says whether it comes back so.
    TooOld,
    /// Nothing can be brought back: there is no usable backup, or each was tried and failed.
    Stuck,
}

/// An instance whose data is on a host that was lost, and that may come back from a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct StrandedView {
    /// Of which group.
    pub group: String,
    /// Which of the group's instances, from zero.
    pub slot: u32,
    /// What of it is there: named volumes, and paths beside the compose file that something writes to.
    pub volumes: Vec<String>,
    /// The host that was lost.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Since when that is down.
    pub down: Time,
    /// How it stands.
    pub state: StrandedState,
    /// Moment that the newest usable backup is of, when there is one.
    pub taken: Option<Time>,
    /// What was written for so long before the host was declared down is lost when that comes back, milliseconds.
    pub lost_ms: Option<u64>,
    /// How old it may be by what the app says, milliseconds; absent when that does not stand in the way.
    pub allowed_ms: Option<u64>,
    /// The same in a sentence.
    pub why: String,
}

/// An instance may come back with older data than its app allows, this once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptLoss {
    /// Which group; `main` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Which of its instances, from zero.
    #[serde(default)]
    pub slot: u32,
}

/// How a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Instances are being replaced.
    Running,
    /// Waits for a person.
    Paused,
    /// All instances are of the new release and healthy.
    Done,
    /// It failed, and there was nothing to go back to.
    Failed,
    /// It failed, and the app went back to the release before.
    RolledBack,
    /// Another took its place.
    Superseded,
    /// A person gave it up.
    Aborted,
}

/// The move of an app to a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentView {
    /// Its id.
    pub id: DeploymentId,
    /// The release before; absent for the first.
    pub from: Option<u64>,
    /// The release it goes to.
    pub to: u64,
    /// It goes back.
    pub back: bool,
    /// How it stands.
    pub state: DeploymentState,
    /// When it began.
    pub started: Time,
    /// Since when it has this state.
    pub since: Time,
    /// Who began it.
    pub by: String,
    /// Instances that are wanted.
    pub wanted: u32,
    /// Instances of the new release that are healthy.
    pub done: u32,
    /// Why it stands as it does.
    pub reason: Option<String>,
    /// Last output of the container that failed.
    pub log: Option<String>,
}

/// A release of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseView {
    /// Its number.
    pub number: u64,
    /// It is the wanted one.
    pub current: bool,
    /// When it was made.
    pub created: Time,
    /// Who made it.
    pub author: String,
    /// From which commit, branch or file.
    pub source: Option<String>,
    /// What was to be remembered.
    pub note: Option<String>,
    /// Digest of its specification: equal when releases are.
    pub digest: String,
    /// Images it runs.
    pub images: Vec<String>,
    /// Files that travel with it.
    pub files: u32,
}

/// Filters of the list of apps. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AppsQuery {
    /// This environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// With an instance on this host, by name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Names that contain this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Moves an app to a release it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which; absent for the one before the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// Changes what is wanted of an app; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApp {
    /// Run or stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<AppGoal>,
    /// Instances by group; `null` goes back to what the release says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<BTreeMap<String, Option<u32>>>,
}

/// What a person does about a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SteerAction {
    /// Nothing more is replaced for now.
    Pause,
    /// Goes on.
    Resume,
    /// Goes on without waiting for health.
    Promote,
    /// Goes back to the release before.
    Abort,
}

/// Takes a hand in a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SteerDeployment {
    /// What to do.
    pub action: SteerAction,
}

/// How an app is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RemoveAppQuery {
    /// Its volumes go too. Their data is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<bool>,
}

/// Where an app runs and why not elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Each group's verdicts.
    pub groups: Vec<GroupExplanation>,
}

/// One group's verdicts, host by host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupExplanation {
    /// The group.
    pub group: String,
    /// Why something wanted does not happen.
    pub waiting: Vec<String>,
    /// One for each host.
    pub hosts: Vec<HostExplanation>,
}

/// What speaks for and against a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostExplanation {
    /// The host.
    pub host: String,
    /// The group runs there now.
    pub runs: bool,
    /// It may be placed there.
    pub fits: bool,
    /// Why not; empty when it fits.
    pub against: Vec<String>,
    /// Points, more being better; absent when it does not fit.
    pub score: Option<i64>,
    /// What the points are made of.
    pub parts: Vec<String>,
}

/// Empties a host, or ends that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainHost {
    /// Empty it; `false` lets it take work again.
    pub drain: bool,
    /// What has not found another place after so many seconds is stopped; absent for waiting as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

/// Which releases are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The one.
    pub from: u64,
    /// The other.
    pub to: u64,
}
