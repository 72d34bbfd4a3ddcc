//! Questions to a host's agent.

use super::ports::{AgentStream, MeshError};
use super::{App, AppError};
use crate::state::Host;
use omni_common::wire::{AgentRequest, ReplyFrame};
use std::time::Duration;
use tokio::time::timeout;

/// An agent that has not begun to answer by then will not: its session is about to be given up.
pub(crate) const AGENT_DEADLINE: Duration = Duration::from_secs(10);

impl App {
    /// Opens a request to a host's agent.
    pub(crate) async fn open(&self, host: &Host, request: AgentRequest) -> Result<AgentStream, AppError> {
        match timeout(AGENT_DEADLINE, self.mesh.open(host.id, request)).await {
            Ok(opened) => opened.map_err(|source| lost(&host.name, source)),
            Err(_) => Err(silent(&host.name)),
        }
    }

    /// Asks a question with a short answer; `take` says whether it wants another frame.
    pub(crate) async fn ask(
        &self,
        host: &Host,
        request: AgentRequest,
        mut take: impl FnMut(ReplyFrame) -> Result<(), ReplyFrame>,
    ) -> Result<(), AppError> {
        let answered = async {
            let mut stream = self.open(host, request).await?;
            loop {
                match next(&host.name, &mut stream).await? {
                    None | Some(ReplyFrame::End) => return Ok(()),
                    Some(ReplyFrame::Started) => {}
                    Some(frame) => take(frame).map_err(|_| unexpected(&host.name))?,
                }
            }
        };
        timeout(AGENT_DEADLINE, answered).await.unwrap_or_else(|_| Err(silent(&host.name)))
    }
}

/// The next frame of an answer; the agent's own refusal becomes an error.
pub(crate) async fn next(host: &str, stream: &mut AgentStream) -> Result<Option<ReplyFrame>, AppError> {
    let frame = stream.replies.next().await.map_err(|source| lost(host, source))?;
    match frame {
        Some(ReplyFrame::Failed { code, message }) => {
            Err(AppError::Agent { host: host.to_owned(), code, message })
        }
        other => Ok(other),
    }
}

pub(crate) fn lost(host: &str, source: MeshError) -> AppError {
    AppError::Mesh { host: host.to_owned(), source }
}

pub(crate) fn silent(host: &str) -> AppError {
    AppError::AgentSilent { host: host.to_owned(), seconds: AGENT_DEADLINE.as_secs() }
}

pub(crate) fn unexpected(host: &str) -> AppError {
    AppError::AgentProtocol { host: host.to_owned() }
}
