//! Requests to hosts and to other controllers, for the API.

use crate::app::ports::{
    AgentInput, AgentReplies, AgentStream, ControllerStatus, Group, MembershipError, Mesh, MeshError,
    ProposeError,
};
use crate::ingest::{AgentPipe, Gateway, peer_status};
use crate::peer::wire::{MemberChange, PeerStatus};
use crate::peer::{PeerAnswer, PeerCall};
use crate::raft::{NodeError, RaftNode, RaftRole};
use async_trait::async_trait;
use futures_util::future::join_all;
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{AgentRequest, GatewayFrame, ReplyFrame, RequestInput};
use omni_transport::{FrameReader, FrameWriter};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A controller that does not tell its status by then is shown as unreachable.
const STATUS_WITHIN: Duration = Duration::from_secs(1);
/// A change of members, with the catching-up it includes.
const MEMBERS_WITHIN: Duration = Duration::from_secs(30);
/// A hand-over that has not happened by then will not.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);
/// Watched hosts sample this often …
const WATCH_INTERVAL_MS: u32 = 1_000;
/// … for this long after somebody last looked.
const WATCH_FOR_MS: u32 = 15_000;

/// This controller's way to agents and peers.
pub(crate) struct MeshRouter {
    gateway: Arc<Gateway>,
}

impl MeshRouter {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    fn node(&self) -> &RaftNode {
        &self.gateway.link.node
    }

    fn address(&self, id: ControllerId) -> Option<String> {
        let state = self.gateway.store.current();
        state.controllers.get(&id).map(|controller| controller.quic.clone())
    }

    /// One membership call on whichever controller leads.
    async fn on_leader(&self, call: PeerCall) -> Result<(), MembershipError> {
        let leader = self.node().leader().ok_or(ProposeError::NoLeader)?;
        if leader == self.gateway.me {
            match call {
                PeerCall::Members(MemberChange::Remove(id)) => self.node().remove_member(id).await,
                PeerCall::TransferLeader(to) => hand_over(self.node(), to).await,
                _ => Err(NodeError::Refused("not a membership call".to_owned())),
            }
            .map_err(membership)
        } else {
            let address = self.address(leader).ok_or(ProposeError::NoLeader)?;
            match self.gateway.link.peers.call(leader, &address, &call, MEMBERS_WITHIN).await {
                Ok(PeerAnswer::Done) => Ok(()),
                Ok(PeerAnswer::Refused { message, .. }) => Err(MembershipError::Refused(message)),
                Ok(_) => Err(ProposeError::NoLeader.into()),
                Err(error) => Err(ProposeError::Failed(error.to_string()).into()),
            }
        }
    }

    async fn ask_status(&self, id: ControllerId, address: &str) -> Option<PeerStatus> {
        if id == self.gateway.me {
            return Some(peer_status(&self.gateway));
        }
        match self.gateway.link.peers.call(id, address, &PeerCall::Status, STATUS_WITHIN).await {
            Ok(PeerAnswer::Status(status)) => Some(*status),
            _ => None,
        }
    }
}

fn membership(error: NodeError) -> MembershipError {
    match error {
        NodeError::NotLeader(_) => ProposeError::NoLeader.into(),
        NodeError::Disk(reason) => ProposeError::ReadOnly(reason).into(),
        NodeError::Stopped(_) => ProposeError::Stopping.into(),
        NodeError::Refused(reason) => MembershipError::Refused(reason),
    }
}

/// Hands leadership to `to`, or to the voter whose log is furthest, and waits until somebody else leads.
pub(crate) async fn hand_over(node: &RaftNode, to: Option<ControllerId>) -> Result<(), NodeError> {
    let status = node.status();
    if status.role != RaftRole::Leader {
        return Err(NodeError::NotLeader(status.leader));
    }
    let best = status
        .matched
        .iter()
        .filter(|(id, _)| **id != status.id && status.voters.contains(id))
        .max_by_key(|(_, matched)| **matched)
        .map(|(id, _)| *id);
    let to = match to {
        Some(to) if to == status.id => return Ok(()),
        Some(to) if status.voters.contains(&to) => to,
        Some(to) => {
            return Err(NodeError::Refused(format!("controller {to} has no vote and cannot lead")));
        }
        None => {
            best.ok_or_else(|| NodeError::Refused("there is no other controller with a vote".to_owned()))?
        }
    };
    node.transfer_leader(to).await?;
    let changed = async {
        let mut leader = Some(status.id);
        while leader.is_none_or(|id| id == status.id) {
            leader = node.leader_change(leader).await;
        }
    };
    tokio::time::timeout(HAND_OVER_WITHIN, changed)
        .await
        .map_err(|_| NodeError::Refused(format!("controller {to} did not take over in time")))
}

#[async_trait]
impl Mesh for MeshRouter {
    async fn open(&self, host: HostId, request: AgentRequest) -> Result<AgentStream, MeshError> {
        let AgentPipe { input, replies } = self.gateway.open_agent(host, request).await?;
        Ok(AgentStream { input: Box::new(Input(input)), replies: Box::new(Replies(replies)) })
    }

    fn watch(&self, hosts: &[HostId]) {
        let mut elsewhere: BTreeMap<ControllerId, Vec<HostId>> = BTreeMap::new();
        for host in hosts {
            match self.gateway.sessions.get(*host) {
                Some(session) => {
                    let frame = GatewayFrame::Watch { interval_ms: WATCH_INTERVAL_MS, for_ms: WATCH_FOR_MS };
                    // A full queue means that the agent does not read and will be cut.
                    session.control.try_send(frame).ok();
                }
                None => {
                    if let Some((gateway, _)) = self.gateway.observed.session(*host) {
                        elsewhere.entry(gateway).or_default().push(*host);
                    }
                }
            }
        }
        for (id, hosts) in elsewhere {
            let Some(address) = self.address(id) else { continue };
            let peers = self.gateway.link.peers.clone();
            tokio::spawn(async move {
                let call = PeerCall::Watch { hosts, interval_ms: WATCH_INTERVAL_MS, for_ms: WATCH_FOR_MS };
                if let Err(error) = peers.call(id, &address, &call, STATUS_WITHIN).await {
                    tracing::debug!(peer = %id, error = %error, "a gateway was not told that its hosts are watched");
                }
            });
        }
    }

    fn leader(&self) -> Option<ControllerId> {
        self.node().leader()
    }

    async fn group(&self) -> Group {
        let state = self.gateway.store.current();
        let asked =
            state.controllers.values().map(|controller| self.ask_status(controller.id, &controller.quic));
        let statuses: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let mine = self.node().status();
        Group {
            leader: mine.leader,
            voters: mine.voters.into_iter().collect(),
            reached: statuses.into_iter().map(controller_status).collect(),
        }
    }

    async fn transfer(&self, to: Option<ControllerId>) -> Result<ControllerId, MembershipError> {
        let before = self.node().leader();
        self.on_leader(PeerCall::TransferLeader(to)).await?;
        let settled = async {
            let mut leader = self.node().leader();
            loop {
                match (leader, to) {
                    (Some(leader), Some(to)) if leader == to => return leader,
                    (Some(leader), None) if Some(leader) != before => return leader,
                    _ => leader = self.node().leader_change(leader).await,
                }
            }
        };
        let late = |_| MembershipError::Refused("leadership was not handed over in time".to_owned());
        tokio::time::timeout(HAND_OVER_WITHIN, settled).await.map_err(late)
    }

    async fn leave(&self, controller: ControllerId) -> Result<(), MembershipError> {
        self.on_leader(PeerCall::Members(MemberChange::Remove(controller))).await?;
        self.gateway.link.peers.forget(controller).await;
        Ok(())
    }
}

fn controller_status(status: PeerStatus) -> ControllerStatus {
    ControllerStatus {
        id: status.raft.id,
        last_log: status.raft.last_log,
        applied: status.raft.applied,
        snapshot: status.raft.snapshot,
        disk_error: status.raft.disk_error,
        sessions: status.sessions,
        version: status.version,
    }
}

struct Input(FrameWriter<RequestInput>);

#[async_trait]
impl AgentInput for Input {
    async fn send(&mut self, input: RequestInput) -> Result<(), MeshError> {
        self.0.send(&input).await.map_err(|error| MeshError::Lost(error.to_string()))
    }
}

struct Replies(FrameReader<ReplyFrame>);

#[async_trait]
impl AgentReplies for Replies {
    async fn next(&mut self) -> Result<Option<ReplyFrame>, MeshError> {
        self.0.next().await.map_err(|error| MeshError::Lost(error.to_string()))
    }
}
