//! The calls that change something: containers, networks, volumes, images. Each has a deadline of its own.

use super::engine::{DockerError, Engine, call, check_reference, explain};
use crate::images::archive::digest_of;
use bollard::auth::DockerCredentials;
use bollard::exec::StartExecOptions;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, CreateImageInfo, EndpointSettings, ExecConfig,
    NetworkConnectRequest, NetworkCreateRequest, RestartPolicy, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, KillContainerOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions, RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt};
use omni_common::clock::Time;
use omni_common::domain::MAX_IMAGE_NAME;
use omni_common::domain::app::{ContentDigest, Hook};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

/// Making a container copies what the image has in its volumes, starting it may load a driver: on a busy disk that takes.
const SLOW: Duration = Duration::from_secs(120);

/// An image on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its id.
    pub id: String,
    /// Operating system and architecture, e.g. `linux/amd64`.
    pub platform: String,
    /// When it was last pulled, built or tagged.
    pub tagged: Option<Time>,
    /// Digests of its layers unpacked, lowest first.
    pub layers: Vec<ContentDigest>,
    /// What all layers take unpacked, bytes.
    pub size_bytes: u64,
}

/// A network on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where its files are on the host.
    pub mountpoint: PathBuf,
}

impl Engine {
    /// Makes a container; returns its id.
    pub async fn create(
        &self,
        name: &str,
        platform: Option<&str>,
        body: ContainerCreateBody,
    ) -> Result<String, DockerError> {
        check_reference(name)?;
        let mut options = CreateContainerOptionsBuilder::new().name(name);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let docker = self.docker.clone().with_timeout(SLOW);
        let created = self.slow("create", docker.create_container(Some(options.build()), body)).await?;
        Ok(created.id)
    }

    /// Starts a container; fine when it runs.
    pub async fn start(&self, id: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        let docker = self.docker.clone().with_timeout(SLOW);
        self.slow("start", docker.start_container(id, None::<StartContainerOptions>)).await
    }

    /// Stops a container; it may take `grace` before it is killed. Fine when it does not run or is gone.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), DockerError> {
        check_reference(id)?;
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let limit = grace.saturating_add(self.limits.call * 2);
        let docker = self.docker.clone().with_timeout(limit);
        absent_is_fine(call("stop", limit, &self.socket, docker.stop_container(id, Some(options))).await)
    }

    /// Sends a signal; fine when the container does not run or is gone.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match self.quick("kill", self.docker.kill_container(id, Some(options))).await {
            Err(DockerError::Conflict(_)) => Ok(()),
            other => absent_is_fine(other),
        }
    }

    /// The command that a container was made with, its image's where none was given.
    pub async fn command_of(&self, id: &str) -> Result<Vec<String>, DockerError> {
        check_reference(id)?;
        let found = self.quick("inspect", self.docker.inspect_container(id, None)).await?;
        Ok(found.config.and_then(|config| config.cmd).unwrap_or_default())
    }

    /// The number on this host of a container's first process; absent while it does not run.
    pub async fn process_of(&self, id: &str) -> Result<Option<u32>, DockerError> {
        check_reference(id)?;
        let found = self.quick("inspect", self.docker.inspect_container(id, None)).await?;
        let pid = found.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
        Ok(pid.filter(|pid| *pid > 0))
    }

    /// Freezes the processes of a container.
    pub async fn pause(&self, id: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        self.slow("pause", self.docker.pause_container(id)).await
    }

    /// Lets them go on; fine when they are not frozen, or the container is gone.
    pub async fn unpause(&self, id: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        match self.slow("unpause", self.docker.unpause_container(id)).await {
            // Older engines say it with 500.
            Err(DockerError::Refused { message, .. } | DockerError::Conflict(message))
                if message.contains("is not paused") || message.contains("is not running") =>
            {
                Ok(())
            }
            other => absent_is_fine(other),
        }
    }

    /// Removes a container that does not run, with its volumes that have no name; fine when it is gone or going.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        let docker = self.docker.clone().with_timeout(SLOW);
        match self.slow("remove", docker.remove_container(id, Some(options))).await {
            Err(DockerError::Conflict(message)) if message.contains("already in progress") => Ok(()),
            other => absent_is_fine(other),
        }
    }

    /// Gives a container another name.
    pub async fn rename(&self, id: &str, name: &str) -> Result<(), DockerError> {
        check_reference(id)?;
        check_reference(name)?;
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.quick("rename", self.docker.rename_container(id, options)).await
    }

    /// Says when the engine starts a container again; the container goes on as it is.
    pub async fn set_restart(&self, id: &str, policy: RestartPolicy) -> Result<(), DockerError> {
        check_reference(id)?;
        let body = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
        self.quick("update", self.docker.update_container(id, body)).await
    }

    /// Joins a container to a network; fine when it is in it.
    pub async fn connect_network(
        &self,
        network: &str,
        id: &str,
        endpoint: EndpointSettings,
    ) -> Result<(), DockerError> {
        check_reference(network)?;
        let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
        match self.quick("connect network", self.docker.connect_network(network, request)).await {
            Err(DockerError::Refused { message, .. }) if message.contains("already exists in network") => {
                Ok(())
            }
            other => other,
        }
    }

    /// The networks that fit a filter (`label` or `name`) and its value.
    pub async fn networks(&self, filter: &str, value: &str) -> Result<Vec<Network>, DockerError> {
        let filters = HashMap::from([(filter, vec![value])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let list = self.quick("list networks", self.docker.list_networks(Some(options))).await?;
        let network = |network: bollard::models::Network| {
            let labels = network.labels.unwrap_or_default().into_iter().collect();
            Some(Network { name: network.name?, labels })
        };
        Ok(list.into_iter().filter_map(network).collect())
    }

    /// Makes a network.
    pub async fn create_network(&self, request: NetworkCreateRequest) -> Result<(), DockerError> {
        let docker = self.docker.clone().with_timeout(SLOW);
        self.slow("create network", docker.create_network(request)).await.map(drop)
    }

    /// Removes a network; fine when it is gone.
    pub async fn remove_network(&self, name: &str) -> Result<(), DockerError> {
        check_reference(name)?;
        let docker = self.docker.clone().with_timeout(SLOW);
        absent_is_fine(self.slow("remove network", docker.remove_network(name)).await)
    }

    /// A volume's labels; absent when there is no such volume.
    pub async fn volume(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, DockerError> {
        Ok(self.volume_facts(name).await?.map(|facts| facts.labels))
    }

    /// A volume; absent when there is no such volume.
    pub async fn volume_facts(&self, name: &str) -> Result<Option<VolumeFacts>, DockerError> {
        check_reference(name)?;
        match self.quick("inspect volume", self.docker.inspect_volume(name)).await {
            Ok(volume) => Ok(Some(VolumeFacts {
                labels: volume.labels.into_iter().collect(),
                mountpoint: volume.mountpoint.into(),
            })),
            Err(DockerError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a volume.
    pub async fn create_volume(&self, request: VolumeCreateRequest) -> Result<(), DockerError> {
        let docker = self.docker.clone().with_timeout(SLOW);
        self.slow("create volume", docker.create_volume(request)).await.map(drop)
    }

    /// The volumes that carry a label: their labels, by name.
    pub async fn volumes(
        &self,
        label: &str,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, DockerError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let list = self.quick("list volumes", self.docker.list_volumes(Some(options))).await?;
        let volumes = list.volumes.unwrap_or_default().into_iter();
        Ok(volumes.map(|volume| (volume.name, volume.labels.into_iter().collect())).collect())
    }

    /// Removes a volume with what is in it; fine when it is gone.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        check_reference(name)?;
        let docker = self.docker.clone().with_timeout(SLOW);
        absent_is_fine(
            self.slow("remove volume", docker.remove_volume(name, None::<RemoveVolumeOptions>)).await,
        )
    }

    /// An image; absent when the host does not have it.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, DockerError> {
        check_image(reference)?;
        let image = match self.quick("inspect image", self.docker.inspect_image(reference)).await {
            Ok(image) => image,
            Err(DockerError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (os, architecture) = (image.os.unwrap_or_default(), image.architecture.unwrap_or_default());
        let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
        let tagged = image.metadata.and_then(|metadata| metadata.last_tag_time);
        Ok(Some(ImageFacts {
            id: image.id.unwrap_or_default(),
            platform: format!("{os}/{architecture}"),
            tagged: tagged.and_then(|text| text.parse().ok()),
            layers: layers.iter().filter_map(|layer| digest_of(layer)).collect(),
            size_bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        }))
    }

    /// Pulls an image, telling how it goes. The stream has no deadline: whoever reads it watches over its progress.
    pub fn pull(
        &self,
        reference: &str,
        platform: Option<&str>,
        credentials: Option<DockerCredentials>,
    ) -> Result<impl Stream<Item = Result<CreateImageInfo, DockerError>> + use<>, DockerError> {
        check_image(reference)?;
        let (name, tag) = split_tag(reference);
        let mut options = CreateImageOptionsBuilder::new().from_image(name).tag(tag);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let (docker, socket) = (self.docker.clone().with_timeout(SLOW), self.socket.clone());
        let stream = docker.create_image(Some(options.build()), None, credentials);
        Ok(stream.map(move |info| info.map_err(|error| explain("pull", &socket, error))))
    }

    /// Runs a command in a container and waits until it has ended; returns its exit code.
    pub async fn run_hook(&self, id: &str, hook: &Hook, limit: Duration) -> Result<i64, DockerError> {
        check_reference(id)?;
        let env =
            hook.environment.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let config = ExecConfig {
            cmd: Some(hook.command.clone()),
            user: hook.user.clone(),
            privileged: hook.privileged.then_some(true),
            working_dir: hook.working_dir.clone(),
            env: Some(env.collect()),
            ..ExecConfig::default()
        };
        let exec = self.quick("create exec", self.docker.create_exec(id, config)).await?.id;
        let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.quick("start exec", self.docker.start_exec(&exec, Some(detached))).await?;
        let ended = async {
            loop {
                let state = self.exec_state(&exec).await?;
                if !state.running {
                    return Ok(state.exit_code.unwrap_or(0));
                }
                tokio::time::sleep(HOOK_POLL).await;
            }
        };
        tokio::time::timeout(limit, ended).await.unwrap_or(Err(DockerError::TimedOut { call: "hook", limit }))
    }

    async fn quick<T>(
        &self,
        what: &'static str,
        future: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        call(what, self.limits.call, &self.socket, future).await
    }

    async fn slow<T>(
        &self,
        what: &'static str,
        future: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        call(what, SLOW.max(self.limits.call), &self.socket, future).await
    }
}

/// The engine tells of the end of a program only when asked.
const HOOK_POLL: Duration = Duration::from_millis(200);

fn absent_is_fine(answer: Result<(), DockerError>) -> Result<(), DockerError> {
    match answer {
        Err(DockerError::NotFound(_)) => Ok(()),
        other => other,
    }
}

/// Refuses what would change the meaning of a path in the engine's API.
pub fn check_image(reference: &str) -> Result<(), DockerError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':' | '@');
    let starts = reference.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let sane = starts && reference.len() <= MAX_IMAGE_NAME && reference.chars().all(fine);
    if sane && !reference.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Ok(());
    }
    let shown: String = reference.chars().take(MAX_IMAGE_NAME).collect();
    Err(DockerError::Refused { status: 400, message: format!("`{shown}` is no image reference") })
}

/// Name and tag of a reference; a digest is a tag in this call, and without either it is `latest`: the engine would pull
/// every tag there is.
fn split_tag(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_cut_into_name_and_tag() {
        assert_eq!(split_tag("redis"), ("redis", "latest"));
        assert_eq!(split_tag("redis:7"), ("redis", "7"));
        assert_eq!(split_tag("registry:5000/team/app"), ("registry:5000/team/app", "latest"));
        assert_eq!(split_tag("registry:5000/app:1"), ("registry:5000/app", "1"));
        assert_eq!(split_tag("app@sha256:12"), ("app", "sha256:12"));
    }

    #[test]
    fn an_image_cannot_lead_to_another_path() {
        for good in ["redis:7", "registry:5000/team/app:1.2-x", "app@sha256:12"] {
            assert_eq!(check_image(good), Ok(()), "{good}");
        }
        for bad in ["", "../x", "a/../b", "a?x", "a b", "/a", "a//b", "ü"] {
            assert!(check_image(bad).is_err(), "{bad}");
        }
    }
}
