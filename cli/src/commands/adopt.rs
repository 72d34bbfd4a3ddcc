//! `omni adopt`: compose projects that run on a host become apps, without a restart.
//!
//! ```text
//! list ─▶ definition, by the files or by what runs ─▶ plan ─▶ ask ─▶ deploy that takes over ─▶ follow
//!                     └─ --write ends here              └─ --plan ends here
//! ```

use super::deploy::{Builds, How, deploy, variable};
use crate::args::AdoptArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::ABSENT;
use anyhow::{Context as _, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{
    Adopt, DefinitionQuery, DefinitionSource, Deploy, HostProject, ProjectDefinition,
};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path};

/// Lists projects, or takes one over.
pub(crate) async fn run(args: &AdoptArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let Some(name) = &args.project else {
        let projects = session.client.host_projects(&args.host).await?;
        out.table(&projects, || table(&projects))?;
        return Ok(ExitStatus::Done);
    };
    let from = match args.from.as_deref() {
        Some("files") => Some(DefinitionSource::Files),
        Some(_) => Some(DefinitionSource::Containers),
        None => None,
    };
    let definition = session.client.project_definition(&args.host, name, &DefinitionQuery { from }).await?;
    definition.notes.iter().for_each(|note| out.warn(note));
    if let Some(folder) = &args.write {
        write(&definition, folder)?;
        let adopt = format!("{}/{name}", args.host);
        out.say(&format!(
            "Written to {}. `omni deploy {} --adopt {adopt}` takes the project over with it.",
            folder.display(),
            folder.display()
        ));
        return Ok(ExitStatus::Done);
    }
    let mut project = definition.project;
    project.name = args.name.clone().or(project.name);
    project.profiles.clone_from(&args.profile);
    for text in &args.set {
        let (name, value) = variable(text)?;
        project.variables.insert(name, value);
    }
    let body = Deploy {
        project,
        environment: Some(args.environment.clone().unwrap_or_else(|| session.environment.clone())),
        adopt: Some(Adopt { host: args.host.clone(), project: name.clone() }),
        ..Deploy::default()
    };
    let how = How { plan: args.plan, yes: args.yes, detach: args.detach, wait: args.wait };
    deploy(&how, &body, &Builds::default(), session, out).await
}

/// One row each.
pub(super) fn table(projects: &[HostProject]) -> Table {
    let mut table = Table::new([
        Column::new("PROJECT").shrinks_to(12),
        Column::new("RUNNING").right(),
        Column::new("SERVICES").shrinks_to(16).rank(1),
        Column::new("ADOPTABLE").shrinks_to(12),
        Column::new("FOLDER").shrinks_to(12).rank(2),
        Column::new("FILES").wide(),
    ]);
    projects.iter().for_each(|project| {
        let adoptable = match (&project.reason, project.adoptable) {
            (None, true) => Cell::toned("yes", Tone::Good),
            (Some(reason), true) => Cell::toned(format!("yes: {reason}"), Tone::Warn),
            (reason, false) => Cell::toned(format!("no: {}", reason.as_deref().unwrap_or(ABSENT)), Tone::Dim),
        };
        table.row(vec![
            project.name.as_str().into(),
            format!("{} of {}", project.running, project.containers).into(),
            project.services.join(" ").into(),
            adoptable,
            project.folder.as_deref().unwrap_or(ABSENT).into(),
            project.files.join(" ").into(),
        ]);
    });
    table
}

/// Writes the files where nothing is yet. They may hold secrets: only their owner can read them.
fn write(definition: &ProjectDefinition, folder: &Path) -> Result<()> {
    for (path, file) in &definition.project.files {
        let inner = Path::new(path);
        if !inner.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Failure::Usage(format!(
                "the definition names the file `{path}`, which is no path in a folder"
            ))
            .into());
        }
        let bytes = STANDARD.decode(&file.content).with_context(|| format!("the content of {path}"))?;
        let at = folder.join(inner);
        let parent = at.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&at);
        let mut opened =
            opened.with_context(|| format!("cannot write {}: choose an empty folder", at.display()))?;
        opened.write_all(&bytes).with_context(|| format!("cannot write {}", at.display()))?;
    }
    Ok(())
}
