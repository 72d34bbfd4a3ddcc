//! A drill: the likeness of an instance in volumes and containers made for it, which are asked whether the data is what it
//! should be, and removed.

use super::lone::{Lone, Volumes};
use super::probe::Shown;
use super::{One, Wanted, labels, load, probe, rdb, scratch_name, stage};
use crate::backup::context::{Context, blocking};
use crate::backup::facts::{Facts, tree};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::take::methods;
use bollard::models::VolumeCreateRequest;
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::{ItemName, ItemOutcome, Phase, Probe, RestoreTask, RunState, Take};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was made for a drill.
pub(super) struct Scratch<'a> {
    pub(super) place: Place<'a>,
    volumes: Volumes,
    /// Where the files of an item are: a volume, and its folder on the host.
    pub(super) files: BTreeMap<ItemName, (String, PathBuf)>,
    /// Containers that run, by service.
    pub(super) servers: BTreeMap<ServiceName, Lone>,
    /// What is there of each item.
    pub(super) facts: BTreeMap<ItemName, Facts>,
}

impl<'a> Scratch<'a> {
    /// The container of a service, which is started when it does not run yet.
    pub(super) async fn server(
        &mut self,
        context: &Context<'_>,
        service: &ServiceName,
    ) -> Result<&Lone, Failure> {
        if !self.servers.contains_key(service) {
            let lone = Lone::start(context, &self.place, service, &self.volumes, &[], None).await?;
            self.servers.insert(service.clone(), lone);
        }
        self.servers
            .get(service)
            .ok_or_else(|| Failure::new("internal", format!("{service} was not started")))
    }
}

/// Restores into scratch space and probes it. What was made is removed when the run is tidied up. Returns what could not be
/// probed here.
pub(super) async fn restore(
    context: &Context<'_>,
    task: &RestoreTask,
    wanted: &Wanted<'_>,
    probes: &[Probe],
    outcomes: &mut [ItemOutcome],
) -> Result<Vec<String>, Failure> {
    let place = Place::of(&task.instance, &context.shared.host)?;
    // Asked before anything is written down to be removed: where no engine answers nothing was made, and whoever waits for
    // one to remove it from would wait for ever.
    if let Err(error) = context.shared.docker.api().await {
        return Err(Failure::new("no_engine", format!("a drill needs a Docker engine on its host: {error}")));
    }
    context.shared.scratch().insert(context.run);
    let volumes = Volumes::scratch(context, &place);
    for name in volumes.0.values() {
        make(context, name).await?;
    }
    let mut scratch =
        Scratch { place, volumes, files: BTreeMap::new(), servers: BTreeMap::new(), facts: BTreeMap::new() };
    // Files first: services may need them when they are started to be loaded.
    let files = |one: &One<'_>| matches!(one.told.item.take, Take::Volume { .. } | Take::HostPath { .. });
    for wanting_files in [true, false] {
        for (one, outcome) in wanted.items.iter().zip(outcomes.iter_mut()) {
            if files(one) != wanting_files {
                continue;
            }
            context.check()?;
            match item(context, wanted, one, &mut scratch, probes).await {
                Ok(facts) => {
                    load::written_down(outcome, &facts);
                    outcome.files = facts.get("files").and_then(|text| text.parse().ok()).unwrap_or(1);
                    scratch.facts.insert(one.told.item.name.clone(), facts);
                }
                Err(failure) => {
                    outcome.message = Some(failure.message.clone());
                    return Err(failure);
                }
            }
        }
    }
    let mut not_shown = Vec::new();
    for one in probes {
        match probe::probe(context, wanted, &mut scratch, one).await {
            Ok(Shown::Holds) => {}
            Ok(Shown::Not(why)) => not_shown.push(why),
            Err(failure) => {
                blame(one, &failure, outcomes);
                return Err(failure);
            }
        }
    }
    context.errand.reporter.enter(Phase::Tidying, None);
    Ok(not_shown)
}

/// A probe of an item that fails is the item's failure too.
fn blame(probe: &Probe, failure: &Failure, outcomes: &mut [ItemOutcome]) {
    let named = match probe {
        Probe::Facts { item } | Probe::Archive { item } | Probe::Git { item } => item.as_ref(),
        Probe::Sql { item, .. } => Some(item),
        Probe::Command { .. } | Probe::Http { .. } => None,
    };
    for outcome in outcomes.iter_mut().filter(|outcome| Some(&outcome.item) == named) {
        (outcome.state, outcome.message) = (RunState::Failed, Some(failure.message.clone()));
    }
}

async fn make(context: &Context<'_>, name: &str) -> Result<PathBuf, Failure> {
    let docker = context.shared.docker.as_ref();
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(labels(context).into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    docker.create_volume(request).await?;
    let made = docker.volume(name).await?;
    made.map(|made| made.root)
        .ok_or_else(|| Failure::new("docker", format!("the volume {name} was made and is not there")))
}

/// Restores an item, and says what is there of it.
async fn item(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    scratch: &mut Scratch<'_>,
    probes: &[Probe],
) -> Result<Facts, Failure> {
    let item = &one.told.item;
    context.errand.reporter.enter(Phase::Preparing, Some(&item.name));
    match &item.take {
        Take::Volume { volume, .. } => {
            let known = scratch.volumes.0.get(volume).cloned();
            let volume = known.unwrap_or_else(|| scratch_name(context, volume));
            let root = make(context, &volume).await?;
            scratch.files.insert(item.name.clone(), (volume, root.clone()));
            files(context, wanted, one, root).await
        }
        Take::HostPath { .. } => {
            let volume = scratch_name(context, &format!("path-{}", item.name));
            let root = make(context, &volume).await?;
            scratch.files.insert(item.name.clone(), (volume, root.clone()));
            files(context, wanted, one, root).await
        }
        Take::Redis { service, data } => {
            let mounted = scratch.place.volumes_of(scratch.place.service(service)?);
            let data = data.clone().or_else(|| mounted.into_iter().next()).ok_or_else(|| {
                Failure::new("invalid", format!("{service} mounts no volume that its data could be put into"))
            })?;
            let (lone, facts) =
                rdb::into(context, &scratch.place, wanted, one, service, &data, &scratch.volumes).await?;
            scratch.servers.insert(service.clone(), lone);
            Ok(facts)
        }
        // What nothing loads can be read all the same, where that is what is asked.
        Take::Command { load, .. } if load.is_empty() && is_read(probes, &item.name) => {
            load::read(context, &wanted.opened, one).await
        }
        _ => {
            let Some(load) = methods::load(item)? else {
                return Err(Failure::new("internal", format!("{} cannot be loaded", item.name)));
            };
            if !scratch.servers.contains_key(&load.service) {
                let volumes = &scratch.volumes;
                let place = &scratch.place;
                let lone = Lone::start(context, place, &load.service, volumes, &load.defaults, None).await?;
                scratch.servers.insert(load.service.clone(), lone);
            }
            let lone = scratch.server(context, &load.service).await?;
            load::into(context, &wanted.opened, one, &load, lone).await
        }
    }
}

/// Whether an item is looked at as an archive, for which it need not be loaded.
fn is_read(probes: &[Probe], name: &ItemName) -> bool {
    probes.iter().any(|probe| match probe {
        Probe::Archive { item } => item.as_ref().is_none_or(|item| item == name),
        _ => false,
    })
}

async fn files(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    root: PathBuf,
) -> Result<Facts, Failure> {
    let staged = stage::fetch(context, &wanted.opened, one, &root).await?;
    match staged.is_file() {
        true => staged.into_file(&root.join("file")).await?,
        false => staged.into_place(&root, true).await?,
    }
    context.errand.reporter.enter(Phase::Verifying, Some(&one.told.item.name));
    let expected: Facts = one.told.facts.clone();
    blocking(move || Ok(tree::of_restored(&root, &expected))).await
}
