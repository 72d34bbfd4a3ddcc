//! In place: what an instance has of its own becomes what the snapshots hold.
//!
//! ```text
//! nothing of it runs ─▶ volumes marked as unfinished, on disk ─▶ items, one by one ─▶ marks removed
//!                         └ nothing is started on them, also after a restart, until a restore has ended well
//! ```
//! A restore that fails leaves the marks on every volume that it has changed or found empty, and removes those of volumes
//! that hold what they held before. Doing it again is all it takes.

use super::lone::Volumes;
use super::stage::{self, has_content, not_empty};
use super::{One, Wanted, folder, load, rdb};
use crate::backup::context::{Context, blocking};
use crate::backup::facts::{Facts, difference, tree};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::take::methods;
use crate::executors::converge::phase::is_alive;
use crate::executors::converge::{volume_request, whose};
use omni_common::domain::backup::{Item, ItemOutcome, Phase, RestoreTask, RunState, Take};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Restores in place.
pub(super) async fn restore(
    context: &Context<'_>,
    task: &RestoreTask,
    wanted: &Wanted<'_>,
    replace: bool,
    outcomes: &mut [ItemOutcome],
) -> Result<(), Failure> {
    let place = Place::of(&task.instance, &context.shared.host)?;
    nothing_runs(context, &place).await?;
    let mut targets = BTreeMap::new();
    for one in &wanted.items {
        for volume in volumes_of(&place, &one.told.item)? {
            let target = target(context, &place, &volume, replace || one.told.path.is_some()).await?;
            targets.insert(volume, target);
        }
    }
    let names: BTreeSet<String> = targets.keys().map(|volume| place.volume(volume)).collect();
    context.shared.docker.bar(&names, context.run).await?;
    let mut changed = BTreeSet::new();
    let done = async {
        // Once more: what was about to start when the marks were made may run now.
        nothing_runs(context, &place).await?;
        make(context, &place, &targets).await?;
        for (one, outcome) in wanted.items.iter().zip(outcomes.iter_mut()) {
            context.check()?;
            let restored = item(context, &place, wanted, one, replace, &targets, &mut changed, outcome).await;
            if let Err(failure) = restored {
                outcome.message = Some(failure.message.clone());
                return Err(failure);
            }
            if task.compare {
                compare(context, &place, one, outcome).await?;
            }
        }
        Ok(())
    };
    let done = done.await;
    let whole: BTreeSet<String> = match &done {
        Ok(()) => names,
        Err(_) => targets
            .iter()
            .filter(|(volume, target)| target.had_content && !changed.contains(*volume))
            .map(|(volume, _)| place.volume(volume))
            .collect(),
    };
    context.shared.docker.unbar(&whole).await?;
    done
}

/// Whether files that have come are those that were taken.
async fn compare(
    context: &Context<'_>,
    place: &Place<'_>,
    one: &One<'_>,
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let item = &one.told.item;
    context.errand.reporter.enter(Phase::Verifying, Some(&item.name));
    let at = match &item.take {
        Take::Volume { volume, .. } => root(context, &place.volume(volume)).await?,
        Take::HostPath { path, .. } => place.path(&context.shared.dirs.files, path)?,
        _ => return Ok(()),
    };
    let expected: Facts = one.told.facts.clone();
    let found = blocking(move || Ok(tree::of_restored(&at, &expected))).await?;
    let Some(difference) = difference(&one.told.facts, &found) else { return Ok(()) };
    let message = format!("{} did not come as it was taken: {difference}", item.name);
    (outcome.state, outcome.message) = (RunState::Failed, Some(message.clone()));
    Err(Failure::new("differs", message))
}

/// A volume that is restored to.
pub(super) struct Target {
    /// Whether it had something in it.
    had_content: bool,
    /// Whether it is there at all.
    there: bool,
}

pub(in crate::backup) async fn nothing_runs(context: &Context<'_>, place: &Place<'_>) -> Result<(), Failure> {
    let containers = context.shared.docker.containers().await?;
    let own = place.own(&containers);
    let alive = own.iter().find(|own| is_alive(own.container));
    alive.map_or(Ok(()), |own| {
        Err(Failure::new(
            "running",
            format!(
                "{} still runs; stop {} on this host first, and restore then",
                own.container.name,
                place.app()
            ),
        ))
    })
}

/// The volumes, by their names in the app, that an item is restored to. Pure.
pub(super) fn volumes_of(place: &Place<'_>, item: &Item) -> Result<Vec<String>, Failure> {
    let service = match &item.take {
        Take::HostPath { .. } => return Ok(Vec::new()),
        Take::Volume { volume, .. } => return Ok(vec![volume.clone()]),
        Take::Postgres { data: Some(data), .. }
        | Take::Mariadb { data: Some(data), .. }
        | Take::Redis { data: Some(data), .. } => return Ok(vec![data.clone()]),
        Take::Postgres { service, .. }
        | Take::Mariadb { service, .. }
        | Take::Redis { service, .. }
        | Take::Command { service, .. } => service,
    };
    let mounted: Vec<String> = place.volumes_of(place.service(service)?).into_iter().collect();
    match (mounted.len(), &item.take) {
        (1, _) | (_, Take::Command { .. }) => Ok(mounted),
        (count, _) => Err(Failure::new(
            "invalid",
            format!(
                "{service} mounts {count} volumes, and {} does not say which of them holds its data",
                item.name
            ),
        )),
    }
}

pub(super) async fn target(
    context: &Context<'_>,
    place: &Place<'_>,
    volume: &str,
    may_have_content: bool,
) -> Result<Target, Failure> {
    let (name, thing) = (place.volume(volume), place.thing(volume));
    let Some(found) = context.shared.docker.volume(&name).await? else {
        if thing.spec.external {
            return Err(Failure::new(
                "volume_missing",
                format!(
                    "the volume {name} is external, and this host has none of that name: make it with `docker volume create {name}`"
                ),
            ));
        }
        return Ok(Target { had_content: false, there: false });
    };
    if !thing.spec.external {
        whose("volume", &name, &thing, &found.labels)
            .map_err(|fault| Failure::new("volume_taken", fault.reason))?;
    }
    // What an earlier restore has left unfinished there is no data that has to be kept.
    let unfinished = context.shared.docker.is_barred(&name);
    let had_content = !unfinished && has_content(&found.root)?;
    if had_content && !may_have_content {
        return Err(not_empty(&found.root));
    }
    Ok(Target { had_content, there: true })
}

/// Makes the volumes that are absent, as the converger would.
pub(super) async fn make(
    context: &Context<'_>,
    place: &Place<'_>,
    targets: &BTreeMap<String, Target>,
) -> Result<(), Failure> {
    for volume in targets.iter().filter(|(_, target)| !target.there).map(|(volume, _)| volume) {
        let request = volume_request(&place.volume(volume), &place.thing(volume));
        context.shared.docker.create_volume(request).await?;
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of one restore, and they are not together anywhere else"
)]
async fn item(
    context: &Context<'_>,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    replace: bool,
    targets: &BTreeMap<String, Target>,
    changed: &mut BTreeSet<String>,
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let item = &one.told.item;
    context.errand.reporter.enter(Phase::Preparing, Some(&item.name));
    if let Take::HostPath { path, .. } = &item.take {
        let path = place.path(&context.shared.dirs.files, path)?;
        return host_path(context, wanted, one, &path, replace, outcome).await;
    }
    let volumes = volumes_of(place, item)?;
    if let Take::Volume { volume, .. } = &item.take {
        let root = root(context, &place.volume(volume)).await?;
        let staged = stage::fetch(context, &wanted.opened, one, &root).await?;
        changed.insert(volume.clone());
        // Nothing that has to be kept is there: it was empty, unfinished, or may go.
        let replace = replace || targets.get(volume).is_some_and(|target| !target.had_content);
        staged.into_place(&root, replace).await?;
        return folder::count(outcome, root).await;
    }
    if one.told.path.is_some() {
        return Err(Failure::new(
            "invalid",
            format!("{} is restored as a whole; leave out the path", item.name),
        ));
    }
    let own = Volumes::own(place);
    if let Take::Redis { service, .. } = &item.take {
        empty(context, place, &volumes, changed).await?;
        return rdb::restore(context, place, wanted, one, service, &volumes[0], &own, outcome).await;
    }
    let Some(load) = methods::load(item)? else {
        return Err(Failure::new("internal", format!("{} cannot be loaded", item.name)));
    };
    // A command loads into what its service has; a database begins anew.
    match item.take {
        Take::Command { .. } => changed.extend(volumes),
        _ => empty(context, place, &volumes, changed).await?,
    }
    load::restore(context, place, wanted, one, &load, &own, outcome).await
}

/// Empties volumes, except those that an item before has been restored to.
async fn empty(
    context: &Context<'_>,
    place: &Place<'_>,
    volumes: &[String],
    changed: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    for volume in volumes {
        if changed.insert(volume.clone()) {
            let root = root(context, &place.volume(volume)).await?;
            blocking(move || stage::clear(&root)).await?;
        }
    }
    Ok(())
}

pub(super) async fn root(context: &Context<'_>, volume: &str) -> Result<PathBuf, Failure> {
    let found = context.shared.docker.volume(volume).await?;
    found.map(|found| found.root).ok_or_else(|| {
        Failure::new("volume_missing", format!("the volume {volume} has gone while it was restored to"))
    })
}

/// A path of the host becomes what the snapshot holds: a folder's content, or a file.
async fn host_path(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    one: &One<'_>,
    path: &Path,
    replace: bool,
    outcome: &mut ItemOutcome,
) -> Result<(), Failure> {
    let there = std::fs::symlink_metadata(path).ok();
    let is_folder = there.as_ref().is_some_and(std::fs::Metadata::is_dir);
    let full = there.is_some() && (!is_folder || has_content(path)?);
    if full && !replace && one.told.path.is_none() {
        return Err(not_empty(path));
    }
    let parent = path.parent().unwrap_or(path);
    let beside = if is_folder { path } else { parent };
    std::fs::create_dir_all(beside).map_err(|error| Failure::io("making", beside, &error))?;
    let staged = stage::fetch(context, &wanted.opened, one, beside).await?;
    if staged.is_file() {
        staged.into_file(path).await?;
    } else {
        std::fs::create_dir_all(path).map_err(|error| Failure::io("making", path, &error))?;
        staged.into_place(path, replace).await?;
    }
    folder::count(outcome, path.to_owned()).await
}
