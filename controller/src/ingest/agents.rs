//! Requests to agents, whichever controller holds their session.

use super::accept::Gateway;
use crate::app::ports::MeshError;
use crate::peer::{PeerAnswer, PeerCall};
use omni_common::ids::{ControllerId, HostId};
use omni_common::wire::{AgentRequest, ReplyFrame, RequestInput};
use omni_transport::{FrameReader, FrameWriter};
use std::time::Duration;

/// Opening a stream to an agent takes at most this long.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// A gateway's word for an agent that does not know a request.
pub(super) const OUTDATED: &str = "outdated";

/// Both directions of a request to an agent.
pub(crate) struct AgentPipe {
    /// Towards it.
    pub(crate) input: FrameWriter<RequestInput>,
    /// From it.
    pub(crate) replies: FrameReader<ReplyFrame>,
}

impl Gateway {
    /// Opens a request to a host's agent.
    pub(crate) async fn open_agent(
        &self,
        host: HostId,
        request: AgentRequest,
    ) -> Result<AgentPipe, MeshError> {
        let opening = async {
            if let Some(opened) = self.open_here(host, &request).await {
                return opened;
            }
            let (gateway, _) = self.observed.session(host).ok_or(MeshError::NotConnected)?;
            self.open_there(gateway, host, request).await
        };
        let late = |_| MeshError::Gateway("the host did not answer in time".to_owned());
        tokio::time::timeout(OPEN_WITHIN, opening).await.map_err(late)?
    }

    async fn open_here(&self, host: HostId, request: &AgentRequest) -> Option<Result<AgentPipe, MeshError>> {
        let session = self.sessions.get(host)?;
        if !session.answers(request) {
            return Some(Err(MeshError::Outdated));
        }
        let opened = async {
            let (send, receive) = session.connection.open_bi().await?;
            let mut input = FrameWriter::<AgentRequest>::new(send);
            input.send(request).await?;
            let input = FrameWriter::new(input.into_inner());
            Ok::<_, omni_transport::TransportError>(AgentPipe { input, replies: FrameReader::new(receive) })
        };
        Some(opened.await.map_err(|error| MeshError::Lost(error.to_string())))
    }

    async fn open_there(
        &self,
        gateway: ControllerId,
        host: HostId,
        request: AgentRequest,
    ) -> Result<AgentPipe, MeshError> {
        let state = self.store.current();
        let controller = state.controllers.get(&gateway).ok_or(MeshError::NotConnected)?;
        let call = PeerCall::Agent { host, request };
        let failed = |error: &dyn std::fmt::Display| MeshError::Gateway(error.to_string());
        let opened = self.link.peers.open(gateway, &controller.quic, &call).await;
        let (calls, mut answers) = opened.map_err(|error| failed(&error))?;
        match answers.next().await.map_err(|error| failed(&error))? {
            Some(PeerAnswer::Open) => {
                let input = FrameWriter::new(calls.into_inner());
                Ok(AgentPipe { input, replies: answers.followed_by() })
            }
            Some(PeerAnswer::Refused { code, .. }) if code == "not_connected" => Err(MeshError::NotConnected),
            Some(PeerAnswer::Refused { code, .. }) if code == OUTDATED => Err(MeshError::Outdated),
            _ => Err(MeshError::Gateway("it gave an answer of another kind".to_owned())),
        }
    }
}
