//! The engine's builder: from a tar file and a few words to an image.
//!
//! It is the engine's own, not BuildKit, which needs a session back to whoever asks.

use super::engine::{DockerError, Engine, explain};
use crate::images::archive::digest_of;
use bollard::auth::DockerCredentials;
use bollard::models::BuildInfo;
use bollard::query_parameters::{
    BuildImageOptions, BuildImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use omni_common::domain::app::{Build, BuildContext, BuildOrder, ContentDigest};
use omni_common::wire::MAX_BUILD_OUTPUT;
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// The answer's head comes when the builder has taken the whole context.
const CONTEXT: Duration = Duration::from_secs(3600);
/// Words of the builder that wait to be read.
const WORDS: usize = 16;
/// The Dockerfile where none is named.
const DOCKERFILE: &str = "Dockerfile";

/// A word of the builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildWord {
    /// For people; not always whole lines.
    Text(String),
    /// The image, last.
    Image(ContentDigest),
    /// There is no image, and why; last.
    Failed(String),
}

impl Engine {
    /// Builds what is ordered from the pieces of a tar file. Nothing is asked of the engine before the stream is read, and
    /// a stream that is dropped ends the build.
    pub fn build(
        &self,
        order: &BuildOrder,
        logins: HashMap<String, DockerCredentials>,
        pieces: mpsc::Receiver<io::Result<Bytes>>,
    ) -> impl Stream<Item = Result<BuildWord, DockerError>> + Send + use<> {
        let docker = self.docker.clone().with_timeout(CONTEXT);
        let socket = self.socket.clone();
        let options = options(order);
        let remote = matches!(order.build.context, BuildContext::Remote(_));
        let said = async_stream(docker, options, logins, (!remote).then_some(pieces));
        said.filter_map(move |info| {
            let word = match info {
                Ok(info) => word(info).map(Ok),
                Err(bollard::errors::Error::DockerStreamError { error }) => {
                    Some(Ok(BuildWord::Failed(error)))
                }
                Err(error) => Some(Err(explain("build", &socket, error))),
            };
            std::future::ready(word)
        })
    }

    /// Takes away the oldest images of a repository beyond those to keep. One that a container uses stays.
    pub async fn keep_newest(&self, repository: &str, keep: usize) -> Result<(), DockerError> {
        let filters = HashMap::from([("reference", vec![repository])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let mut images = self.call("list images", self.docker.list_images(Some(options))).await?;
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        for image in images.iter().skip(keep) {
            // By its names: the layers go with the last one, and one that is in use is refused.
            for name in image.repo_tags.iter().filter(|name| split(name).0 == repository) {
                let options = RemoveImageOptionsBuilder::new().build();
                let removed =
                    self.call("remove image", self.docker.remove_image(name, Some(options), None)).await;
                if let Err(error) = removed {
                    tracing::debug!(%name, %error, "an old built image stays");
                }
            }
        }
        Ok(())
    }
}

/// bollard's stream borrows the client; this one owns it, by handing on what it says.
fn async_stream(
    docker: bollard::Docker,
    options: BuildImageOptions,
    logins: HashMap<String, DockerCredentials>,
    pieces: Option<mpsc::Receiver<io::Result<Bytes>>>,
) -> impl Stream<Item = Result<BuildInfo, bollard::errors::Error>> + Send {
    let (said, heard) = mpsc::channel(WORDS);
    let hearing = async move {
        let body = pieces.map(|pieces| bollard::body_try_stream(ReceiverStream::new(pieces)));
        let logins = (!logins.is_empty()).then_some(logins);
        let mut words = docker.build_image(options, logins, body).boxed();
        while let Some(word) = words.next().await {
            if said.send(word).await.is_err() {
                break;
            }
        }
    };
    // Both end together: who drops the stream drops the build.
    let ended = futures_util::stream::once(hearing).filter_map(|()| std::future::ready(None));
    futures_util::stream::select(ReceiverStream::new(heard), ended)
}

fn options(order: &BuildOrder) -> BuildImageOptions {
    let BuildOrder { name, build, platform, .. } = order;
    let Build { context, dockerfile, target, args, labels, cache_from, no_cache, pull, network, .. } = build;
    let mut options = BuildImageOptionsBuilder::new()
        .t(name)
        .dockerfile(dockerfile.as_deref().unwrap_or(DOCKERFILE))
        .nocache(*no_cache)
        // What failed is of no use to anybody; its output has been told.
        .forcerm(true)
        .rm(true);
    if let BuildContext::Remote(address) = context {
        options = options.remote(address);
    }
    if let Some(target) = target {
        options = options.target(target);
    }
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    if *pull {
        options = options.pull("1");
    }
    if let Some(network) = network {
        options = options.networkmode(network);
    }
    if let Some(line) = build.extra_hosts.first() {
        options = options.extrahosts(line);
    }
    if let Some(size) = build.shm_size_bytes.and_then(|size| i32::try_from(size).ok()) {
        options = options.shmsize(size);
    }
    if !cache_from.is_empty() {
        options = options.cachefrom(cache_from);
    }
    if !labels.is_empty() {
        let labels: HashMap<&str, &str> = pairs(labels.iter().map(|(key, value)| (key, Some(value))));
        options = options.labels(&labels);
    }
    let args: HashMap<&str, &str> = pairs(args.iter().map(|(key, value)| (key, value.as_ref())));
    if !args.is_empty() {
        options = options.buildargs(&args);
    }
    options.build()
}

fn pairs<'a>(from: impl Iterator<Item = (&'a String, Option<&'a String>)>) -> HashMap<&'a str, &'a str> {
    from.filter_map(|(key, value)| Some((key.as_str(), value?.as_str()))).collect()
}

/// What the builder says, in our words; absent for what is for nobody.
fn word(info: BuildInfo) -> Option<BuildWord> {
    if let Some(detail) = info.error_detail {
        let message = detail.message.unwrap_or_else(|| "the builder did not say why".to_owned());
        return Some(BuildWord::Failed(message));
    }
    if let Some(id) = info.aux.and_then(|image| digest_of(&image.id?)) {
        return Some(BuildWord::Image(id));
    }
    // Of a base image that is pulled only what has an end is told: bars of progress would be thousands of lines.
    let status = info.status.filter(|_| info.progress_detail.is_none());
    let text = info.stream.or_else(|| status.map(|status| format!("{status}\n")));
    text.filter(|text| !text.is_empty()).map(|text| BuildWord::Text(cut(text)))
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_BUILD_OUTPUT {
        let end = (0..=MAX_BUILD_OUTPUT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Repository and tag of a name; an image without a tag is `latest`. A colon before the last slash is of a port.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ErrorDetail, ImageId, ProgressDetail};

    #[test]
    fn a_builders_words_are_told_apart() {
        let text = |text: &str| Some(BuildWord::Text(text.to_owned()));
        let stream = Some("Step 1/2 : FROM web\n".to_owned());
        assert_eq!(word(BuildInfo { stream, ..BuildInfo::default() }), text("Step 1/2 : FROM web\n"));
        let status = Some("Pull complete".to_owned());
        assert_eq!(
            word(BuildInfo { status: status.clone(), ..BuildInfo::default() }),
            text("Pull complete\n")
        );
        let progress_detail = Some(ProgressDetail::default());
        assert_eq!(word(BuildInfo { status, progress_detail, ..BuildInfo::default() }), None);
        let id = format!("sha256:{}", "a".repeat(64));
        let aux = Some(ImageId { id: Some(id) });
        assert!(matches!(word(BuildInfo { aux, ..BuildInfo::default() }), Some(BuildWord::Image(_))));
        let error_detail = Some(ErrorDetail { message: Some("no such file".to_owned()), code: Some(1) });
        let failed = word(BuildInfo { error_detail, ..BuildInfo::default() });
        assert_eq!(failed, Some(BuildWord::Failed("no such file".to_owned())));
        let long = "ä".repeat(MAX_BUILD_OUTPUT);
        let cut = word(BuildInfo { stream: Some(long), ..BuildInfo::default() });
        assert!(matches!(cut, Some(BuildWord::Text(text)) if text.len() == MAX_BUILD_OUTPUT));
    }

    #[test]
    fn what_is_ordered_is_what_the_builder_is_asked() {
        let args = [("A".to_owned(), Some("1".to_owned())), ("LEFT".to_owned(), None)].into();
        let build = Build {
            dockerfile: Some("docker/web".to_owned()),
            target: Some("run".to_owned()),
            args,
            pull: true,
            ..Build::default()
        };
        let order = BuildOrder {
            name: "omni.local/default/shop/web:0123456789abcdef".to_owned(),
            build,
            platform: None,
            logins: Default::default(),
        };
        let asked = options(&order);
        assert_eq!((asked.dockerfile.as_str(), asked.target.as_str()), ("docker/web", "run"));
        assert_eq!(asked.t.as_deref(), Some(order.name.as_str()));
        assert_eq!(asked.buildargs, Some(HashMap::from([("A".to_owned(), "1".to_owned())])));
        assert_eq!((asked.pull.as_deref(), asked.remote, asked.nocache), (Some("1"), None, false));
        let build =
            Build { context: BuildContext::Remote("https://git.lan/web".to_owned()), ..Build::default() };
        let asked = options(&BuildOrder { build, ..order });
        assert_eq!(
            (asked.remote.as_deref(), asked.dockerfile.as_str()),
            (Some("https://git.lan/web"), DOCKERFILE)
        );
    }

    #[test]
    fn a_tag_is_no_port() {
        assert_eq!(split("web"), ("web", "latest"));
        assert_eq!(split("lan:5000/web"), ("lan:5000/web", "latest"));
        assert_eq!(split("lan:5000/web:2"), ("lan:5000/web", "2"));
    }
}
