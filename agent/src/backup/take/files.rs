//! Files: of a volume, or of a path of the host.

use crate::backup::context::{Context, blocking};
use crate::backup::facts::Facts;
use crate::backup::facts::tree::{STAGING, Sample};
use crate::backup::failure::Failure;
use crate::backup::place::Place;
use crate::backup::repository::Opened;
use omni_restic::{Backup, BackupReport, Labels, Unreadable};
use std::path::{Component, Path, PathBuf};

/// Where a volume's files are.
pub(super) async fn volume_root(
    context: &Context<'_>,
    place: &Place<'_>,
    volume: &str,
) -> Result<PathBuf, Failure> {
    let name = place.volume(volume);
    let found = context.shared.docker.volume(&name).await?;
    let found = found.ok_or_else(|| {
        Failure::new(
            "source_missing",
            format!("the volume {name} is not on this host; start the app here first"),
        )
    })?;
    Ok(found.root)
}

/// A path of the host, with links in it followed: restic would save the link.
pub(super) fn host_path(context: &Context<'_>, place: &Place<'_>, path: &str) -> Result<PathBuf, Failure> {
    let path = place.path(&context.shared.dirs.files, path)?;
    std::fs::canonicalize(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new("source_missing", format!("{} is not on this host; check the path", path.display()))
        }
        _ => Failure::io("opening", &path, &error),
    })
}

/// Takes the files below a folder, or these paths within it.
pub(super) async fn take(
    context: &Context<'_>,
    opened: &Opened,
    labels: Labels,
    root: PathBuf,
    include: &[String],
    exclude: &[String],
) -> Result<(BackupReport, Facts), Failure> {
    // restic leaves out without a word what is not there, unless nothing is.
    let (paths, absent): (Vec<PathBuf>, Vec<PathBuf>) =
        paths(&root, include)?.into_iter().partition(|path| std::fs::symlink_metadata(path).is_ok());
    if paths.is_empty() {
        let path = absent.first().unwrap_or(&root).display();
        return Err(Failure::new(
            "source_missing",
            format!("{path} is not on this host; check what is to be taken"),
        ));
    }
    // What restic leaves out is not known here, so nothing of such a tree is written down file by file.
    let sample = match exclude.is_empty() {
        true => {
            let (root, include) = (root.clone(), include.to_vec());
            blocking(move || Ok(Sample::take(&root, &include))).await?
        }
        false => Sample::default(),
    };
    context.check()?;
    let mut exclude = exclude.to_vec();
    exclude.push(format!("{}/{STAGING}*", escaped(&root)));
    let backup = Backup { paths, exclude, labels, limits: opened.limits, ..Backup::default() };
    let mut report = opened
        .unlocked(|| async { context.attend(opened.restic.backup(&opened.repository, &backup)?).await })
        .await?;
    report.unreadable.named.extend(
        absent.into_iter().map(|path| Unreadable {
            path: path.display().to_string(),
            reason: "it is not there".to_owned(),
        }),
    );
    let mut facts = blocking(move || Ok(sample.facts(&root))).await?;
    facts.insert("files".to_owned(), report.files.to_string());
    facts.insert("bytes".to_owned(), report.bytes.to_string());
    Ok((report, facts))
}

/// The paths on the host. Pure.
fn paths(root: &Path, include: &[String]) -> Result<Vec<PathBuf>, Failure> {
    if include.is_empty() {
        return Ok(vec![root.to_owned()]);
    }
    include.iter().map(|path| Ok(root.join(within(path)?))).collect()
}

/// A path within something, which does not lead out of it. Pure.
pub(in crate::backup) fn within(path: &str) -> Result<&Path, Failure> {
    let inner = Path::new(path.trim_start_matches('/'));
    let plain = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && inner.components().next().is_some() {
        return Ok(inner);
    }
    Err(Failure::new("invalid", format!("`{path}` is no path within what is taken: leave out `.` and `..`")))
}

/// A path as a pattern of restic that fits nothing else. Pure.
pub(in crate::backup) fn escaped(path: &Path) -> String {
    let mut pattern = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_lead_out_of_what_is_taken() {
        for (path, good) in [
            ("a/b", true),
            ("/a", true),
            ("..", false),
            ("a/../../b", false),
            ("", false),
            ("/", false),
            ("./a", false),
        ] {
            assert_eq!(within(path).is_ok(), good, "{path}");
        }
        let include = ["a".to_owned(), "/b/c".to_owned()];
        assert_eq!(paths(Path::new("/v"), &include).expect("good"), [PathBuf::from("/v/a"), "/v/b/c".into()]);
    }

    #[test]
    fn a_pattern_fits_the_path_only() {
        assert_eq!(escaped(Path::new("/v/a*b[c]?\\d")), "/v/a\\*b\\[c]\\?\\\\d");
    }
}
