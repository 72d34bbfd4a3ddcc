//! Getting ready for an instance that moves here, while it still runs elsewhere: whatever would keep it from coming is found
//! out before it stops.

use super::in_place::{make, nothing_runs, root, target, volumes_of};
use super::stage::{has_content, not_empty};
use crate::backup::context::{Context, blocking, nothing_yet, sum_up};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::runs::Done;
use omni_common::domain::backup::{ItemOutcome, Phase, ReadyTask, RunState, Take};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Beside what is brought, this much has to stay free: a full disk stops everything on a host.
const SPARE: u64 = 64 << 20;

/// Gets ready.
pub(in crate::backup) async fn ready(context: &Context<'_>, task: &ReadyTask) -> Done {
    let now = context.shared.clock.now();
    let mut outcomes: Vec<ItemOutcome> =
        task.items.iter().map(|one| nothing_yet(&one.item.name, now)).collect();
    let failure = get_ready(context, task).await.err();
    for outcome in &mut outcomes {
        outcome.state = failure.as_ref().map_or(RunState::Succeeded, Failure::state);
    }
    sum_up(outcomes, failure)
}

async fn get_ready(context: &Context<'_>, task: &ReadyTask) -> Result<(), Failure> {
    let place = Place::of(&task.instance, &context.shared.host)?;
    nothing_runs(context, &place).await?;
    let mut targets = BTreeMap::new();
    for one in &task.items {
        for volume in volumes_of(&place, &one.item)? {
            let target = target(context, &place, &volume, task.replace).await?;
            targets.insert(volume, target);
        }
        if let Take::HostPath { path, .. } = &one.item.take {
            let path = place.path(&context.shared.dirs.files, path)?;
            let is_folder = std::fs::metadata(&path).is_ok_and(|data| data.is_dir());
            let full = path.exists() && (!is_folder || has_content(&path)?);
            if full && !task.replace {
                return Err(not_empty(&path));
            }
        }
    }
    make(context, &place, &targets).await?;
    room(context, &place, task).await?;
    let services = place.group.services.iter().map(|name| place.service(name));
    let services = services.collect::<Result<Vec<_>, _>>()?;
    let images: BTreeSet<(&str, Option<&str>)> = services
        .iter()
        .filter_map(|service| Some((service.image.as_deref()?, service.platform.as_deref())))
        .collect();
    for (image, platform) in images {
        context.errand.reporter.enter(Phase::Preparing, None);
        context.unless_cancelled(context.shared.docker.have_image(image, platform)).await?;
    }
    Ok(())
}

/// Whether what is brought fits. It comes beside what is there, and takes its place then.
async fn room(context: &Context<'_>, place: &Place<'_>, task: &ReadyTask) -> Result<(), Failure> {
    let mut needed: BTreeMap<u64, (PathBuf, u64)> = BTreeMap::new();
    for one in &task.items {
        let path = match &one.item.take {
            Take::Volume { volume, .. } => root(context, &place.volume(volume)).await?,
            Take::HostPath { path, .. } => place.path(&context.shared.dirs.files, path)?,
            _ => continue,
        };
        let there = blocking(move || Ok(existing(&path))).await?;
        let device = device(&there)?;
        needed.entry(device).or_insert((there, SPARE)).1 += one.bytes;
    }
    for (path, bytes) in needed.into_values() {
        let found =
            rustix::fs::statvfs(&path).map_err(|error| Failure::io("asking about", &path, &error.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < bytes {
            let message = format!(
                "{} MiB are needed below {} and {} MiB are free; free some space on this host",
                bytes >> 20,
                path.display(),
                free >> 20
            );
            return Err(Failure::new("disk_full", message));
        }
    }
    Ok(())
}

/// The deepest folder on the way to a path that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn device(path: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(path).map_err(|error| Failure::io("asking about", path, &error))?;
    Ok(data.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_is_on_the_disk_of_what_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inner = folder.path().join("not/there");
        assert_eq!(existing(&inner), folder.path());
        assert_eq!(existing(folder.path()), folder.path());
    }
}
