//! Images that are built on a host, and services that run them.
//!
//! A client reads a project, which says what is to be built and how the images are to be called; has each built; and names
//! them in the project that it deploys. Names follow from what an image is built from, so that the same source is built once.

use super::agent::{AGENT_DEADLINE, lost, next, silent, unexpected};
use super::hosts::find_host;
use super::ports::{AgentInput, AgentReplies, AgentStream};
use super::{App, AppError, Call};
use crate::state::{AppKey, Host, HostStatus, State, secret_context};
use bytes::Bytes;
use omni_common::api::v1::{BuildStart, MAX_BUILD_CONTEXT, ProjectBuild, ReadQuery};
use omni_common::domain::app::{
    AppSpec, BuildContext, BuildOrder, BuiltName, MAX_BUILD_REGISTRIES, PullPolicy, Service,
};
use omni_common::domain::backup::Hidden;
use omni_common::domain::{Registry, RegistryLogin};
use omni_common::wire::{AgentRequest, ImageInput, ImageReply, MAX_BUILD_ORDER, ReplyFrame, RequestInput};
use omni_compose::Reading;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// An agent at work says so every few seconds; one that says nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How kernels call the architecture of a platform, where they call it otherwise.
const ARCHITECTURES: [(&str, &str); 4] =
    [("amd64", "x86_64"), ("arm64", "aarch64"), ("386", "i686"), ("arm", "armv7l")];

/// An image that is being built.
pub struct ImageBuild {
    host: String,
    stream: AgentStream,
}

/// Towards a builder.
pub struct BuildInputs {
    host: String,
    input: Box<dyn AgentInput>,
    sent: u64,
}

/// From a builder.
pub struct BuildOutputs {
    host: String,
    replies: Box<dyn AgentReplies>,
}

impl App {
    /// Begins to build an image for a service of an app, after noting it in the audit trail.
    pub async fn build_image(
        &self,
        call: &Call,
        environment: &str,
        app: &str,
        start: BuildStart,
    ) -> Result<ImageBuild, AppError> {
        let key = AppKey { environment: environment.to_owned(), name: app.to_owned() };
        check(&key, &start)?;
        let state = self.read(ReadQuery::default()).await?;
        let host = match &start.host {
            Some(named) => find_host(&state, named)?,
            None => builder(&state, &key, start.platform.as_deref())?,
        };
        let what = format!("{} on {}", start.name, host.name);
        self.note(call, "image.build", format!("{environment}/{app}"), Some(what)).await?;
        let logins = self.logins(&state, &start.registries)?;
        let BuildStart { name, build, platform, .. } = start;
        let order = BuildOrder { name, build, platform, logins };
        let order = serde_json::to_string(&order).unwrap_or_default();
        if order.len() > MAX_BUILD_ORDER {
            return Err(AppError::invalid(
                "build",
                format!("more than {MAX_BUILD_ORDER} bytes say how to build"),
            ));
        }
        let opening = async {
            let mut stream = self.open(host, AgentRequest::Build(Hidden::new(order))).await?;
            match next(&host.name, &mut stream).await? {
                Some(ReplyFrame::Started) => Ok(stream),
                _ => Err(unexpected(&host.name)),
            }
        };
        let stream = timeout(AGENT_DEADLINE, opening).await.unwrap_or_else(|_| Err(silent(&host.name)))?;
        Ok(ImageBuild { host: host.name.clone(), stream })
    }
}

impl App {
    /// How to sign in to those registries that there is a login for.
    fn logins(
        &self,
        state: &State,
        registries: &[Registry],
    ) -> Result<BTreeMap<Registry, RegistryLogin>, AppError> {
        let mut logins = BTreeMap::new();
        for registry in registries {
            let Ok(name) = registry.secret() else { continue };
            let newest = state.secrets.get(&name).and_then(|secret| secret.newest());
            let Some((_, version)) = newest else { continue };
            let bytes =
                self.cluster_key.open(&secret_context(&name), &version.sealed).map_err(AppError::Secret)?;
            let login = serde_json::from_slice(&bytes).map_err(|_| {
                let detail =
                    format!("its login cannot be read: put it again with `omni registry login {registry}`");
                AppError::invalid(format!("registries.{registry}"), detail)
            })?;
            logins.insert(registry.clone(), login);
        }
        Ok(logins)
    }
}

impl ImageBuild {
    /// The host that builds.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its two directions, to be used at once.
    pub fn split(self) -> (BuildInputs, BuildOutputs) {
        let AgentStream { input, replies } = self.stream;
        let inputs = BuildInputs { host: self.host.clone(), input, sent: 0 };
        (inputs, BuildOutputs { host: self.host, replies })
    }
}

impl BuildInputs {
    /// Sends the next piece of what is built from; waits while the builder takes none.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), AppError> {
        self.sent += piece.len() as u64;
        if self.sent > MAX_BUILD_CONTEXT {
            let detail = format!("it is more than {} GiB", MAX_BUILD_CONTEXT >> 30);
            return Err(AppError::invalid("context", detail));
        }
        self.tell(RequestInput::Image(ImageInput::Chunk(piece))).await
    }

    /// That was all of it.
    pub async fn finish(&mut self) -> Result<(), AppError> {
        self.tell(RequestInput::Eof).await
    }

    async fn tell(&mut self, input: RequestInput) -> Result<(), AppError> {
        match timeout(PATIENCE, self.input.send(input)).await {
            Ok(sent) => sent.map_err(|source| lost(&self.host, source)),
            Err(_) => Err(silent(&self.host)),
        }
    }
}

impl BuildOutputs {
    /// What the builder says next: some of its output, or the image, last.
    pub async fn next(&mut self) -> Result<ImageReply, AppError> {
        loop {
            let frame = timeout(PATIENCE, self.replies.next()).await.map_err(|_| silent(&self.host))?;
            match frame.map_err(|source| lost(&self.host, source))? {
                Some(ReplyFrame::Image(ImageReply::Waiting)) => {}
                Some(ReplyFrame::Image(reply @ (ImageReply::BuildOutput(_) | ImageReply::Built { .. }))) => {
                    return Ok(reply);
                }
                Some(ReplyFrame::Failed { code, message }) => {
                    return Err(AppError::Agent { host: self.host.clone(), code, message });
                }
                _ => return Err(unexpected(&self.host)),
            }
        }
    }
}

/// The images to build before a project can be deployed, as far as no image was named for them.
pub(super) fn to_build(
    environment: &str,
    reading: &Reading,
    built: &BTreeMap<String, String>,
) -> Vec<ProjectBuild> {
    let app = &reading.spec.name;
    let open = reading.spec.services.iter().filter(|(name, _)| !built.contains_key(name.as_str()));
    let wanted = open.filter_map(|(name, service)| Some((name, service, service.build.as_ref()?)));
    wanted
        .filter(|(_, service, _)| is_built(service))
        .map(|(name, service, build)| ProjectBuild {
            service: name.to_string(),
            folder: reading.contexts.get(name.as_str()).cloned(),
            build: build.clone(),
            platform: service.platform.clone().or_else(|| match &build.platforms[..] {
                [one] => Some(one.clone()),
                _ => None,
            }),
            repository: BuiltName::new(environment, app, name.as_str()).repository().to_owned(),
        })
        .collect()
}

/// By Compose's rule a service with a `build` is built, unless its `pull_policy` speaks of the image that it names.
fn is_built(service: &Service) -> bool {
    service.image.is_none() || matches!(service.pull_policy, None | Some(PullPolicy::Build))
}

/// Puts the images that were built in their places.
pub(super) fn take_built(
    environment: &str,
    reading: &mut Reading,
    built: &BTreeMap<String, String>,
) -> Result<(), AppError> {
    let app = reading.spec.name.clone();
    for (name, image) in built {
        let pointer = || format!("project.built.{name}");
        let service = reading.spec.services.get_mut(name.as_str()).filter(|service| service.build.is_some());
        let Some(service) = service else {
            return Err(AppError::invalid(
                pointer(),
                "there is no such service, or nothing says how to build it",
            ));
        };
        check_name(environment, &app, name, image).map_err(|detail| AppError::invalid(pointer(), detail))?;
        service.image = Some(image.clone());
        service.pull_policy = Some(PullPolicy::Build);
    }
    Ok(())
}

/// Whether each service has an image to run. One whose containers were adopted has theirs.
pub(super) fn check_images(spec: &AppSpec) -> Result<(), AppError> {
    match spec.services.iter().find(|(_, service)| service.image.is_none()) {
        None => Ok(()),
        Some((name, _)) => Err(AppError::invalid(
            format!("services.{name}.image"),
            "its image has to be built before, and named in the project's `built`: `omni deploy` does both",
        )),
    }
}

fn check(key: &AppKey, start: &BuildStart) -> Result<(), AppError> {
    let AppKey { environment, name } = key;
    check_name(environment, name, &start.service, &start.name)
        .map_err(|detail| AppError::invalid("name", detail))?;
    if start.registries.len() > MAX_BUILD_REGISTRIES {
        let detail = format!("{} are more than {MAX_BUILD_REGISTRIES}", start.registries.len());
        return Err(AppError::invalid("registries", detail));
    }
    match (&start.build.dockerfile_inline, &start.build.context) {
        (Some(_), BuildContext::Folder(_)) => Err(AppError::invalid(
            "build.dockerfile_inline",
            "put it into the tar file, and name it with `dockerfile`",
        )),
        (Some(_), BuildContext::Remote(_)) => Err(AppError::invalid(
            "build.dockerfile_inline",
            "the engine cannot put a Dockerfile into a context that it fetches",
        )),
        _ => Ok(()),
    }
}

/// An image may only be built under a name of its own service's: no one app replaces what another runs.
fn check_name(environment: &str, app: &str, service: &str, name: &str) -> Result<(), String> {
    let names = BuiltName::new(environment, app, service);
    match names.made(name) {
        true => Ok(()),
        false => Err(format!(
            "the image is called {}: and the first 16 hexadecimal digits of a digest of what it is built from",
            names.repository()
        )),
    }
}

/// The host to build on: always the same one for an app while the hosts are the same, because its engine has the layers
/// of the last build.
fn builder<'a>(state: &'a State, app: &AppKey, platform: Option<&str>) -> Result<&'a Host, AppError> {
    let up = state.hosts.values().filter(|host| host.status == HostStatus::Up);
    let engines = up.filter(|host| host.facts.as_ref().is_some_and(|facts| facts.docker.is_some()));
    let hosts: Vec<&Host> = engines.map(|host| &**host).collect();
    let arch = match platform {
        Some(platform) => Some(kernel_word(platform)),
        None => most(hosts.iter().filter_map(|host| Some(host.facts.as_ref()?.arch.as_str()))),
    };
    let fits = |host: &&&Host| arch.is_none() || host.facts.as_ref().map(|facts| facts.arch.as_str()) == arch;
    // A cordoned host is about to go, and builds only when there is no other.
    let found = hosts.iter().filter(fits).min_by_key(|host| (host.cordoned, weight(app, host)));
    found.copied().ok_or_else(|| {
        let arch = arch.map(|arch| format!("an {arch} ")).unwrap_or_default();
        AppError::not_found("host", format!("that is up, has {arch}Docker engine and can build"))
    })
}

/// Rendezvous hashing: each app orders the hosts in its own way, and a host that goes moves only the apps that it had.
fn weight(app: &AppKey, host: &Host) -> [u8; 32] {
    use sha2::Digest;
    let text = format!("{}/{}/{}", app.environment, app.name, host.id);
    sha2::Sha256::digest(text).into()
}

fn kernel_word(platform: &str) -> &str {
    let arch = platform.split('/').nth(1).unwrap_or(platform);
    ARCHITECTURES.iter().find(|(known, _)| *known == arch).map_or(arch, |(_, kernel)| kernel)
}

/// The most frequent one; of equals the first by name.
fn most<'a>(words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts.into_iter().max_by_key(|(word, count)| (*count, std::cmp::Reverse(*word))).map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::{Bench, host};
    use omni_common::domain::{DockerFacts, HostFacts};

    fn docker() -> DockerFacts {
        DockerFacts {
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
            storage_driver: "overlay2".to_owned(),
            cgroup_version: "2".to_owned(),
            root_dir: "/var/lib/docker".to_owned(),
            runtimes: Vec::new(),
        }
    }

    #[test]
    fn an_app_is_built_where_it_was_built_before() {
        let bench = Bench::new();
        let add = |number: u128, arch: &str, change: fn(&mut Host)| {
            let mut host = host(number, &format!("h{number}"));
            let docker = Some(docker());
            host.facts = Some(HostFacts { arch: arch.to_owned(), docker, ..HostFacts::default() });
            change(&mut host);
            bench.add_host(host);
        };
        for number in 1..=5 {
            add(number, "x86_64", |_| {});
        }
        add(6, "aarch64", |_| {});
        add(7, "x86_64", |host| host.status = HostStatus::Down);
        add(8, "x86_64", |host| host.facts.as_mut().expect("known").docker = None);
        add(9, "aarch64", |host| host.cordoned = true);
        let state = bench.app.store.current();
        let app = |number: u32| AppKey { environment: "default".to_owned(), name: format!("app-{number}") };
        let on = |number: u32, platform: Option<&str>| {
            builder(&state, &app(number), platform)
                .map(|host| host.name.clone())
                .map_err(|error| error.to_string())
        };
        let mut used = std::collections::BTreeSet::new();
        for number in 0..64 {
            assert_eq!(on(number, Some("linux/arm64/v8")), Ok("h6".to_owned()), "h9 is about to go");
            used.insert(on(number, None).expect("five could"));
            assert_eq!(on(number, None), on(number, Some("linux/amd64")));
        }
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["h1", "h2", "h3", "h4", "h5"]);
        let nobody = on(1, Some("linux/s390x")).expect_err("there is none");
        assert!(nobody.contains("an s390x Docker engine"), "{nobody}");
    }
}
