//! The files that a project was started from, as a deploy takes them. Pure.

use super::super::AppError;
use super::super::releases::input;
use omni_common::api::v1::{PackedFile, Project};
use omni_common::domain::FoundProject;
use omni_compose::ReferenceKind;
use std::collections::BTreeMap;
use std::path::Path;

/// The project as far as its files were read; a sentence when they are of no use.
pub(super) fn project(found: &FoundProject) -> Result<Project, String> {
    let folder = found.folder.as_deref().ok_or("its containers do not say where its compose files are")?;
    if found.compose.is_empty() {
        return Err("its containers do not say what its compose files are".to_owned());
    }
    let mut compose = Vec::new();
    for path in &found.compose {
        if let Some(reason) = found.unread.get(path) {
            return Err(format!("{path} cannot be read ({reason})"));
        }
        compose.push(
            below(folder, path).ok_or_else(|| format!("{path} is not in the project's folder {folder}"))?,
        );
    }
    // A project's folder is that of its first file; in another one, its paths would lead elsewhere.
    if compose.first().is_some_and(|first| first.contains('/')) {
        return Err(format!("{} is not right in the project's folder {folder}", found.compose[0]));
    }
    let file = |(path, file): (&String, &omni_common::domain::FoundFile)| {
        Some((below(folder, path)?, PackedFile { content: file.content.clone(), mode: file.mode }))
    };
    let mut project = Project {
        compose,
        files: found.files.iter().filter_map(file).collect(),
        name: Some(found.name.clone()),
        ..Project::default()
    };
    project.left_out = left_out(found, folder, &project)?;
    Ok(project)
}

fn below(folder: &str, path: &str) -> Option<String> {
    let inner = Path::new(path).strip_prefix(folder).ok()?.to_str()?;
    (!inner.is_empty()).then(|| inner.to_owned())
}

/// What is mounted stays where it is: on the host.
fn left_out(found: &FoundProject, folder: &str, project: &Project) -> Result<Vec<String>, String> {
    let Ok(references) = references(project) else { return Ok(Vec::new()) };
    let mut left = Vec::new();
    for reference in references.into_iter().filter(|reference| !reference.given) {
        let absolute = format!("{folder}/{}", reference.path);
        let gone = found.unread.contains_key(&absolute);
        match reference.kind {
            ReferenceKind::Mount | ReferenceKind::BuildContext => left.push(reference.path),
            _ if gone && reference.optional => left.push(reference.path),
            _ if gone => {
                let reason = &found.unread[&absolute];
                return Err(format!("{absolute} cannot be read ({reason})"));
            }
            _ => {}
        }
    }
    Ok(left)
}

fn references(project: &Project) -> Result<Vec<omni_compose::Reference>, AppError> {
    omni_compose::needs(&input(project, "default")?).map_err(AppError::Project)
}

/// Further files that the project refers to, by absolute path.
pub(super) fn wanted(found: &FoundProject, project: &Project) -> Result<Vec<String>, AppError> {
    let folder = found.folder.as_deref().unwrap_or_default();
    // What does not read is told when it is deployed, with everything else that is wrong with it.
    let Ok(references) = references(project) else { return Ok(Vec::new()) };
    let known: BTreeMap<&String, ()> = project.files.keys().map(|path| (path, ())).collect();
    let open =
        references.into_iter().filter(|reference| !reference.given && !known.contains_key(&reference.path));
    let content = open
        .filter(|reference| !matches!(reference.kind, ReferenceKind::Mount | ReferenceKind::BuildContext));
    Ok(content.map(|reference| format!("{folder}/{}", reference.path)).collect())
}
