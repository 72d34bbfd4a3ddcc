//! Requests that reach this host: logs, programs in containers, history, processes, images, files of snapshots, compose
//! projects. One stream each.
//!
//! ```text
//! session/requests.rs ──AgentRequest──▶ serve ──▶ logs | exec | history | processes | images/ | files | project | backup/locks.rs
//!                                         ◀── ReplyFrame: Started, what was asked for, End | Failed
//! ```
//!
//! Nothing is read from its source before the reader has taken what came before: back-pressure reaches from the
//! user's terminal through QUIC to the Docker engine, and a request holds a few hundred KiB at most.

pub mod converge;
mod exec;
mod files;
mod history;
pub mod lines;
mod logs;
mod processes;
mod project;
mod reply;
#[cfg(test)]
mod tests;

pub(crate) use exec::end_program;
pub use reply::{Ended, Failure, Reply, RequestStream};

use crate::backup::{Browser, Locksmith};
use crate::docker::Handle;
use crate::host::Host;
use crate::images::Images;
use omni_common::wire::AgentRequest;
use std::sync::Arc;

/// Answers requests on a real host.
pub struct Executors {
    docker: Handle,
    host: Host,
    images: Arc<Images>,
    browser: Browser,
    locksmith: Option<Locksmith>,
}

impl Executors {
    /// With the host's Docker engine, collectors, part in handing on images, and way into repositories.
    pub fn new(docker: Handle, host: Host, images: Arc<Images>, browser: Browser) -> Self {
        Self { docker, host, images, browser, locksmith: None }
    }

    /// With somebody who looks at the locks of repositories.
    #[must_use]
    pub fn with_locksmith(self, locksmith: Locksmith) -> Self {
        Self { locksmith: Some(locksmith), ..self }
    }

    /// Answers one request to its end.
    pub async fn serve(&self, request: AgentRequest, mut stream: RequestStream) {
        let ended = match request {
            AgentRequest::Logs(request) => logs::run(&self.docker, request, &mut stream).await,
            AgentRequest::Exec(request) => exec::run(&self.docker, request, &mut stream).await,
            AgentRequest::History { from, to, max } => {
                history::run(&self.host, from, to, max, &mut stream).await
            }
            AgentRequest::Processes => processes::run(&self.host, &mut stream).await,
            AgentRequest::Image(request) => self.images.send(request, &mut stream).await,
            AgentRequest::Project { name, files } => {
                project::run(&self.docker, &name, files, &mut stream).await
            }
            AgentRequest::LoadImage => self.images.take_pushed(&mut stream).await,
            AgentRequest::Build(order) => self.images.build(&order, &mut stream).await,
            AgentRequest::Files(order) => files::run(&self.browser, &order, &mut stream).await,
            AgentRequest::Locks(order) => match &self.locksmith {
                Some(locksmith) => locksmith.serve(&order, &mut stream).await,
                None => Err(Failure::unsupported("this host does no backups").into()),
            },
        };
        stream.reply.conclude(ended).await;
    }
}
