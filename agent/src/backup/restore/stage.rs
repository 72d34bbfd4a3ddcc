//! Files are restored beside their place, on the same file system, and moved there when all of them have come.
//!
//! ```text
//! VOLUME/.omni-restore-RUN/var/lib/docker/volumes/shop_data/_data/…   as restic puts them: with their whole path
//! VOLUME/…                                                            moved up; what was there has gone before
//! ```
//! A restore that fails for want of a snapshot's data, of room or of time has changed nothing by then.

use super::One;
use crate::backup::context::{Context, blocking};
use crate::backup::facts::tree::STAGING;
use crate::backup::failure::Failure;
use crate::backup::repository::Opened;
use crate::backup::take::files::{escaped, within};
use omni_common::domain::backup::{Phase, Take};
use omni_restic::Restore;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, FileTimes, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Longest list of extended attributes, and longest of them: what a kernel has room for.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Files that have come.
#[derive(Debug)]
pub(super) struct Staged {
    /// The folder that they came to, which goes in the end.
    folder: PathBuf,
    /// What is to be moved: a folder whose content it is, or one thing.
    from: PathBuf,
    /// Where below the place it belongs; absent for all of it.
    inner: Option<PathBuf>,
}

/// Restores an item's files below `place`, which is there, into a folder of their own.
pub(super) async fn fetch(
    context: &Context<'_>,
    opened: &Opened,
    one: &One<'_>,
    place: &Path,
) -> Result<Staged, Failure> {
    let include = match &one.told.item.take {
        Take::Volume { include, .. } => &include[..],
        _ => &[],
    };
    let base = base(&one.snapshot.paths, include)?;
    let inner = one.told.path.as_deref().map(within).transpose()?.map(Path::to_owned);
    let folder = place.join(format!("{STAGING}{}", context.run));
    let place = place.to_owned();
    let made = folder.clone();
    blocking(move || {
        remove_leftovers(&place)?;
        let made_it = DirBuilder::new().mode(0o700).create(&made);
        made_it.map_err(|error| Failure::io("making", &made, &error))
    })
    .await?;
    let mut restore = Restore::new(one.snapshot.id.clone(), &folder);
    restore.limits = opened.limits;
    if let Some(inner) = &inner {
        restore.include = vec![escaped(&base.join(inner))];
    }
    context.errand.reporter.enter(Phase::Transferring, Some(&one.told.item.name));
    let fetched = opened
        .unlocked(|| async { context.attend(opened.restic.restore(&opened.repository, &restore)?).await })
        .await;
    let below = folder.join(base.strip_prefix("/").unwrap_or(&base));
    let from = inner.as_ref().map_or(below.clone(), |inner| below.join(inner));
    let staged = Staged { folder, from, inner };
    if let Err(failure) = fetched {
        staged.discard().await;
        return Err(failure);
    }
    if fs::symlink_metadata(&staged.from).is_err() {
        let what = one.told.path.clone().unwrap_or_else(|| base.display().to_string());
        staged.discard().await;
        return Err(Failure::new(
            "path_missing",
            format!("the snapshot of {} has no {what}; list what is in it", one.told.item.name),
        ));
    }
    Ok(staged)
}

impl Staged {
    /// Moves everything to its place, after removing what is there when that is wanted.
    pub(super) async fn into_place(self, place: &Path, replace: bool) -> Result<(), Failure> {
        let place = place.to_owned();
        blocking(move || {
            let moved = switch(&self, &place, replace);
            remove_all(&self.folder).map_err(|error| Failure::io("removing", &self.folder, &error))?;
            // Last, because everything before changes the folder's time.
            let likeness = moved?;
            let given = likeness.map_or(Ok(()), |likeness| likeness.give(&place));
            given.map_err(|error| Failure::io("giving its owner and mode to", &place, &error))
        })
        .await
    }

    /// Puts one file in the place of another.
    pub(super) async fn into_file(self, place: &Path) -> Result<(), Failure> {
        let place = place.to_owned();
        blocking(move || {
            let moved =
                fs::rename(&self.from, &place).map_err(|error| Failure::io("replacing", &place, &error));
            remove_all(&self.folder).map_err(|error| Failure::io("removing", &self.folder, &error))?;
            moved
        })
        .await
    }

    /// Whether it is one file, and not a folder's content.
    pub(super) fn is_file(&self) -> bool {
        self.inner.is_none() && fs::symlink_metadata(&self.from).is_ok_and(|data| !data.is_dir())
    }

    /// Removes what has come.
    pub(super) async fn discard(&self) {
        let folder = self.folder.clone();
        let removed =
            blocking(move || remove_all(&folder).map_err(|error| Failure::io("removing", &folder, &error)));
        if let Err(failure) = removed.await {
            tracing::warn!(reason = failure.message, "what a failed restore has read could not be removed");
        }
    }
}

/// The path in the snapshot that stands for the item as a whole. Pure.
pub(in crate::backup) fn base(paths: &[String], include: &[String]) -> Result<PathBuf, Failure> {
    let include: Vec<&Path> = include.iter().map(|inner| Path::new(inner.trim_start_matches('/'))).collect();
    // The folder in which each path of the snapshot is one of those that were included.
    let fits = |base: &Path| {
        paths.iter().all(|path| include.iter().any(|inner| base.join(inner) == Path::new(path)))
    };
    match paths {
        [only] if include.is_empty() => Ok(only.into()),
        [] => Err(Failure::new("path_missing", "the snapshot holds no paths; it is none of files")),
        [first, ..] => {
            let whole = Path::new(first).ancestors().find(|base| fits(base)).map(Path::to_owned);
            Ok(whole.unwrap_or_else(|| common(paths)))
        }
    }
}

/// The folder that all of these lie in.
fn common(paths: &[String]) -> PathBuf {
    let mut common = PathBuf::from(&paths[0]);
    while !paths.iter().all(|path| Path::new(path).starts_with(&common)) && common.pop() {}
    common
}

/// Moves what has come to its place; returns what is left to be done to the place itself.
fn switch(staged: &Staged, place: &Path, replace: bool) -> Result<Option<Likeness>, Failure> {
    let failed = |doing: &'static str, path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Failure::io(doing, &path, &error)
    };
    if let Some(inner) = &staged.inner {
        let target = place.join(inner);
        if fs::symlink_metadata(&target).is_ok() {
            if !replace {
                return Err(not_empty(&target));
            }
            remove_all(&target).map_err(failed("removing", &target))?;
        }
        let parent = target.parent().unwrap_or(place);
        fs::create_dir_all(parent).map_err(failed("making", parent))?;
        fs::rename(&staged.from, &target).map_err(failed("moving something to", &target))?;
        return Ok(None);
    }
    if replace {
        clear(place)?;
    }
    let likeness = Likeness::of(&staged.from).map_err(failed("reading", &staged.from))?;
    let entries = fs::read_dir(&staged.from).map_err(failed("listing", &staged.from))?;
    for entry in entries {
        let entry = entry.map_err(failed("listing", &staged.from))?;
        let target = place.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(failed("moving something to", &target))?;
    }
    Ok(Some(likeness))
}

/// What is said of a place that has something in it.
pub(super) fn not_empty(place: &Path) -> Failure {
    Failure::new(
        "not_empty",
        format!(
            "{} has something in it; restore into another place, or say that it is to be replaced",
            place.display()
        ),
    )
}

/// Owner, mode, attributes and times of a folder.
struct Likeness {
    data: Metadata,
    attributes: Vec<(OsString, Vec<u8>)>,
}

impl Likeness {
    fn of(from: &Path) -> io::Result<Self> {
        let data = fs::symlink_metadata(from)?;
        let mut names = vec![0_u8; MAX_ATTRIBUTE];
        let length = match rustix::fs::listxattr(from, &mut names[..]) {
            Ok(length) => length,
            Err(rustix::io::Errno::OPNOTSUPP) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut attributes = Vec::new();
        for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let name = OsStr::from_bytes(name).to_owned();
            let mut value = vec![0_u8; MAX_ATTRIBUTE];
            let length = rustix::fs::getxattr(from, &name, &mut value[..])?;
            value.truncate(length);
            attributes.push((name, value));
        }
        Ok(Self { data, attributes })
    }

    /// Gives them to another one.
    fn give(self, to: &Path) -> io::Result<()> {
        chown(to, Some(self.data.uid()), Some(self.data.gid()))?;
        fs::set_permissions(to, fs::Permissions::from_mode(self.data.mode() & 0o7777))?;
        for (name, value) in &self.attributes {
            rustix::fs::setxattr(to, name, value, rustix::fs::XattrFlags::empty())?;
        }
        let times = FileTimes::new().set_modified(self.data.modified()?).set_accessed(self.data.accessed()?);
        File::open(to)?.set_times(times)
    }
}

/// Removes everything in a folder but what a restore has put there for the moment.
pub(super) fn clear(place: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("emptying", place, &error);
    for entry in fs::read_dir(place).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !is_staging(&entry.file_name()) {
            remove_all(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether a folder is there and has something in it.
pub(super) fn has_content(place: &Path) -> Result<bool, Failure> {
    match fs::read_dir(place) {
        Ok(entries) => Ok(entries.flatten().any(|entry| !is_staging(&entry.file_name()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::io("listing", place, &error)),
    }
}

/// Removes what a restore left that ended with its agent.
fn remove_leftovers(place: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("listing", place, &error);
    for entry in fs::read_dir(place).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_staging(&entry.file_name()) {
            let path = entry.path();
            remove_all(&path).map_err(|error| Failure::io("removing", &path, &error))?;
        }
    }
    Ok(())
}

fn is_staging(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(STAGING)
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn based(paths: &[&str], include: &[&str]) -> Option<PathBuf> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        base(&owned(paths), &owned(include)).ok()
    }

    #[test]
    fn the_path_of_the_whole_item_is_found_in_the_snapshot() {
        let some = |path: &str| Some(PathBuf::from(path));
        assert_eq!(based(&["/v/_data"], &[]), some("/v/_data"));
        assert_eq!(based(&["/v/_data/a", "/v/_data/b/c"], &["a", "/b/c"]), some("/v/_data"));
        assert_eq!(based(&["/v/_data/b/c"], &["a", "b/c"]), some("/v/_data"));
        assert_eq!(based(&["/v/_data/deep/in", "/v/_data/in"], &["in", "deep/in"]), some("/v/_data"));
        // Made by hand, of several paths.
        assert_eq!(based(&["/srv/a/x", "/srv/a/y"], &[]), some("/srv/a"));
        assert_eq!(based(&[], &[]), None);
    }
}
