//! The seam on a real Docker engine.

use super::failure::Failure;
use super::program;
use super::seam::{Docker, Exec, Program, Volume, Wire};
use crate::docker::{DockerError, DockerStatus, Engine, Handle, inside};
use crate::executors::converge::{Holds, Needed, api_of, ensure_image, last_words};
use crate::images::Images;
use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use omni_common::clock::Clock;
use omni_common::domain::app::PullPolicy;
use omni_common::domain::{Container, ContainerState};
use omni_common::ids::RunId;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A container that was handed back runs again within this time, or there is a reason why the converger leaves it stopped.
const BACK: Duration = Duration::from_secs(60);
/// Whether it does is looked at this often.
const LOOK: Duration = Duration::from_millis(100);

/// The engine of this host, and what goes with it.
pub struct RealDocker {
    handle: Handle,
    images: Arc<Images>,
    holds: Arc<Holds>,
    clock: Arc<dyn Clock>,
}

impl RealDocker {
    /// An engine whose converger listens to `holds`.
    pub fn new(handle: Handle, images: Arc<Images>, holds: Arc<Holds>, clock: Arc<dyn Clock>) -> Self {
        Self { handle, images, holds, clock }
    }

    fn engine(&self) -> Result<Engine, DockerError> {
        self.handle.engine()
    }
}

#[async_trait]
impl Docker for RealDocker {
    async fn api(&self) -> Result<(u32, u32), DockerError> {
        self.engine()?;
        Ok(match &*self.handle.status().borrow() {
            DockerStatus::Up(facts) => api_of(&facts.api_version),
            _ => api_of(""),
        })
    }

    async fn containers(&self) -> Result<Vec<Container>, DockerError> {
        self.engine()?.list().await
    }

    async fn inspect(&self, id: &str) -> Result<Option<Container>, DockerError> {
        match self.engine()?.inspect(id).await {
            Ok(container) => Ok(Some(container)),
            Err(DockerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn pause(&self, id: &str) -> Result<(), DockerError> {
        self.engine()?.pause(id).await
    }

    async fn unpause(&self, id: &str) -> Result<(), DockerError> {
        self.engine()?.unpause(id).await
    }

    async fn hold(&self, id: &str, grace: Duration) -> Result<(), DockerError> {
        self.holds.hold(id);
        self.engine()?.stop(id, grace).await
    }

    async fn release(&self, id: &str) -> Result<(), DockerError> {
        // Looked at first: where the engine is away this is tried again, and the hold stays.
        self.inspect(id).await?;
        self.holds.release(id);
        let back = async {
            loop {
                match self.inspect(id).await? {
                    Some(container) if container.state != ContainerState::Running => {}
                    _ => return Ok(()),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(BACK, back).await.unwrap_or_else(|_| {
            tracing::warn!(
                container = id,
                "a container that was stopped for a backup does not run again yet"
            );
            Ok(())
        })
    }

    async fn bar(&self, volumes: &BTreeSet<String>, run: RunId) -> Result<(), Failure> {
        Ok(self.holds.bar(volumes, run).await?)
    }

    fn is_barred(&self, volume: &str) -> bool {
        self.holds.barred().contains_key(volume)
    }

    async fn unbar(&self, volumes: &BTreeSet<String>) -> Result<(), Failure> {
        Ok(self.holds.unbar(volumes).await?)
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, DockerError> {
        let found = self.engine()?.volume_facts(name).await?;
        Ok(found.map(|facts| Volume { root: facts.mountpoint, labels: facts.labels }))
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>, DockerError> {
        Ok(self.engine()?.volumes(label).await?.into_keys().collect())
    }

    async fn create_volume(&self, request: VolumeCreateRequest) -> Result<(), DockerError> {
        self.engine()?.create_volume(request).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        self.engine()?.remove_volume(name).await
    }

    async fn have_image(&self, image: &str, platform: Option<&str>) -> Result<(), Failure> {
        let needed = Needed { image, policy: PullPolicy::Missing, platform };
        let got = ensure_image(&self.engine()?, &self.images, needed, self.clock.now(), &|_| {}).await;
        got.map_err(|fault| Failure::new("image", fault.reason))
    }

    async fn create(
        &self,
        name: &str,
        platform: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<String, DockerError> {
        self.engine()?.create(name, platform, body).await
    }

    async fn start(&self, id: &str) -> Result<(), DockerError> {
        self.engine()?.start(id).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), DockerError> {
        self.engine()?.stop(id, grace).await
    }

    async fn remove(&self, id: &str) -> Result<(), DockerError> {
        let engine = self.engine()?;
        engine.kill(id, "SIGKILL").await?;
        engine.stop(id, Duration::ZERO).await?;
        engine.remove(id).await
    }

    async fn command(&self, id: &str) -> Result<Vec<String>, DockerError> {
        self.engine()?.command_of(id).await
    }

    async fn log(&self, id: &str) -> String {
        last_words(&self.handle, id, false).await.unwrap_or_default()
    }

    async fn connect(&self, id: &str, port: u16) -> io::Result<Box<dyn Wire>> {
        let pid = self.engine().map_err(io::Error::other)?.process_of(id).await.map_err(io::Error::other)?;
        let pid = pid.ok_or_else(|| io::Error::other("the container does not run"))?;
        Ok(Box::new(inside::connect(id, pid, port).await?))
    }

    async fn run(&self, exec: Exec) -> Result<Program, DockerError> {
        program::start(&self.engine()?, self.handle.socket(), exec).await
    }
}
