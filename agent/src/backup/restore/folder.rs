//! Into a folder of the host: each item gets one of its name in it, a dump as a file.

use super::stage::{self, has_content, not_empty};
use super::{One, Wanted};
use crate::backup::context::{Context, blocking};
use crate::backup::failure::Failure;
use crate::backup::repository::Opened;
use omni_common::domain::backup::{ItemOutcome, Phase, RunState, Take};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Restores into a folder that is absent or empty. What a failed restore has put there is removed, so that it can be tried
/// again.
pub(super) async fn restore(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    path: &str,
    outcomes: &mut [ItemOutcome],
) -> Result<(), Failure> {
    let folder = PathBuf::from(path);
    if !folder.is_absolute() {
        return Err(Failure::new(
            "invalid",
            format!("`{path}` is not absolute; write the whole path, from /"),
        ));
    }
    if has_content(&folder)? {
        return Err(not_empty(&folder));
    }
    private(&folder)?;
    for (one, outcome) in wanted.items.iter().zip(outcomes) {
        let own = folder.join(one.told.item.name.as_str());
        if let Err(failure) = item(context, &wanted.opened, one, &own).await {
            outcome.message = Some(failure.message.clone());
            let removed = blocking(move || stage::clear(&folder)).await;
            return Err(removed.err().unwrap_or(failure));
        }
        count(outcome, own).await?;
    }
    Ok(())
}

async fn item(context: &Context<'_>, opened: &Opened, one: &One<'_>, own: &Path) -> Result<(), Failure> {
    context.check()?;
    private(own)?;
    match one.told.item.take {
        Take::Volume { .. } | Take::HostPath { .. } => {
            let staged = stage::fetch(context, opened, one, own).await?;
            match staged.is_file() {
                true => {
                    let name = one.snapshot.paths.first().and_then(|path| Path::new(path).file_name());
                    let name = name.unwrap_or(std::ffi::OsStr::new("file")).to_owned();
                    staged.into_file(&own.join(name)).await
                }
                false => staged.into_place(own, false).await,
            }
        }
        _ => dump(context, opened, one, own).await,
    }
}

/// The file of a stream.
pub(super) async fn dump(
    context: &Context<'_>,
    opened: &Opened,
    one: &One<'_>,
    own: &Path,
) -> Result<(), Failure> {
    let inside = one.snapshot.paths.first().ok_or_else(|| {
        Failure::new("path_missing", format!("the snapshot of {} holds no file", one.told.item.name))
    })?;
    let name = Path::new(inside).file_name().unwrap_or(std::ffi::OsStr::new("dump"));
    write(context, opened, one, Path::new(inside), &own.join(name)).await
}

/// Writes a file of a snapshot to a file of the host, readable by root only.
pub(super) async fn write(
    context: &Context<'_>,
    opened: &Opened,
    one: &One<'_>,
    inside: &Path,
    target: &Path,
) -> Result<(), Failure> {
    context.errand.reporter.enter(Phase::Transferring, Some(&one.told.item.name));
    let fetched = opened.unlocked(|| async {
        let mut options = fs::OpenOptions::new();
        let opening = |source| omni_restic::Error::Io { doing: "making a file for what is restored", source };
        let file =
            options.write(true).create(true).truncate(true).mode(0o600).open(target).map_err(opening)?;
        let to = tokio::fs::File::from_std(file);
        context.attend(opened.restic.dump(&opened.repository, &one.snapshot.id, inside, to)?).await
    });
    fetched.await.map(drop).map_err(|failure| match failure.message.contains("No space left on device") {
        true => Failure::new("disk_full", format!("{}; free some space on this host", failure.message)),
        false => failure,
    })
}

fn private(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::io("making", folder, &error))
}

/// Writes down what has come.
pub(super) async fn count(outcome: &mut ItemOutcome, place: PathBuf) -> Result<(), Failure> {
    use crate::backup::facts::{Facts, tree};
    let facts = blocking(move || Ok(tree::of_restored(&place, &Facts::new()))).await?;
    let number = |key: &str| facts.get(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    (outcome.files, outcome.bytes) = (number("files"), number("bytes"));
    outcome.state = RunState::Succeeded;
    Ok(())
}
