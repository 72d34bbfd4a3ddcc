//! What a session needs from the host it speaks for. Two implementations: this machine, and the simulated one
//! in `sim.rs`.

use crate::backup::{Browser, Locksmith};
use crate::docker::{DockerStatus, Handle, Images};
use crate::executors::{Executors, RequestStream};
use crate::host::Host;
use crate::inventory::Inventory;
use async_trait::async_trait;
use omni_common::domain::{DockerFacts, HostFacts, HostSample};
use omni_common::wire::AgentRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The first facts wait this long for the Docker engine to answer or be found absent.
const DOCKER_PATIENCE: Duration = Duration::from_secs(2);

/// A host.
#[async_trait]
pub trait Machine: Send + Sync + 'static {
    /// Its containers.
    fn inventory(&self) -> &dyn Inventory;

    /// Its images, now and later.
    fn images(&self) -> watch::Receiver<Images>;

    /// What it is.
    async fn facts(&self) -> HostFacts;

    /// Resolves when its facts are known to have changed since the last call of `facts`. Cancel-safe.
    async fn facts_changed(&self);

    /// One reading; absent when it cannot be had now.
    async fn sample(&self) -> Option<HostSample>;

    /// Answers a request to its end.
    async fn serve(&self, request: AgentRequest, stream: RequestStream);
}

/// This machine.
pub struct LocalMachine {
    docker: Handle,
    docker_seen: tokio::sync::Mutex<watch::Receiver<DockerStatus>>,
    host: Host,
    executors: Executors,
    /// The last sample could not be taken.
    silent: AtomicBool,
}

impl LocalMachine {
    /// With its Docker engine, collectors, part in handing on images, and way into repositories.
    pub fn new(docker: Handle, host: Host, images: Arc<crate::images::Images>, browser: Browser) -> Self {
        Self {
            docker_seen: tokio::sync::Mutex::new(docker.status()),
            executors: Executors::new(docker.clone(), host.clone(), images, browser),
            docker,
            host,
            silent: AtomicBool::new(false),
        }
    }

    /// With somebody who looks at repositories of backups.
    #[must_use]
    pub fn with_locksmith(self, locksmith: Locksmith) -> Self {
        Self { executors: self.executors.with_locksmith(locksmith), ..self }
    }

    async fn docker_facts(&self) -> Result<DockerFacts, String> {
        let mut status = self.docker_seen.lock().await;
        let known = status.wait_for(|status| *status != DockerStatus::Unknown);
        let known = tokio::time::timeout(DOCKER_PATIENCE, known).await;
        match known {
            Ok(Ok(status)) => match &*status {
                DockerStatus::Up(facts) => Ok(facts.clone()),
                DockerStatus::Absent(reason) => Err(reason.clone()),
                DockerStatus::Unknown => Err("it has not answered yet".to_owned()),
            },
            _ => Err("it has not answered yet".to_owned()),
        }
    }
}

#[async_trait]
impl Machine for LocalMachine {
    fn inventory(&self) -> &dyn Inventory {
        self.docker.containers().as_ref()
    }

    fn images(&self) -> watch::Receiver<Images> {
        self.docker.images()
    }

    async fn facts(&self) -> HostFacts {
        let docker = self.docker_facts().await;
        self.host.facts(docker).await
    }

    async fn facts_changed(&self) {
        let mut status = self.docker_seen.lock().await;
        if status.changed().await.is_err() {
            // The watcher ends only with the agent.
            std::future::pending::<()>().await;
        }
    }

    async fn sample(&self) -> Option<HostSample> {
        let sample = self.host.sample(self.docker.containers().running()).await;
        // Said when it begins and when it ends, not every few seconds in between.
        match (&sample, self.silent.swap(sample.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "no samples are taken"),
            (Ok(_), true) => tracing::info!("samples are taken again"),
            _ => {}
        }
        sample.ok()
    }

    async fn serve(&self, request: AgentRequest, stream: RequestStream) {
        self.executors.serve(request, stream).await;
    }
}
