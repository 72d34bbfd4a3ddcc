//! What backups need of a container engine: the real one (`engine.rs`), or one made of folders and shells in tests.

use super::failure::Failure;
use crate::docker::DockerError;
use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use omni_common::domain::Container;
use omni_common::ids::RunId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::oneshot;

/// Most of a program's output that is kept where only its gist is wanted.
const MAX_OUTPUT: u64 = 64 << 10;
/// Most characters of its last line that are told when it ends badly and says nothing on stderr.
const MAX_LINE: usize = 200;

/// A volume on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where its files are on the host.
    pub root: PathBuf,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A program to run in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The container's id.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `NAME=value`, beside what the container has. Where secrets go, which arguments would show.
    pub environment: Vec<String>,
    /// Whether it reads an input.
    pub input: bool,
}

/// A program that runs in a container. Dropping its output ends it.
pub struct Program {
    /// What it writes, as fast as it is read.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// What it reads; closing it is the end of its input.
    pub input: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// How it ended, after its output has.
    pub ended: oneshot::Receiver<Ended>,
}

/// What a command is called in messages: by its program alone, because arguments may hold what is nobody's business.
pub(super) fn called(command: &[String]) -> String {
    format!("`{}`", command.first().map_or("", String::as_str))
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; absent when that is not known.
    pub code: Option<i64>,
    /// The last it said on stderr.
    pub words: String,
}

impl Ended {
    /// A sentence when it did not end well.
    pub fn verdict(self, name: &str) -> Result<(), String> {
        let words = if self.words.is_empty() { String::new() } else { format!(": {}", self.words) };
        match self.code {
            Some(0) => Ok(()),
            Some(code) => Err(format!("{name} ended with exit code {code}{words}")),
            None => Err(format!("{name} broke off{words}")),
        }
    }
}

impl Program {
    /// Waits for its end and returns what it wrote, up to a bound beyond which it is cut.
    pub async fn finish(mut self, name: &str, within: Duration) -> Result<String, String> {
        drop(self.input.take());
        let ended = self.ended;
        let finish = async {
            let mut text = Vec::new();
            let mut output = self.output.take(MAX_OUTPUT);
            output.read_to_end(&mut text).await.map_err(|error| format!("{name} broke off: {error}"))?;
            tokio::io::copy(output.get_mut(), &mut tokio::io::sink()).await.ok();
            let mut ended = ended.await.unwrap_or(Ended { code: None, words: String::new() });
            let text = String::from_utf8_lossy(&text).into_owned();
            if ended.words.is_empty() {
                // Some, such as `git fsck`, tell what is wrong where others tell what was asked for.
                let last = text.trim_end().lines().next_back().unwrap_or_default();
                ended.words = last.chars().take(MAX_LINE).collect();
            }
            ended.verdict(name).map(|()| text)
        };
        match tokio::time::timeout(within, finish).await {
            Ok(finished) => finished,
            Err(_) => Err(format!("{name} has not ended within {} s", within.as_secs())),
        }
    }
}

/// Bytes both ways.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A container engine, as far as backups need one.
#[async_trait]
pub trait Docker: Send + Sync + 'static {
    /// Its API version.
    async fn api(&self) -> Result<(u32, u32), DockerError>;
    /// All containers.
    async fn containers(&self) -> Result<Vec<Container>, DockerError>;
    /// One container; absent when there is none.
    async fn inspect(&self, id: &str) -> Result<Option<Container>, DockerError>;
    /// Freezes a container's processes.
    async fn pause(&self, id: &str) -> Result<(), DockerError>;
    /// Undoes that; fine when they are not frozen, or gone.
    async fn unpause(&self, id: &str) -> Result<(), DockerError>;
    /// Stops a container that the converger then leaves alone.
    async fn hold(&self, id: &str, grace: Duration) -> Result<(), DockerError>;
    /// Hands it back to the converger, and waits a while until it runs again.
    async fn release(&self, id: &str) -> Result<(), DockerError>;
    /// From now on nothing is started on these volumes, also after a restart.
    async fn bar(&self, volumes: &BTreeSet<String>, run: RunId) -> Result<(), Failure>;
    /// Whether a volume's restore has not ended well.
    fn is_barred(&self, volume: &str) -> bool;
    /// The data of these volumes is whole.
    async fn unbar(&self, volumes: &BTreeSet<String>) -> Result<(), Failure>;
    /// A volume; absent when there is none.
    async fn volume(&self, name: &str) -> Result<Option<Volume>, DockerError>;
    /// Names of the volumes with this label and value, as `label=value`.
    async fn volumes(&self, label: &str) -> Result<Vec<String>, DockerError>;
    /// Makes a volume.
    async fn create_volume(&self, request: VolumeCreateRequest) -> Result<(), DockerError>;
    /// Removes a volume; fine when it is gone.
    async fn remove_volume(&self, name: &str) -> Result<(), DockerError>;
    /// Has an image on the host, from wherever it is to be had.
    async fn have_image(&self, image: &str, platform: Option<&str>) -> Result<(), Failure>;
    /// Makes a container; returns its id.
    async fn create(
        &self,
        name: &str,
        platform: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<String, DockerError>;
    /// Starts a container that the converger knows nothing of.
    async fn start(&self, id: &str) -> Result<(), DockerError>;
    /// Stops one.
    async fn stop(&self, id: &str, grace: Duration) -> Result<(), DockerError>;
    /// Removes one, whether it runs or not, with its volumes that have no name; fine when it is gone.
    async fn remove(&self, id: &str) -> Result<(), DockerError>;
    /// The command that a container was made with, its image's where none was given.
    async fn command(&self, id: &str) -> Result<Vec<String>, DockerError>;
    /// The last lines of a container's log.
    async fn log(&self, id: &str) -> String;
    /// A connection to a port inside a container, from its own loopback.
    async fn connect(&self, id: &str, port: u16) -> io::Result<Box<dyn Wire>>;
    /// Starts a program in a container.
    async fn run(&self, exec: Exec) -> Result<Program, DockerError>;
}
