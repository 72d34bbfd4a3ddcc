//! A service's container, alone: its image, environment and volumes, but no network, no port, and labels that the converger
//! takes no notice of. What is loaded into it becomes the service's data, and nobody else sees it half loaded.

use super::{labels, scratch_name};
use crate::backup::context::Context;
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::seam::Exec;
use crate::executors::converge::definition::{Scene, define};
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, Mount, MountType};
use omni_common::domain::app::{AppSpec, ContentDigest, NetworkMode, Service, ServiceName};
use omni_common::domain::{ContainerState, Health};
use omni_common::ids::AllocationId;
use omni_common::wire::DesiredAllocation;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// A service has this long to be ready to be loaded: making a first database takes, on a slow disk.
const READY: Duration = Duration::from_secs(300);
/// Whether it is, is asked this often.
const LOOK: Duration = Duration::from_millis(500);
/// One question may take this long.
const ANSWER: Duration = Duration::from_secs(30);
/// Does nothing, in any image that has tools at all.
const IDLE: [&str; 3] = ["tail", "-f", "/dev/null"];
/// It may take this long to write what it holds and stop, when its release does not say.
const STOP: Duration = Duration::from_secs(120);

/// The volumes of an instance by their names in the app, and what they are on the host for this purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volumes(pub(super) BTreeMap<String, String>);

impl Volumes {
    /// The instance's own.
    pub(super) fn own(place: &Place<'_>) -> Self {
        Self(all(place).into_iter().map(|volume| (volume.clone(), place.volume(&volume))).collect())
    }

    /// Those that are made for a run.
    pub(super) fn scratch(context: &Context<'_>, place: &Place<'_>) -> Self {
        Self(all(place).into_iter().map(|volume| (volume.clone(), scratch_name(context, &volume))).collect())
    }
}

/// The volumes that the group's services mount, by their names in the app.
fn all(place: &Place<'_>) -> BTreeSet<String> {
    let services = place.group.services.iter().filter_map(|name| place.instance.spec.services.get(name));
    services.flat_map(|service| place.volumes_of(service)).collect()
}

/// A container that was started alone. It is removed with its run, at the latest.
pub(super) struct Lone {
    pub(super) id: String,
    pub(super) service: ServiceName,
    grace: Duration,
}

impl Lone {
    /// Starts it. `defaults` are variables that it gets when it lacks them, `arguments` are added to its command.
    pub(super) async fn start(
        context: &Context<'_>,
        place: &Place<'_>,
        service: &ServiceName,
        volumes: &Volumes,
        defaults: &[(&'static str, String)],
        command: Option<Vec<String>>,
    ) -> Result<Self, Failure> {
        let scenery = Scenery { api: context.shared.docker.api().await?, context, volumes };
        let mut body = body(place, service, &scenery, defaults)?;
        if command.is_some() {
            body.cmd = command;
        }
        Self::make(context, place, service, service.as_str(), body).await
    }

    /// Starts it with nothing to do, beside its image only this volume in this place, which it cannot write to: for programs
    /// that look at what is there.
    pub(super) async fn idle(
        context: &Context<'_>,
        place: &Place<'_>,
        service: &ServiceName,
        volume: &str,
        target: &str,
    ) -> Result<Self, Failure> {
        let mount = Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.to_owned()),
            target: Some(target.to_owned()),
            read_only: Some(true),
            ..Mount::default()
        };
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![mount]),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: place.service(service)?.image.clone(),
            entrypoint: Some(IDLE.map(str::to_owned).to_vec()),
            // Whoever the files belong to.
            user: Some("0:0".to_owned()),
            labels: Some(labels(context).into_iter().collect()),
            healthcheck: Some(unchecked()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        Self::make(context, place, service, &format!("{service}-idle"), body).await
    }

    async fn make(
        context: &Context<'_>,
        place: &Place<'_>,
        service: &ServiceName,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<Self, Failure> {
        context.check()?;
        let docker = context.shared.docker.as_ref();
        let told = place.service(service)?;
        let image = told.image.clone().unwrap_or_default();
        context.unless_cancelled(docker.have_image(&image, told.platform.as_deref())).await?;
        context.shared.scratch().insert(context.run);
        let name = scratch_name(context, name);
        let id = docker.create(&name, told.platform.as_deref(), body).await?;
        docker.start(&id).await?;
        let grace = told.stop_grace_ms.map_or(STOP, Duration::from_millis);
        Ok(Self { id, service: service.clone(), grace })
    }

    /// Waits until a command in it ends well, and it is healthy where `healthy` asks for that.
    pub(super) async fn ready(
        &self,
        context: &Context<'_>,
        command: &[String],
        environment: &[String],
        healthy: bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + READY;
        let mut last = String::new();
        while Instant::now() < deadline {
            context.check()?;
            let sick = self.lives(context).await? && healthy;
            if !sick {
                match self.ask(context, command, environment, ANSWER).await {
                    Ok(_) => return Ok(()),
                    Err(reason) => last = reason,
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        let log = context.shared.docker.log(&self.id).await;
        Err(Failure::new(
            "load_failed",
            format!("{} is not ready after {} s: {last} {}", self.service, READY.as_secs(), ending(&log)),
        ))
    }

    /// Whether its own check has not passed yet; an error when it does not run any more.
    pub(super) async fn lives(&self, context: &Context<'_>) -> Result<bool, Failure> {
        let docker = context.shared.docker.as_ref();
        match docker.inspect(&self.id).await? {
            Some(found) if found.state == ContainerState::Running => {
                Ok(!matches!(found.health, Health::None | Health::Healthy))
            }
            found => {
                let code = found.and_then(|found| found.exit_code).unwrap_or(-1);
                let log = docker.log(&self.id).await;
                Err(Failure::new(
                    "load_failed",
                    format!(
                        "{} ended with exit code {code} when it was started alone: {}",
                        self.service,
                        ending(&log)
                    ),
                ))
            }
        }
    }

    /// Runs a command in it and returns what that prints.
    pub(super) async fn ask(
        &self,
        context: &Context<'_>,
        command: &[String],
        environment: &[String],
        within: Duration,
    ) -> Result<String, String> {
        let name = command.first().map_or("the command", String::as_str);
        let exec = Exec {
            container: self.id.clone(),
            command: command.to_vec(),
            environment: environment.to_vec(),
            input: false,
        };
        let program = context.shared.docker.run(exec).await.map_err(|error| error.to_string())?;
        program.finish(name, within).await
    }

    /// Stops it as the service is stopped, so that it writes what it holds.
    pub(super) async fn stop(&self, context: &Context<'_>) -> Result<(), Failure> {
        let docker = context.shared.docker.as_ref();
        docker.stop(&self.id, self.grace).await?;
        match docker.inspect(&self.id).await?.and_then(|found| found.exit_code) {
            // A program that SIGTERM ends by itself counts as asked for.
            Some(0 | 143) => Ok(()),
            code => {
                let log = docker.log(&self.id).await;
                let code = code.unwrap_or(-1);
                Err(Failure::new(
                    "load_failed",
                    format!(
                        "{} did not stop cleanly after it was loaded (exit code {code}): {}",
                        self.service,
                        ending(&log)
                    ),
                ))
            }
        }
    }

    /// Removes it.
    pub(super) async fn remove(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.shared.docker.remove(&self.id).await?)
    }
}

/// The last words of a log, for a message.
fn ending(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// What a container is made for.
struct Scenery<'a> {
    api: (u32, u32),
    context: &'a Context<'a>,
    volumes: &'a Volumes,
}

fn body(
    place: &Place<'_>,
    name: &ServiceName,
    scenery: &Scenery<'_>,
    defaults: &[(&'static str, String)],
) -> Result<ContainerCreateBody, Failure> {
    let dirs = &scenery.context.shared.dirs;
    let mut spec: AppSpec = place.instance.spec.clone();
    spec.services.insert(name.clone(), lonely(place.service(name)?));
    let allocation = allocation(place, scenery.context);
    let scene = Scene {
        allocation: &allocation,
        spec: &spec,
        group: place.group,
        host: place.host,
        api: scenery.api,
        files: place.key.folder(&dirs.files),
        secrets: place.key.folder(&dirs.secrets),
        networks: BTreeMap::new(),
    };
    let defined = define(&scene, name, 0).map_err(|reason| Failure::new("invalid", reason))?;
    let mut body = defined.into_iter().next().map(|definition| definition.body).unwrap_or_default();
    body.labels = Some(labels(scenery.context).into_iter().collect());
    (body.networking_config, body.exposed_ports) = (None, None);
    let own: BTreeMap<String, String> =
        scenery.volumes.0.iter().map(|(volume, on_host)| (place.volume(volume), on_host.clone())).collect();
    let absent = furnish(&mut body, &own, &|path| path.exists());
    environment(&mut body, &absent, defaults);
    Ok(body)
}

/// The service without everything that ties it to others. Pure.
fn lonely(service: &Service) -> Service {
    let mut alone = service.clone();
    alone.network_mode = NetworkMode::None;
    alone.containers = None;
    alone.container_name = None;
    alone.restart = None;
    (alone.pid, alone.ipc, alone.uts) = (None, None, None);
    alone.networks.clear();
    alone.ports.clear();
    alone.expose.clear();
    alone.links.clear();
    alone.volumes_from.clear();
    alone.depends_on.clear();
    alone.labels.clear();
    alone.post_start.clear();
    alone.pre_stop.clear();
    alone.reservations.gpus.clear();
    alone.extra_hosts.clear();
    alone.mac_address = None;
    alone
}

fn allocation(place: &Place<'_>, context: &Context<'_>) -> DesiredAllocation {
    DesiredAllocation {
        // Names nothing: the labels that would show it are replaced.
        id: AllocationId(context.run.0),
        epoch: 0,
        environment: place.key.environment.clone(),
        app: place.key.app.clone(),
        group: place.key.group.clone(),
        slot: place.key.slot,
        release: 0,
        spec: ContentDigest::of(&[]),
        exclusive: false,
        run: true,
        purge: false,
        gpus: Vec::new(),
    }
}

/// Gives it the volumes, and of the host's files those that are there: a release's files are not on every host that a
/// restore is tried on. Returns where those are missing that are not. Pure but for `there`.
fn furnish(
    body: &mut ContainerCreateBody,
    volumes: &BTreeMap<String, String>,
    there: &dyn Fn(&Path) -> bool,
) -> BTreeSet<String> {
    let mut absent = BTreeSet::new();
    let Some(host) = &mut body.host_config else { return absent };
    host.network_mode = Some("none".to_owned());
    (host.restart_policy, host.port_bindings) = (None, None);
    let mut keep = |mount: &mut Mount| {
        let source = mount.source.clone().unwrap_or_default();
        match mount.typ {
            Some(MountType::VOLUME) => {
                if let Some(other) = volumes.get(&source) {
                    mount.source = Some(other.clone());
                }
                true
            }
            Some(MountType::BIND) if !there(Path::new(&source)) => {
                absent.extend(mount.target.clone());
                false
            }
            _ => true,
        }
    };
    if let Some(mounts) = &mut host.mounts {
        mounts.retain_mut(|mount| keep(mount));
    }
    if let Some(binds) = &mut host.binds {
        binds.retain(|bind| bind.split(':').next().is_some_and(|source| there(Path::new(source))));
    }
    absent
}

/// Takes out variables that name a file which is not there, and puts in those that are needed and lacking. Pure.
fn environment(
    body: &mut ContainerCreateBody,
    absent: &BTreeSet<String>,
    defaults: &[(&'static str, String)],
) {
    let variables = body.env.get_or_insert_default();
    variables.retain(|variable| {
        let named = variable.split_once('=').filter(|(name, _)| name.ends_with("_FILE"));
        named.is_none_or(|(_, path)| !absent.contains(path))
    });
    for (name, value) in defaults {
        let has = |wanted: &str| variables.iter().any(|variable| variable.split('=').next() == Some(wanted));
        if !has(name) && !has(&format!("{name}_FILE")) {
            variables.push(format!("{name}={value}"));
        }
    }
    body.healthcheck.get_or_insert_with(unchecked);
}

/// Whatever its image says: nobody asks how it is.
fn unchecked() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(typ: MountType, source: &str, target: &str) -> Mount {
        Mount {
            typ: Some(typ),
            source: Some(source.to_owned()),
            target: Some(target.to_owned()),
            ..Mount::default()
        }
    }

    #[test]
    fn it_gets_the_volumes_it_is_told_and_only_files_that_are_there() {
        let mut body = ContainerCreateBody {
            env: Some(vec!["A=1".to_owned(), "POSTGRES_PASSWORD_FILE=/run/secrets/password".to_owned()]),
            host_config: Some(HostConfig {
                network_mode: Some("shop_default".to_owned()),
                mounts: Some(vec![
                    mount(MountType::VOLUME, "shop_data", "/data"),
                    mount(MountType::BIND, "/gone", "/run/secrets/password"),
                    mount(MountType::BIND, "/here", "/etc/x"),
                ]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let volumes = BTreeMap::from([("shop_data".to_owned(), "omni-run-1-data".to_owned())]);
        let absent = furnish(&mut body, &volumes, &|path| path == Path::new("/here"));
        environment(&mut body, &absent, &[("POSTGRES_PASSWORD", "x".to_owned()), ("A", "2".to_owned())]);
        let host = body.host_config.clone().expect("it has one");
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        let sources: Vec<_> = host.mounts.iter().flatten().filter_map(|mount| mount.source.clone()).collect();
        assert_eq!(sources, ["omni-run-1-data", "/here"]);
        assert_eq!(body.env.expect("some"), ["A=1", "POSTGRES_PASSWORD=x"]);
    }
}
