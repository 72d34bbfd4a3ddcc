//! What can be asked of the state.
//!
//! Entries of the Raft log are [`Proposal`]s in the house codec, so variants of [`Command`] are only ever
//! appended and their fields never change; a new shape is a new variant. `tests.rs` pins the bytes.

mod steps;

pub use steps::{MoveStep, NewRelease, NewSecret, PlanStep, RunStep, Steer};

use super::model::*;
use omni_common::clock::Time;
use omni_common::domain::backup::PolicyOptions;
use omni_common::domain::{HostFacts, SecretName};
use omni_common::ids::{BootId, ClusterId, ControllerId, DeploymentId, HostId, RequestId, RunId, TokenId};
use omni_common::wire::{AllocationReport, OfflineRun, RunReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A command with everything `apply` needs to know from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Chosen by whoever asks. The same id applies once.
    pub request: RequestId,
    /// Digest of what was asked, where the asker chose the id; see [`StoredReply::fingerprint`].
    pub fingerprint: Option<[u8; 32]>,
    /// Wall time at the controller that took the request.
    pub at: Time,
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub command: Command,
}

/// Where a proposal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorKind {
    /// omni itself: a reconciler or detector. Not audited.
    System,
    /// The holder of an API token. Audited.
    Token,
    /// A machine that enrols or renews. Audited when it changes membership.
    Machine,
    /// A person, signed in or signing in. Audited.
    User,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Where the proposal comes from.
    pub kind: ActorKind,
    /// For people, e.g. `token:admin`, `user:ann` or `host:web-1`.
    pub name: String,
    /// With which role.
    pub role: Option<ApiRole>,
    /// From which address.
    pub from: Option<String>,
}

impl Actor {
    /// omni itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, name: "omni".to_owned(), role: None, from: None }
    }

    /// A person at an address.
    pub fn user(name: &str, role: Option<ApiRole>, from: Option<String>) -> Self {
        Self { kind: ActorKind::User, name: format!("user:{name}"), role, from }
    }

    /// A machine at an address.
    pub fn machine(name: impl Into<String>, from: impl Into<String>) -> Self {
        Self { kind: ActorKind::Machine, name: name.into(), role: None, from: Some(from.into()) }
    }
}

/// An event that the proposer saw; `apply` numbers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When.
    pub at: Time,
    /// Topic.
    pub topic: String,
    /// Kind within the topic.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// The host it is about.
    pub host: Option<HostId>,
    /// More facts.
    pub data: BTreeMap<String, String>,
}

/// A refused or otherwise notable call that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAudit {
    /// When.
    pub at: Time,
    /// Who.
    pub who: String,
    /// With which role.
    pub role: Option<String>,
    /// From which address.
    pub from: Option<String>,
    /// What was asked.
    pub action: String,
    /// Of what.
    pub target: String,
    /// Stable word.
    pub outcome: String,
    /// One sentence.
    pub detail: Option<String>,
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A host's.
    Host(HostId),
    /// A controller's.
    Controller(ControllerId),
}

/// A change of a host's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTransition {
    /// Which host.
    pub host: HostId,
    /// What it became.
    pub status: HostStatus,
    /// The agent's start, when a heartbeat told it.
    pub boot: Option<BootId>,
}

/// What an operator changes about a host. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPatch {
    /// Labels to set.
    pub set_labels: BTreeMap<String, String>,
    /// Labels to remove.
    pub remove_labels: Vec<String>,
    /// Stop or resume placing on it.
    pub cordoned: Option<bool>,
    /// Its own failure detection; `Some(None)` goes back to the cluster's.
    pub liveness: Option<Option<LivenessConfig>>,
}

/// Everything that can change the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// First entry of every cluster.
    Bootstrap {
        /// The cluster's id.
        cluster: ClusterId,
        /// Root certificate, DER.
        ca_cert: Vec<u8>,
        /// Root key, sealed under the cluster key.
        ca_key_sealed: Vec<u8>,
        /// The first controller; its number must be 1.
        controller: Controller,
        /// The first tokens.
        api_tokens: Vec<ApiToken>,
        /// The first join tokens.
        join_tokens: Vec<JoinToken>,
    },
    /// A new join token.
    CreateJoinToken(JoinToken),
    /// Takes a join token back.
    DeleteJoinToken(TokenId),
    /// A new API token.
    CreateApiToken(ApiToken),
    /// Takes an API token back.
    DeleteApiToken(TokenId),
    /// A machine becomes a host.
    EnrollHost {
        /// Token it shows.
        token: TokenId,
        /// Hash of the secret it shows.
        secret: omni_certs::SecretHash,
        /// Id for it.
        host: HostId,
        /// Wanted name.
        name: String,
        /// Labels it asks for; the token's are laid over them.
        labels: BTreeMap<String, String>,
        /// Region.
        region: Option<String>,
        /// Zone.
        zone: Option<String>,
    },
    /// A machine becomes a controller.
    EnrollController {
        /// Token it shows.
        token: TokenId,
        /// Hash of the secret it shows.
        secret: omni_certs::SecretHash,
        /// Wanted name.
        name: String,
        /// Its QUIC address.
        quic: String,
        /// Its API address.
        api: String,
        /// Region.
        region: Option<String>,
        /// Zone.
        zone: Option<String>,
        /// Version it runs.
        version: String,
    },
    /// Notes a certificate that was issued.
    RecordCertificate {
        /// Whose.
        subject: Subject,
        /// Serial number, hex.
        serial: String,
        /// When it ends.
        not_after: Time,
    },
    /// Changes of hosts' status, from the leader's detector.
    HostTransitions(Vec<HostTransition>),
    /// A host's facts changed.
    RecordFacts {
        /// Which host.
        host: HostId,
        /// Its facts.
        facts: Box<HostFacts>,
    },
    /// An operator changes a host.
    UpdateHost {
        /// Which host.
        host: HostId,
        /// What changes.
        patch: HostPatch,
        /// Revision the operator saw; refused when it is no longer the current one.
        expect: Option<u64>,
    },
    /// Revokes a host.
    RemoveHost(HostId),
    /// Revokes a controller. It has left the Raft group before.
    RemoveController(ControllerId),
    /// A controller started, perhaps elsewhere or in another version.
    UpdateController {
        /// Which.
        controller: ControllerId,
        /// Its QUIC address.
        quic: String,
        /// Its API address.
        api: String,
        /// Version it runs.
        version: String,
    },
    /// A new environment.
    CreateEnvironment(String),
    /// Removes an environment.
    DeleteEnvironment(String),
    /// Events from gateways.
    RecordEvents(Vec<NewEvent>),
    /// Audit entries of calls that changed nothing.
    RecordAudit(Vec<NewAudit>),
    /// Sets failure detection for all hosts that have none of their own.
    SetLiveness(LivenessConfig),
    /// A new release of an app, which comes into being with its first.
    CreateRelease(Box<NewRelease>),
    /// Moves an app to a release that it has.
    MoveApp {
        /// Which app.
        app: AppKey,
        /// Id for the move.
        deployment: DeploymentId,
        /// The release.
        to: u64,
        /// Revision the caller saw.
        expect: Option<u64>,
    },
    /// Starts, stops or removes an app.
    SetGoal {
        /// Which app.
        app: AppKey,
        /// What is wanted.
        goal: Goal,
        /// Revision the caller saw.
        expect: Option<u64>,
    },
    /// Asks for so many instances of groups, whatever the release says.
    ScaleApp {
        /// Which app.
        app: AppKey,
        /// Instances by group; absent goes back to what the release says.
        replicas: BTreeMap<String, Option<u32>>,
        /// Revision the caller saw.
        expect: Option<u64>,
    },
    /// Replaces all instances by fresh ones of the same release, under its rules.
    RestartApp {
        /// Which app.
        app: AppKey,
        /// Id for the move.
        deployment: DeploymentId,
    },
    /// An operator takes a hand in a deployment.
    SteerDeployment {
        /// Which app.
        app: AppKey,
        /// Which deployment; refused when it is not the open one.
        deployment: DeploymentId,
        /// Id for the move back, should this be one.
        back: DeploymentId,
        /// What to do.
        what: Steer,
    },
    /// Begins or ends to empty a host.
    DrainHost {
        /// Which host.
        host: HostId,
        /// Empty it, or let it take work again.
        drain: bool,
        /// What has not found another place by then is stopped.
        deadline: Option<Time>,
    },
    /// What the leader's planner decided.
    AdoptPlan {
        /// [`State::plan_version`] that the plan was made from; refused when it is no longer that.
        based_on: u64,
        /// The decisions, in order.
        steps: Vec<PlanStep>,
    },
    /// What became of a host's allocations.
    RecordAllocations {
        /// Which host.
        host: HostId,
        /// The host's full account: it knows of no others.
        all: bool,
        /// One for each allocation that changed.
        reports: Vec<AllocationReport>,
    },
    /// What Alertmanager said, by fingerprint. An alert whose `resolved` is set is taken back.
    RecordAlerts {
        /// Its receiver, for the audit trail.
        receiver: String,
        /// Alerts that it left out.
        truncated: u64,
        /// The others.
        alerts: Vec<(String, Alert)>,
    },
    /// An operator takes an alert out of view; it comes back when it is reported again.
    DismissAlert(String),
    /// A new version of a secret, which comes into being with its first.
    PutSecret {
        /// Its name.
        name: SecretName,
        /// The value, sealed for that name.
        version: NewSecret,
        /// Revision the caller saw; zero when it must not exist yet.
        expect: Option<u64>,
    },
    /// Forgets a version of a secret, or all of it.
    DeleteSecret {
        /// Its name.
        name: SecretName,
        /// Which version; absent for all.
        version: Option<u64>,
    },
    /// A new repository of backups.
    CreateRepository {
        /// The repository.
        repository: Box<BackupRepository>,
        /// Its password, when it was made for it.
        password: Option<NewSecret>,
    },
    /// Forgets a repository. What lies in it stays there.
    DeleteRepository(String),
    /// What holds for every app's backups that says nothing else.
    SetBackupDefaults(Box<BackupDefaults>),
    /// What is set by hand about an app's backups.
    SetBackupPolicy {
        /// Which app.
        app: AppKey,
        /// What is set; absent to go back to what its release says.
        policy: Option<Box<PolicyOptions>>,
    },
    /// Runs that somebody asks for, of one kind and for one app or repository.
    StartRuns {
        /// The runs; never none.
        runs: Vec<Run>,
        /// Stop the app for it, when that is needed.
        stop: bool,
    },
    /// Gives a run up.
    CancelRun(RunId),
    /// What the leader decided about runs.
    AdoptRuns(Vec<RunStep>),
    /// What a host says of a run.
    RecordRun {
        /// Which host.
        host: HostId,
        /// What it says.
        report: Box<RunReport>,
    },
    /// Whether the agent of a host does runs.
    RecordRunner {
        /// Which host.
        host: HostId,
        /// It does.
        able: bool,
    },
    /// A person accepts that an instance comes back with older data than its app allows, once.
    AcceptLoss {
        /// Which app.
        app: AppKey,
        /// Which group.
        group: String,
        /// Which instance.
        slot: u32,
    },
    /// A new person.
    CreateUser(Box<User>),
    /// An admin, or the person, changes a person.
    UpdateUser {
        /// Which.
        user: String,
        /// What changes.
        patch: Box<UserPatch>,
        /// Revision the caller saw.
        expect: Option<u64>,
    },
    /// Removes a person, and all sessions of theirs.
    RemoveUser(String),
    /// A person signed in.
    StartSession(Box<UserSession>),
    /// Someone shows a join token for admins and becomes one.
    EnrollAdmin {
        /// Token they show.
        token: TokenId,
        /// Hash of the secret they show.
        secret: omni_certs::SecretHash,
        /// Who they are.
        user: Box<User>,
        /// The session that begins with it.
        session: Box<UserSession>,
    },
    /// Sessions that were used lately, each with when.
    TouchSessions(Vec<(TokenId, Time)>),
    /// Ends one session.
    EndSession {
        /// Whose.
        user: String,
        /// Which.
        session: TokenId,
    },
    /// Ends all sessions of a person, or all but one.
    EndSessions {
        /// Whose.
        user: String,
        /// The one that stays.
        except: Option<TokenId>,
    },
    /// Sets the OpenID provider, or takes it away.
    SetOidc(Option<Box<OidcSettings>>),
    /// The OpenID provider vouched for a person, who comes into being with it or takes what the provider says now.
    EnterOidc {
        /// Who they are and what they may do by the provider's word.
        user: Box<User>,
        /// The session that begins with it.
        session: Box<UserSession>,
    },
    /// Somebody moves an app to another host.
    StartMove(Box<Move>),
    /// What the leader decided about moves.
    AdoptMoves(Vec<MoveStep>),
    /// Somebody says that data which an app has left on these hosts may go.
    ConfirmMove {
        /// Which app.
        app: AppKey,
        /// The hosts; never none.
        hosts: Vec<HostId>,
    },
    /// Somebody gives a move up, or takes it back: the app goes on where it was.
    ReturnMove(AppKey),
    /// What a host did by itself while no controller was reachable. The same run is recorded once.
    RecordOffline {
        /// Which host.
        host: HostId,
        /// What it did, or is doing.
        run: Box<OfflineRun>,
    },
}

/// What changes about a person. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPatch {
    /// What they are called; `Some(None)` for nothing.
    pub display_name: Option<Option<String>>,
    /// What they may do.
    pub role: Option<ApiRole>,
    /// Where.
    pub places: Option<Vec<String>>,
    /// Whether they may come in.
    pub disabled: Option<bool>,
    /// A new password. All sessions end with the old one, but for `keep`.
    pub password: Option<PasswordHash>,
    /// The session that outlives a new password.
    pub keep: Option<TokenId>,
}

/// What a command gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing beyond being done.
    Done,
    /// A host.
    Host(HostId),
    /// A controller.
    Controller(ControllerId),
    /// A token.
    Token(TokenId),
    /// A release of an app, by its number.
    Release(u64),
    /// A version of a secret, by its number.
    Secret(u64),
    /// Runs.
    Runs(Vec<RunId>),
}

/// Why a command was turned down. Codes are stable words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// No such thing.
    NotFound,
    /// Another one has that name.
    NameTaken,
    /// No such token, or its secret is wrong; the two are not told apart.
    TokenUnknown,
    /// The token's time is over.
    TokenExpired,
    /// The token has been used as often as it may.
    TokenUsed,
    /// The token is for the other role.
    TokenRole,
    /// The thing changed since the asker saw it.
    RevisionMismatch,
    /// The request cannot be met in this state.
    Conflict,
    /// A name, label or value is not acceptable.
    Invalid,
    /// The request id was used for something else.
    RequestReused,
    /// The cluster exists already, or not yet.
    Bootstrap,
}

impl RefusalCode {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NameTaken => "name_taken",
            Self::TokenUnknown => "token_unknown",
            Self::TokenExpired => "token_expired",
            Self::TokenUsed => "token_used",
            Self::TokenRole => "token_role",
            Self::RevisionMismatch => "revision_mismatch",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::RequestReused => "request_reused",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// A command that was turned down: a normal, replicated answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable word.
    pub code: RefusalCode,
    /// One sentence with what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The answer to a proposal.
pub type Outcome = Result<Reply, Refusal>;
