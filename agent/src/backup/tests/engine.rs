//! A container engine made of folders and shells. Strict: what is not there cannot be stopped, started or mounted.

use super::*;
use crate::backup::seam::{Docker, Ended, Exec, Program, Volume, Wire};
use crate::docker::DockerError;
use crate::executors::converge::names;
use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use omni_common::domain::{Container, ContainerState};
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::sync::oneshot;

/// What goes wrong, or waits.
#[derive(Default)]
pub(super) struct Rules {
    /// Pausing fails.
    pub(super) refuses_pause: bool,
    /// The engine is away.
    pub(super) away: bool,
    /// What keeps the agent from a container's network.
    pub(super) keeps_out: Option<std::io::ErrorKind>,
}

struct Inner {
    containers: Vec<Container>,
    volumes: BTreeMap<String, BTreeMap<String, String>>,
    held: BTreeSet<String>,
    barred: BTreeMap<String, RunId>,
    bodies: BTreeMap<String, ContainerCreateBody>,
    rules: Rules,
    trace: Vec<String>,
    made: u32,
}

/// The engine.
pub(super) struct Fake {
    root: PathBuf,
    inner: Mutex<Inner>,
}

impl Fake {
    pub(super) fn new(root: PathBuf) -> Self {
        let inner = Inner {
            containers: Vec::new(),
            volumes: BTreeMap::new(),
            held: BTreeSet::new(),
            barred: BTreeMap::new(),
            bodies: BTreeMap::new(),
            rules: Rules::default(),
            trace: Vec::new(),
            made: 0,
        };
        Self { root, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.lock().rules);
    }

    /// Where a volume's files are.
    pub(super) fn files(&self, volume: &str) -> PathBuf {
        self.root.join("volumes").join(volume).join("_data")
    }

    /// A volume of the app, as the converger makes it.
    pub(super) fn volume_of_app(&self, volume: &str) -> PathBuf {
        let name = format!("shop_{volume}");
        let labels = [
            (names::APP, "shop"),
            (names::ENVIRONMENT, "default"),
            (names::GROUP, "main"),
            (names::SLOT, "0"),
            (names::VOLUME, volume),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.lock().volumes.insert(name.clone(), labels);
        let files = self.files(&name);
        std::fs::create_dir_all(&files).expect("our own folder");
        files
    }

    /// A container of the app that runs.
    pub(super) fn runs(&self, service: &str, order: u32) -> String {
        let id = format!("id-of-{service}");
        let mut container = crate::sim::container(&format!("shop-{service}-1"));
        container.id.clone_from(&id);
        container.state = ContainerState::Running;
        let labels = [
            (names::HOST, HOST),
            (names::APP, "shop"),
            (names::ENVIRONMENT, "default"),
            (names::GROUP, "main"),
            (names::SLOT, "0"),
            (names::SERVICE, service),
            (names::NUMBER, "1"),
            (names::ALLOCATION, "00000000-0000-0000-0000-000000000001"),
            (names::ORDER, &order.to_string()),
        ];
        container.labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self.lock().containers.push(container);
        id
    }

    pub(super) fn stops(&self, service: &str) {
        let id = format!("id-of-{service}");
        for container in self.lock().containers.iter_mut().filter(|container| container.id == id) {
            container.state = ContainerState::Exited;
        }
    }

    /// What was done since this was last asked.
    pub(super) fn did(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().trace)
    }

    pub(super) fn state(&self, id: &str) -> Option<ContainerState> {
        self.lock().containers.iter().find(|container| container.id == id).map(|container| container.state)
    }

    pub(super) fn volume_names(&self) -> Vec<String> {
        self.lock().volumes.keys().cloned().collect()
    }

    pub(super) fn labels_of(&self, volume: &str) -> BTreeMap<String, String> {
        self.lock().volumes[volume].clone()
    }

    pub(super) fn barred(&self) -> Vec<String> {
        self.lock().barred.keys().cloned().collect()
    }

    pub(super) fn is_clean(&self) {
        let inner = self.lock();
        assert_eq!(inner.held, BTreeSet::new());
        assert_eq!(inner.barred, BTreeMap::new());
        assert!(inner.containers.iter().all(|container| container.state != ContainerState::Paused));
        let names: Vec<_> = inner.containers.iter().map(|container| &container.name).collect();
        assert!(names.iter().all(|name| !name.starts_with("omni-run-")), "{names:?}");
        let volumes: Vec<_> = inner.volumes.keys().collect();
        assert!(volumes.iter().all(|name| !name.starts_with("omni-run-")), "{volumes:?}");
    }

    fn here(&self) -> Result<(), DockerError> {
        match self.lock().rules.away {
            false => Ok(()),
            true => Err(DockerError::Absent { socket: "fake".to_owned(), reason: "it is away".to_owned() }),
        }
    }

    /// A path in a container that was made, on this machine.
    fn on_host(&self, id: &str, path: &str) -> String {
        let inner = self.lock();
        let mounts = inner.bodies.get(id).and_then(|body| body.host_config.as_ref()?.mounts.clone());
        let found = mounts.into_iter().flatten().find_map(|mount| {
            let rest = path.strip_prefix(mount.target.as_deref()?)?;
            let files = self.files(mount.source.as_deref()?).display().to_string();
            (rest.is_empty() || rest.starts_with('/')).then(|| files + rest)
        });
        found.unwrap_or_else(|| path.to_owned())
    }

    /// Changes a container that has to be there and in one of these states.
    fn change(&self, id: &str, from: &[ContainerState], to: ContainerState) -> Result<(), DockerError> {
        self.here()?;
        let mut inner = self.lock();
        let found = inner.containers.iter_mut().find(|container| container.id == id);
        let found = found.ok_or_else(|| DockerError::NotFound(format!("no container {id}")))?;
        if !from.contains(&found.state) {
            return Err(DockerError::Conflict(format!("{id} is {:?}", found.state)));
        }
        found.state = to;
        if to == ContainerState::Exited {
            found.exit_code = Some(0);
        }
        inner.trace.push(format!("{to:?} {id}").to_lowercase());
        Ok(())
    }
}

#[async_trait]
impl Docker for Fake {
    async fn api(&self) -> Result<(u32, u32), DockerError> {
        self.here().map(|()| (1, 41))
    }

    async fn containers(&self) -> Result<Vec<Container>, DockerError> {
        self.here().map(|()| self.lock().containers.clone())
    }

    async fn inspect(&self, id: &str) -> Result<Option<Container>, DockerError> {
        Ok(self.containers().await?.into_iter().find(|container| container.id == id))
    }

    async fn pause(&self, id: &str) -> Result<(), DockerError> {
        if self.lock().rules.refuses_pause {
            return Err(DockerError::Refused { status: 500, message: "no freezer".to_owned() });
        }
        self.change(id, &[ContainerState::Running], ContainerState::Paused)
    }

    async fn unpause(&self, id: &str) -> Result<(), DockerError> {
        match self.change(id, &[ContainerState::Paused], ContainerState::Running) {
            Err(DockerError::NotFound(_) | DockerError::Conflict(_)) => Ok(()),
            other => other,
        }
    }

    async fn hold(&self, id: &str, _grace: Duration) -> Result<(), DockerError> {
        self.lock().held.insert(id.to_owned());
        self.change(id, &[ContainerState::Running, ContainerState::Paused], ContainerState::Exited)
    }

    async fn release(&self, id: &str) -> Result<(), DockerError> {
        self.here()?;
        self.lock().held.remove(id);
        // As the converger would.
        self.change(id, &[ContainerState::Exited], ContainerState::Running)
    }

    async fn bar(&self, volumes: &BTreeSet<String>, run: RunId) -> Result<(), Failure> {
        self.lock().barred.extend(volumes.iter().map(|volume| (volume.clone(), run)));
        Ok(())
    }

    fn is_barred(&self, volume: &str) -> bool {
        self.lock().barred.contains_key(volume)
    }

    async fn unbar(&self, volumes: &BTreeSet<String>) -> Result<(), Failure> {
        self.lock().barred.retain(|volume, _| !volumes.contains(volume));
        Ok(())
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, DockerError> {
        self.here()?;
        let labels = self.lock().volumes.get(name).cloned();
        Ok(labels.map(|labels| Volume { root: self.files(name), labels }))
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>, DockerError> {
        self.here()?;
        let (name, value) = label.split_once('=').expect("a label and its value");
        let inner = self.lock();
        let with = inner.volumes.iter().filter(|(_, labels)| labels.get(name).is_some_and(|it| it == value));
        Ok(with.map(|(name, _)| name.clone()).collect())
    }

    async fn create_volume(&self, request: VolumeCreateRequest) -> Result<(), DockerError> {
        self.here()?;
        let name = request.name.expect("a name");
        let labels = request.labels.unwrap_or_default().into_iter().collect();
        std::fs::create_dir_all(self.files(&name)).expect("our own folder");
        let mut inner = self.lock();
        inner.volumes.entry(name.clone()).or_insert(labels);
        inner.trace.push(format!("volume {name}"));
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        self.here()?;
        self.lock().volumes.remove(name);
        std::fs::remove_dir_all(self.root.join("volumes").join(name)).ok();
        Ok(())
    }

    async fn have_image(&self, _image: &str, _platform: Option<&str>) -> Result<(), Failure> {
        Ok(())
    }

    async fn create(
        &self,
        name: &str,
        _platform: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<String, DockerError> {
        self.here()?;
        let mut inner = self.lock();
        if inner.containers.iter().any(|container| container.name == name) {
            return Err(DockerError::Conflict(format!("the name {name} is taken")));
        }
        let host = body.host_config.clone().unwrap_or_default();
        assert_eq!(host.network_mode.as_deref(), Some("none"), "{name}");
        for mount in host.mounts.iter().flatten() {
            let source = mount.source.clone().unwrap_or_default();
            assert!(inner.volumes.contains_key(&source), "{name} mounts {source}, which is not there");
        }
        inner.made += 1;
        let id = format!("made-{}", inner.made);
        let mut container = crate::sim::container(name);
        container.id.clone_from(&id);
        container.state = ContainerState::Created;
        container.labels = body.labels.clone().unwrap_or_default().into_iter().collect();
        inner.containers.push(container);
        inner.bodies.insert(id.clone(), body);
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<(), DockerError> {
        self.change(id, &[ContainerState::Created, ContainerState::Exited], ContainerState::Running)
    }

    async fn stop(&self, id: &str, _grace: Duration) -> Result<(), DockerError> {
        self.change(id, &[ContainerState::Running], ContainerState::Exited)
    }

    async fn remove(&self, id: &str) -> Result<(), DockerError> {
        self.here()?;
        let mut inner = self.lock();
        inner.containers.retain(|container| container.id != id);
        inner.trace.push(format!("remove {id}"));
        Ok(())
    }

    async fn command(&self, id: &str) -> Result<Vec<String>, DockerError> {
        Ok(self.lock().bodies.get(id).and_then(|body| body.cmd.clone()).unwrap_or_default())
    }

    async fn log(&self, _id: &str) -> String {
        String::new()
    }

    /// The port is one of this machine.
    async fn connect(&self, id: &str, port: u16) -> std::io::Result<Box<dyn Wire>> {
        if self.state(id) != Some(ContainerState::Running) {
            return Err(std::io::Error::other(format!("{id} does not run")));
        }
        if let Some(kind) = self.lock().rules.keeps_out {
            return Err(kind.into());
        }
        Ok(Box::new(tokio::net::TcpStream::connect(("127.0.0.1", port)).await?))
    }

    /// The program runs on this machine, in a folder of the container's own; arguments that are paths in a volume lead there.
    async fn run(&self, exec: Exec) -> Result<Program, DockerError> {
        if self.state(&exec.container) != Some(ContainerState::Running) {
            return Err(DockerError::Conflict(format!("{} does not run", exec.container)));
        }
        self.lock().trace.push(format!("run {}", exec.command.last().cloned().unwrap_or_default()));
        let folder = self.root.join("containers").join(&exec.container);
        std::fs::create_dir_all(&folder).expect("our own folder");
        let mut command = tokio::process::Command::new(&exec.command[0]);
        let arguments = exec.command[1..].iter().map(|argument| self.on_host(&exec.container, argument));
        command.args(arguments).current_dir(&folder).kill_on_drop(true);
        command.envs(exec.environment.iter().filter_map(|pair| pair.split_once('=')));
        let input = if exec.input { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| DockerError::NotFound(error.to_string()))?;
        let (output, mut errors) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let input = child.stdin.take().map(|input| Box::new(input) as Box<_>);
        let (ended_in, ended) = oneshot::channel();
        tokio::spawn(async move {
            let mut words = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut errors, &mut words).await.ok();
            let code = child.wait().await.ok().and_then(|status| status.code()).map(i64::from);
            ended_in.send(Ended { code, words: words.trim().to_owned() }).ok();
        });
        Ok(Program { output: Box::new(output), input, ended })
    }
}
