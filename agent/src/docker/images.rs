//! The engine's images: which there are, their layers, and how they leave and enter it as a tar file.

use super::engine::{DockerError, Engine, call, explain};
use crate::images::archive::digest_of;
use bollard::models::ImageSummary;
use bollard::query_parameters::{ImportImageOptionsBuilder, ListImagesOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use omni_common::clock::Time;
use omni_common::domain::HostImage;
use omni_common::domain::app::ContentDigest;
use omni_common::wire::{MAX_IMAGES_PER_HOST, MAX_TAGS_PER_IMAGE};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Saving and loading begin with a copy of the whole image on the engine's disk, and the answer's head comes after it.
const COPY: Duration = Duration::from_secs(3600);
/// An engine that neither takes nor says anything for this long while it loads has stalled.
const STALLED: Duration = Duration::from_secs(300);
/// Images looked at for the layers they share with another.
const LOOK_AT: usize = MAX_IMAGES_PER_HOST;
/// How an engine says that its images lie in containerd's store.
const CONTAINERD: &str = "io.containerd.snapshotter.v1";
/// An image without a name.
const NO_NAME: &str = "<none>:<none>";

/// How an engine keeps images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStore {
    /// Layer by layer with a storage driver, and calls an image by the digest of its configuration. One on containerd's
    /// store does neither.
    pub keeps_layers: bool,
    /// The folder of its data.
    pub root: PathBuf,
}

impl Engine {
    /// The images that have a name, the newest first, as many as are reported.
    pub async fn images(&self) -> Result<Vec<HostImage>, DockerError> {
        let mut images: Vec<HostImage> = self.list_images().await?.into_iter().filter_map(named).collect();
        images.sort_by(|a, b| (b.created, &a.id).cmp(&(a.created, &b.id)));
        images.truncate(MAX_IMAGES_PER_HOST);
        Ok(images)
    }

    async fn list_images(&self) -> Result<Vec<ImageSummary>, DockerError> {
        let options = ListImagesOptionsBuilder::new().build();
        call("list images", self.limits.list, &self.socket, self.docker.list_images(Some(options))).await
    }

    /// The platform of the engine itself, e.g. `linux/amd64`.
    pub async fn platform(&self) -> Result<String, DockerError> {
        let version = call("version", self.limits.call, &self.socket, self.docker.version()).await?;
        Ok(format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default()))
    }

    /// How the engine keeps images.
    pub async fn store(&self) -> Result<ImageStore, DockerError> {
        let info = call("info", self.limits.call, &self.socket, self.docker.info()).await?;
        let status = info.driver_status.unwrap_or_default();
        Ok(ImageStore {
            keeps_layers: !status.iter().flatten().any(|word| word == CONTAINERD),
            root: info.docker_root_dir.unwrap_or_default().into(),
        })
    }

    /// How many of these layers, from the lowest on, the engine has on top of each other.
    pub async fn layers_held(&self, layers: &[ContentDigest]) -> Result<usize, DockerError> {
        let mut most = 0;
        for image in self.list_images().await?.into_iter().take(LOOK_AT) {
            // One that is removed meanwhile is of no help.
            let Some(facts) = self.image(&image.id).await? else { continue };
            let shared = facts.layers.iter().zip(layers).take_while(|(one, other)| one == other).count();
            most = most.max(shared);
            if most == layers.len() {
                break;
            }
        }
        Ok(most)
    }

    /// An image as a tar file. Nothing is read from the engine before it is asked for.
    pub fn save(&self, id: &ContentDigest) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let docker = self.docker.clone().with_timeout(COPY);
        let socket = self.socket.clone();
        let name = format!("sha256:{id}");
        async_stream(docker, name)
            .map(move |bytes| bytes.map_err(|error| io::Error::other(explain("save", &socket, error))))
    }

    /// Loads an image from a tar file that arrives in pieces; returns what the engine calls what it loaded.
    pub async fn load(&self, pieces: mpsc::Receiver<io::Result<Bytes>>) -> Result<Vec<String>, DockerError> {
        let docker = self.docker.clone().with_timeout(COPY);
        let taken = Arc::new(AtomicU64::new(0));
        let counter = taken.clone();
        let body = ReceiverStream::new(pieces).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let options = ImportImageOptionsBuilder::new().build();
        let mut progress = docker.import_image_stream(options, body, None).boxed();
        let (mut seen, mut loaded) = (0, Vec::new());
        loop {
            match tokio::time::timeout(STALLED, progress.next()).await {
                Ok(None) => return Ok(loaded),
                Ok(Some(Ok(info))) => loaded.extend(info.stream.as_deref().and_then(loaded_image)),
                Ok(Some(Err(error))) => return Err(explain("load", &self.socket, error)),
                Err(_) if taken.load(Ordering::Relaxed) > seen => {}
                Err(_) => return Err(DockerError::TimedOut { call: "load", limit: STALLED }),
            }
            seen = taken.load(Ordering::Relaxed);
        }
    }
}

/// What was loaded, when the engine's word is about that.
fn loaded_image(word: &str) -> Option<String> {
    let word = word.trim();
    let image = word.strip_prefix("Loaded image: ").or_else(|| word.strip_prefix("Loaded image ID: "))?;
    Some(image.to_owned())
}

/// bollard's stream borrows the client; this one owns it.
fn async_stream(
    docker: bollard::Docker,
    name: String,
) -> impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Send {
    futures_util::stream::once(async move { docker.export_image(&name).boxed() }).flatten()
}

fn named(image: ImageSummary) -> Option<HostImage> {
    let mut tags = image.repo_tags;
    tags.retain(|tag| tag != NO_NAME);
    tags.truncate(MAX_TAGS_PER_IMAGE);
    Some(HostImage {
        id: digest_of(&image.id).filter(|_| !tags.is_empty())?,
        tags,
        size_bytes: u64::try_from(image.size).unwrap_or(0),
        created: (image.created > 0).then(|| Time::from_secs(image.created)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_is_told_apart_from_progress() {
        assert_eq!(loaded_image("Loaded image: web:1\n").as_deref(), Some("web:1"));
        assert_eq!(loaded_image("Loaded image ID: sha256:12\n").as_deref(), Some("sha256:12"));
        assert_eq!(loaded_image("The image web:1 already exists, renaming the old one"), None);
    }

    #[test]
    fn only_images_with_a_name_count() {
        let image = |id: &str, tags: &[&str]| ImageSummary {
            id: id.to_owned(),
            repo_tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            size: -1,
            created: 5,
            ..ImageSummary::default()
        };
        let id = format!("sha256:{}", "a".repeat(64));
        let found = named(image(&id, &["web:1", NO_NAME])).expect("it has a name");
        assert_eq!(
            (found.tags, found.size_bytes, found.created),
            (vec!["web:1".to_owned()], 0, Some(Time::from_secs(5)))
        );
        assert_eq!(named(image(&id, &[NO_NAME])), None);
        assert_eq!(named(image("web", &["web:1"])), None);
        let many: Vec<String> = (0..100).map(|number| format!("web:{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(named(image(&id, &many)).expect("named").tags.len(), MAX_TAGS_PER_IMAGE);
    }
}
