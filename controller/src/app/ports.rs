//! What the use cases need from the rest of the controller, as traits: the real parts implement them, and
//! router tests put small ones in their place.

use crate::rollout::Foreign;
use crate::state::{Outcome, Proposal, State};
use async_trait::async_trait;
use omni_common::clock::Time;
use omni_common::domain::backup::RunProgress;
use omni_common::domain::{Container, HostImage, HostSample};
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{AgentRequest, ReplyFrame, RequestInput};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// A proposal that went through the log.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its log index.
    pub index: u64,
    /// What `apply` answered.
    pub outcome: Outcome,
}

/// A proposal or a linearizable read got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nobody leads, and nobody came to lead within the deadline. Nothing was written.
    #[error("no controller leads at the moment")]
    NoLeader,
    /// The deadline passed with the outcome unknown: it may still be applied.
    #[error("the cluster did not answer in time; the change may still be applied")]
    Timeout,
    /// The disk of this controller or of the leader takes no more.
    #[error("the controllers take no writes: {0}")]
    ReadOnly(String),
    /// Too many proposals wait already.
    #[error("too many changes are waiting to be written")]
    Overloaded,
    /// This controller is stopping.
    #[error("this controller is shutting down")]
    Stopping,
    /// Something else failed.
    #[error("the change could not be written: {0}")]
    Failed(String),
}

/// The way into the Raft log, from any controller.
#[async_trait]
pub trait Propose: Send + Sync + 'static {
    /// Writes a proposal, on whichever controller leads. Waits, within a deadline of its own, for the entry to
    /// be applied here too, so that the caller reads its own write.
    async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError>;
}

/// Reads that see every acknowledged write.
#[async_trait]
pub trait LinearRead: Send + Sync + 'static {
    /// A state that holds every write acknowledged before this call.
    async fn linearizable(&self) -> Result<Arc<State>, ProposeError>;
}

/// What is known of a host beyond the replicated state. Immutable: a change makes a new one.
#[derive(Clone, Debug, Default)]
pub struct HostObserved {
    /// The controller that holds its session.
    pub gateway: Option<ControllerId>,
    /// When a gateway last heard from it.
    pub last_seen: Option<Time>,
    /// The newest sample, and when it got here.
    pub sample: Option<(Arc<HostSample>, Instant)>,
    /// Its containers by Docker id; absent until a whole listing came.
    pub containers: Option<Arc<BTreeMap<String, Container>>>,
    /// When its containers were last reported, here.
    pub containers_at: Option<Instant>,
    /// Its images that have a name, newest first; absent until a whole listing came.
    pub images: Option<Arc<Vec<HostImage>>>,
    /// How far its runs are, and when that got here.
    pub runs: Option<(Arc<Vec<RunProgress>>, Instant)>,
}

impl HostObserved {
    /// What containers that omni does not own take of it.
    pub(crate) fn foreign(&self) -> Foreign {
        let sample = self.sample.as_ref().map(|(sample, _)| &**sample);
        self.containers.as_ref().map_or_else(Foreign::default, |all| Foreign::of(all, sample))
    }
}

/// What hosts report, of all hosts, whichever controller is their gateway.
pub trait Observe: Send + Sync + 'static {
    /// What is known of one host.
    fn host(&self, host: HostId) -> Option<Arc<HostObserved>>;
    /// What is known of all hosts, in id order.
    fn hosts(&self) -> Vec<(HostId, Arc<HostObserved>)>;
    /// One-minute means of a host between two moments, oldest first.
    fn rollups(&self, host: HostId, from: Time, to: Time) -> Vec<HostSample>;
    /// Changes whenever a sample arrives.
    fn samples(&self) -> watch::Receiver<u64>;
}

/// A request could not be carried to a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// No controller holds a session of the host.
    #[error("the host is not connected to any controller")]
    NotConnected,
    /// Its gateway could not be reached.
    #[error("the host's controller cannot be reached: {0}")]
    Gateway(String),
    /// The stream broke.
    #[error("the connection to the host was lost: {0}")]
    Lost(String),
    /// Too many requests to that host are open.
    #[error("too many requests to this host are open")]
    Busy,
    /// Its agent does not know this request, or misses what it takes to answer it.
    #[error("the host's agent cannot do this: update omni-agent there")]
    Outdated,
}

/// What a host's agent answers on one request.
#[async_trait]
pub trait AgentReplies: Send {
    /// The next frame; absent after the last. Dropping the future loses nothing. While nobody calls this, the
    /// agent is held back by flow control.
    async fn next(&mut self) -> Result<Option<ReplyFrame>, MeshError>;
}

/// Later frames of a request, towards the agent.
#[async_trait]
pub trait AgentInput: Send {
    /// Sends one; waits while the agent does not read.
    async fn send(&mut self, input: RequestInput) -> Result<(), MeshError>;
}

/// A request that is being answered. Dropping it ends it at the agent too.
pub struct AgentStream {
    /// Towards the agent.
    pub input: Box<dyn AgentInput>,
    /// From the agent.
    pub replies: Box<dyn AgentReplies>,
}

/// A controller's part in the Raft group, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerStatus {
    /// Which.
    pub id: ControllerId,
    /// Index of the newest entry in its log.
    pub last_log: u64,
    /// Index of the newest entry it has applied.
    pub applied: u64,
    /// Index that its newest snapshot covers.
    pub snapshot: Option<u64>,
    /// Why its log cannot be written; absent while it can.
    pub disk_error: Option<String>,
    /// Hosts whose sessions it holds.
    pub sessions: u32,
    /// Its version.
    pub version: String,
}

/// The Raft group as this controller sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Who leads.
    pub leader: Option<ControllerId>,
    /// Who votes.
    pub voters: Vec<ControllerId>,
    /// Those that answered just now, this one included.
    pub reached: Vec<ControllerStatus>,
}

/// Membership of the Raft group could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// The group cannot do it now, and why.
    #[error("{0}")]
    Refused(String),
    /// There is no leader to do it.
    #[error(transparent)]
    Unavailable(#[from] ProposeError),
}

/// Requests to hosts and other controllers.
#[async_trait]
pub trait Mesh: Send + Sync + 'static {
    /// Opens a request to a host's agent through whichever controller holds its session.
    async fn open(&self, host: HostId, request: AgentRequest) -> Result<AgentStream, MeshError>;
    /// Somebody looks at these hosts: their agents sample each second for some seconds more.
    fn watch(&self, hosts: &[HostId]);
    /// Who leads, as far as this controller knows without asking.
    fn leader(&self) -> Option<ControllerId>;
    /// Asks every controller for its status; one that does not answer within a second is left out.
    async fn group(&self) -> Group;
    /// Hands leadership to a controller, or to the most caught-up one, and answers who leads then.
    async fn transfer(&self, to: Option<ControllerId>) -> Result<ControllerId, MembershipError>;
    /// Takes a controller out of the Raft group.
    async fn leave(&self, controller: ControllerId) -> Result<(), MembershipError>;
}
