//! Whether repositories of Git came back whole: `git fsck` of each.
//!
//! It is done in a container of the service that they belong to, idle, without a network, its image and the restored volume
//! in it and nothing else. Never with a Git of the host: what is in a repository can name programs that Git runs, and there
//! it would run them as the agent.

use super::drill::Scratch;
use super::lone::Lone;
use super::probe::{QUERY, Shown, failed};
use super::{One, Wanted};
use crate::backup::context::{Context, blocking};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use omni_common::domain::app::{MountSource, ServiceName};
use omni_common::domain::backup::{ItemName, Phase, Take};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Git says its version within this time, or there is none.
const ANSWER: Duration = Duration::from_secs(30);
/// Where files are put whose service has them nowhere of its own.
const ELSEWHERE: &str = "/omni-restored";
/// Whoever they belong to is none of Git's business here, and it asks nobody for what is missing.
const ENVIRONMENT: [&str; 5] = [
    "GIT_CONFIG_COUNT=1",
    "GIT_CONFIG_KEY_0=safe.directory",
    "GIT_CONFIG_VALUE_0=*",
    "GIT_NO_LAZY_FETCH=1",
    "GIT_TERMINAL_PROMPT=0",
];

/// Looks at every repository in the restored files.
pub(super) async fn probe(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &Scratch<'_>,
    item: Option<&ItemName>,
) -> Result<Shown, Failure> {
    let mut found = 0;
    let named = |one: &&One<'_>| item.is_none_or(|item| one.told.item.name == *item);
    for one in wanted.items.iter().filter(named) {
        let name = &one.told.item.name;
        let Some((volume, root)) = scratch.files.get(name) else { continue };
        let folder = root.clone();
        let repositories = blocking(move || Ok(repositories(&folder))).await?;
        if repositories.is_empty() {
            continue;
        }
        context.errand.reporter.enter(Phase::Verifying, Some(name));
        let Some((lone, target)) = with_git(context, &scratch.place, &one.told.item.take, volume).await?
        else {
            return Ok(Shown::Not(format!(
                "the files of {name} came back, and whether their {} repositories are whole was not shown: there is \
                 no git in the image of a service that has them",
                repositories.len()
            )));
        };
        let looked = look(context, &lone, &target, name, &repositories).await;
        lone.remove(context).await?;
        looked?;
        found += repositories.len();
    }
    let of = item.map_or_else(|| "the restored files".to_owned(), ToString::to_string);
    match found {
        0 => Ok(Shown::Not(format!("no repository of Git is in {of}, so none was shown to be whole"))),
        _ => Ok(Shown::Holds),
    }
}

async fn look(
    context: &Context<'_>,
    lone: &Lone,
    target: &str,
    name: &ItemName,
    repositories: &[PathBuf],
) -> Result<(), Failure> {
    for inner in repositories {
        context.check()?;
        let folder = Path::new(target).join(inner);
        let folder = folder.to_string_lossy();
        let command = ["git", "--git-dir", &folder, "fsck", "--full", "--no-dangling", "--no-progress"];
        let environment = ENVIRONMENT.map(str::to_owned);
        let looked = lone.ask(context, &command.map(str::to_owned), &environment, QUERY).await;
        looked.map_err(|reason| {
            failed(format!("the repository {} in {name} is not whole: {reason}", inner.display()))
        })?;
    }
    Ok(())
}

/// A container with a Git in it and the volume where the service has it, which absolute paths between repositories need.
async fn with_git(
    context: &Context<'_>,
    place: &Place<'_>,
    take: &Take,
    volume: &str,
) -> Result<Option<(Lone, String)>, Failure> {
    for service in place.writers(take) {
        let target = target(place, &service, take)?;
        let lone = Lone::idle(context, place, &service, volume, &target).await?;
        let version = ["git", "--version"].map(str::to_owned);
        if lone.ask(context, &version, &[], ANSWER).await.is_ok() {
            return Ok(Some((lone, target)));
        }
        lone.remove(context).await?;
    }
    Ok(None)
}

/// Where a service has what is taken.
fn target(place: &Place<'_>, service: &ServiceName, take: &Take) -> Result<String, Failure> {
    let is_it = |source: &MountSource| match (take, source) {
        (Take::Volume { volume, .. }, MountSource::Volume(mounted)) => {
            mounted.volume.as_ref() == Some(volume)
        }
        (Take::HostPath { path, .. }, MountSource::Host(mounted)) => mounted.path == *path,
        (Take::HostPath { path, .. }, MountSource::Project(mounted)) => {
            path.strip_prefix("./") == Some(mounted.path.as_str())
        }
        _ => false,
    };
    let mounts = &place.service(service)?.mounts;
    let found = mounts.iter().find(|mount| is_it(&mount.source));
    Ok(found.map_or_else(|| ELSEWHERE.to_owned(), |mount| mount.target.clone()))
}

/// Every repository below a folder, bare or the `.git` of a working tree, as paths below it. Links are not followed.
fn repositories(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        if is_repository(&folder) {
            found.extend(folder.strip_prefix(root).ok().map(Path::to_owned));
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(folders.map(|entry| entry.path()));
    }
    found.sort();
    found
}

fn is_repository(folder: &Path) -> bool {
    let data = |name: &str| std::fs::symlink_metadata(folder.join(name)).ok();
    data("HEAD").is_some_and(|data| data.is_file())
        && ["objects", "refs"].into_iter().all(|name| data(name).is_some_and(|data| data.is_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn repositories_are_found_bare_and_in_working_trees() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for repository in ["git/shop.git", "work/.git", "work/.git/modules/inner"] {
            let folder = root.path().join(repository);
            fs::create_dir_all(folder.join("objects")).expect("our own folder");
            fs::create_dir_all(folder.join("refs")).expect("our own folder");
            fs::write(folder.join("HEAD"), "ref: refs/heads/main").expect("our own folder");
        }
        fs::create_dir_all(root.path().join("no/objects")).expect("our own folder");
        std::os::unix::fs::symlink("git", root.path().join("link")).expect("our own folder");
        assert_eq!(repositories(root.path()), ["git/shop.git", "work/.git"].map(PathBuf::from));
        assert_eq!(repositories(&root.path().join("work/.git")), [PathBuf::new()]);
    }
}
