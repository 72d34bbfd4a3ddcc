//! One step, done. Each finds out first whether it is done already, and leaves the inventory true: what it changed is
//! looked at before the next plan is made.

use super::super::names::{self, Own};
use super::super::steps::{Action, Layout, Step, Target, Thing};
use super::{Fault, Leased, Shared, files, pull};
use crate::docker::{DockerError, Engine};
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, VolumeCreateRequest};
use omni_common::domain::LABEL_COMPOSE_PROJECT;
use omni_common::domain::app::{Hook, NetworkSpec, VolumeSpec};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A command that a service has run at a turn of its life may take this long.
const HOOK: Duration = Duration::from_secs(60);

/// Does one step.
pub(super) async fn perform(shared: &Shared, leased: &Leased, step: &Step) -> Result<(), Fault> {
    let engine = shared.docker.engine()?;
    match &step.action {
        Action::Pull { image, policy, platform } => {
            let needed = pull::Needed { image, policy: *policy, platform: platform.as_deref() };
            let told = |text: String| {
                if let Some(id) = step.allocation
                    && shared.memory().progress.insert(id, text.clone()) != Some(text)
                {
                    shared.learned.notify_one();
                }
            };
            pull::ensure(&engine, &shared.images, needed, shared.clock.now(), &told).await
        }
        Action::Lay(layout) => lay(shared, &engine, layout).await,
        Action::Create { name, definition } => {
            let created = engine.create(name, definition.platform.as_deref(), definition.body.clone()).await;
            match created {
                Ok(id) => look(shared, &engine, &id).await,
                Err(DockerError::Conflict(message)) => conflict(shared, &engine, name, message).await,
                Err(error) => Err(error.into()),
            }
        }
        Action::Adopt { target, labels, restart } => {
            // First: an exclusive container that is omni's must not come back by itself.
            engine.set_restart(&target.id, restart.clone()).await?;
            let present = shared.docker.containers().ids();
            let kept = shared.depot.adopt(target.id.clone(), labels.clone(), &present).await;
            kept.map_err(Fault::passing)?;
            shared.docker.containers().adopt(&target.id, labels.clone());
            look(shared, &engine, &target.id).await
        }
        Action::Connect { target, network, endpoint } => {
            engine.connect_network(network, &target.id, endpoint.as_ref().clone()).await?;
            look(shared, &engine, &target.id).await
        }
        Action::Start { target, exclusive, hooks } => {
            start(shared, leased, &engine, target, *exclusive, hooks).await
        }
        Action::Stop { target, grace_ms, hooks, again } => {
            if *again {
                shared.memory().restarts.entry(target.id.clone()).or_default().stopped = true;
            }
            for hook in hooks {
                // It is stopped all the same: that is what was asked for.
                if let Err(reason) = run_hook(&engine, target, hook).await {
                    tracing::warn!(container = target.name, reason, "pre_stop failed");
                }
            }
            engine.stop(&target.id, Duration::from_millis(*grace_ms)).await?;
            look(shared, &engine, &target.id).await
        }
        Action::Remove(target) => {
            engine.remove(&target.id).await?;
            look(shared, &engine, &target.id).await
        }
        Action::Rename { target, to } => {
            engine.rename(&target.id, to).await?;
            look(shared, &engine, &target.id).await
        }
        Action::RemoveNetwork(name) => Ok(engine.remove_network(name).await?),
        Action::RemoveVolume(name) => {
            engine.remove_volume(name).await?;
            let gone = BTreeSet::from([name.clone()]);
            shared.holds.unbar(&gone).await.map_err(|error| Fault::passing(error.to_string()))
        }
    }
}

/// Makes the inventory show what a container is now, or that it is gone.
async fn look(shared: &Shared, engine: &Engine, id: &str) -> Result<(), Fault> {
    match engine.inspect(id).await {
        Ok(container) => shared.docker.containers().upsert(container),
        Err(DockerError::NotFound(_)) => shared.docker.containers().remove(id),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The name is taken: by a container of ours that the inventory did not show yet, or by somebody else's.
async fn conflict(shared: &Shared, engine: &Engine, name: &str, message: String) -> Result<(), Fault> {
    let holder = engine.inspect(name).await.map_err(|_| Fault::passing(message))?;
    let ours = Own::read(&holder, &shared.host).is_some();
    let reason = format!(
        "the name {name} is taken by a container that this agent did not make (id {}, image {}): rename or remove it",
        holder.short_id(),
        holder.image
    );
    shared.docker.containers().upsert(holder);
    if ours { Ok(()) } else { Err(Fault::lasting(reason)) }
}

async fn start(
    shared: &Shared,
    leased: &Leased,
    engine: &Engine,
    target: &Target,
    exclusive: bool,
    hooks: &[Hook],
) -> Result<(), Fault> {
    if exclusive && !leased.valid() {
        return Err(Fault::passing("this host's lease has ended"));
    }
    note_start(shared, &target.id);
    shared.memory().starting.insert(target.id.clone());
    let started = engine.start(&target.id).await;
    let looked = look(shared, engine, &target.id).await;
    shared.memory().starting.remove(&target.id);
    looked?;
    started?;
    if exclusive && !leased.valid() {
        // The engine took longer than the lease.
        engine.stop(&target.id, Duration::ZERO).await?;
        look(shared, engine, &target.id).await?;
        return Err(Fault::passing("this host's lease ended while it started"));
    }
    for hook in hooks {
        if let Err(reason) = run_hook(engine, target, hook).await {
            engine.stop(&target.id, Duration::ZERO).await?;
            look(shared, engine, &target.id).await?;
            return Err(Fault::lasting(format!("{}: post_start {reason}", target.name)));
        }
    }
    Ok(())
}

/// Counts starts after an end that was not a good one.
fn note_start(shared: &Shared, id: &str) {
    let Some(container) = shared.docker.containers().get(id).filter(|container| container.started.is_some())
    else {
        return;
    };
    let mut memory = shared.memory();
    let restarts = memory.restarts.entry(id.to_owned()).or_default();
    if super::super::phase::ran_well(&container) {
        restarts.count = 0;
    } else if !restarts.stopped {
        restarts.count = restarts.count.saturating_add(1);
    }
    restarts.stopped = false;
}

async fn run_hook(engine: &Engine, target: &Target, hook: &Hook) -> Result<(), String> {
    let command = hook.command.join(" ");
    match engine.run_hook(&target.id, hook, HOOK).await {
        Ok(0) => Ok(()),
        Ok(code) => Err(format!("`{command}` ended with exit code {code}")),
        Err(error) => Err(format!("`{command}` could not be run: {error}")),
    }
}

async fn lay(shared: &Shared, engine: &Engine, layout: &Layout) -> Result<(), Fault> {
    for (name, network) in &layout.networks {
        lay_network(engine, name, network).await?;
    }
    for (name, volume) in &layout.volumes {
        lay_volume(engine, name, volume).await?;
    }
    let mut contents = files::Contents::new();
    for digest in files::needed(&layout.files) {
        match shared.depot.content(&digest).await {
            Ok(Some(bytes)) => drop(contents.insert(digest, bytes)),
            Ok(None) => {
                return Err(Fault::passing(format!("a file of the release ({digest}) has not arrived yet")));
            }
            Err(reason) => return Err(Fault::lasting(reason)),
        }
    }
    let (files, dirs) = (layout.files.clone(), shared.dirs.clone());
    let laid = tokio::task::spawn_blocking(move || files::lay(&files, &contents, &dirs)).await;
    laid.map_err(|error| Fault::passing(error.to_string()))?.map_err(Fault::lasting)
}

async fn lay_network(engine: &Engine, name: &str, network: &Thing<NetworkSpec>) -> Result<(), Fault> {
    let found = engine.networks("name", name).await?.into_iter().find(|found| found.name == name);
    match found {
        Some(_) if network.spec.external => Ok(()),
        Some(found) => whose("network", name, network, &found.labels),
        None if network.spec.external => Err(Fault::lasting(format!(
            "the network {name} is external, and this host has none of that name: make it with `docker network create {name}`"
        ))),
        None => Ok(engine.create_network(network_request(name, network)).await?),
    }
}

async fn lay_volume(engine: &Engine, name: &str, volume: &Thing<VolumeSpec>) -> Result<(), Fault> {
    match engine.volume(name).await? {
        Some(_) if volume.spec.external => Ok(()),
        Some(labels) => whose("volume", name, volume, &labels),
        None if volume.spec.external => Err(Fault::lasting(format!(
            "the volume {name} is external, and this host has none of that name: make it with `docker volume create {name}`"
        ))),
        None => Ok(engine.create_volume(volume_request(name, volume)).await?),
    }
}

/// A thing that is there already has to be this instance's, or compose's for the same project; one that the file names is
/// taken as it is.
pub(crate) fn whose<T>(
    what: &str,
    name: &str,
    thing: &Thing<T>,
    found: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    let same = |label: &str| found.get(label) == thing.labels.get(label);
    let own = [names::ENVIRONMENT, names::APP, names::SLOT].into_iter().all(same);
    let composed =
        found.get(LABEL_COMPOSE_PROJECT) == thing.labels.get(names::APP) && !found.contains_key(names::APP);
    if thing.named || own || composed {
        return Ok(());
    }
    Err(Fault::lasting(format!(
        "the {what} {name} is there already and belongs to something else: rename it, or say `name: {name}` in the file to share it"
    )))
}

fn pairs(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

fn network_request(name: &str, network: &Thing<NetworkSpec>) -> NetworkCreateRequest {
    let spec = &network.spec;
    let subnet = |subnet: &omni_common::domain::app::Subnet| IpamConfig {
        subnet: subnet.subnet.clone(),
        ip_range: subnet.ip_range.clone(),
        gateway: subnet.gateway.clone(),
        auxiliary_addresses: pairs(&subnet.aux_addresses),
    };
    let ipam = Ipam {
        driver: spec.ipam_driver.clone(),
        config: (!spec.subnets.is_empty()).then(|| spec.subnets.iter().map(subnet).collect()),
        options: pairs(&spec.ipam_options),
    };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: spec.driver.clone(),
        internal: spec.internal.then_some(true),
        attachable: spec.attachable.then_some(true),
        ipam: (ipam != Ipam::default()).then_some(ipam),
        enable_ipv4: spec.enable_ipv4,
        enable_ipv6: spec.enable_ipv6,
        options: pairs(&spec.driver_opts),
        labels: pairs(&network.labels),
        ..NetworkCreateRequest::default()
    }
}

/// What the engine is told to make a volume.
pub(crate) fn volume_request(name: &str, volume: &Thing<VolumeSpec>) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: volume.spec.driver.clone(),
        driver_opts: pairs(&volume.spec.driver_opts),
        labels: pairs(&volume.labels),
        ..VolumeCreateRequest::default()
    }
}
