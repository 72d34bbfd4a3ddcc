//! What comes out of reading.

use crate::fault::{Faults, Note};
use crate::input::{Input, MAX_MAIN_FILES, MAX_PROJECT_FILES, Reference};
use crate::read::{self as reader, Read};
use crate::report::{At, Report};
use crate::{FaultKind, keys, load, paths};
use omni_common::domain::app::{AppSpec, BuildContext, ContentDigest, Service};
use std::collections::{BTreeMap, BTreeSet};

/// An app that can be deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is.
    pub spec: AppSpec,
    /// Content that travels with it, by digest; at most
    /// [`MAX_PACKED_BYTES`](omni_common::domain::app::MAX_PACKED_BYTES) together.
    pub files: BTreeMap<ContentDigest, Vec<u8>>,
    /// Those of `files` that are secrets: to be kept sealed.
    pub sensitive: BTreeSet<ContentDigest>,
    /// What is read differently from what its writer may expect.
    pub notes: Vec<Note>,
    /// Files and folders that it refers to.
    pub references: Vec<Reference>,
    /// The packed folders that services are built from, by service.
    pub contexts: BTreeMap<String, String>,
}

/// Reads an app. Everything that is wrong comes at once; what is asked for in a file that was not packed comes
/// as [`FaultKind::FileNeeded`].
pub fn read(input: &Input) -> Result<Reading, Faults> {
    let mut report = Report::new();
    match attempt(input, &mut report) {
        Some(read) if !report.has_faults() => Ok(Reading {
            contexts: contexts(input, &read.spec),
            spec: read.spec,
            files: read.files,
            sensitive: read.sensitive,
            references: report.references(),
            notes: report.into_notes(),
        }),
        _ => Err(report.into_faults()),
    }
}

fn contexts(input: &Input, spec: &AppSpec) -> BTreeMap<String, String> {
    let project = load::project_directory(input);
    let folder = |service: &Service| match &service.build.as_ref()?.context {
        BuildContext::Folder(own) => paths::packed(&project, own),
        BuildContext::Remote(_) => None,
    };
    spec.services.iter().filter_map(|(name, service)| Some((name.to_string(), folder(service)?))).collect()
}

/// Files and folders that an app refers to, given or not.
///
/// A client calls this, gives what it finds and puts what it does not find into [`Input::left_out`], until nothing
/// new is asked for: what an included file refers to is known only when that file is there, and a variable only
/// with its `.env`. Faults come back once everything is answered, or when nothing can be asked for.
pub fn needs(input: &Input) -> Result<Vec<Reference>, Faults> {
    let mut report = Report::new();
    attempt(input, &mut report);
    let references = report.references();
    let open = references.iter().any(|reference| !reference.given);
    if open || !report.has_faults() { Ok(references) } else { Err(report.into_faults()) }
}

fn attempt(input: &Input, report: &mut Report) -> Option<Read> {
    check_input(input, report);
    if report.has_faults() {
        return None;
    }
    let loaded = load::load(input, report)?;
    keys::check(&loaded.document, report);
    if loaded.incomplete {
        return None;
    }
    Some(reader::read(input, &loaded, report))
}

fn check_input(input: &Input, report: &mut Report) {
    let at = At::default();
    if input.files.is_empty() {
        report.fault(at, "", FaultKind::Value, "no compose file was given", "give at least one");
    }
    if input.files.len() > MAX_MAIN_FILES {
        let message = format!("{} compose files were given; {MAX_MAIN_FILES} are read", input.files.len());
        report.fault(at, "", FaultKind::TooLarge, message, "use `include`");
    }
    if input.project_files.len() > MAX_PROJECT_FILES {
        let message =
            format!("{} files were packed; {MAX_PROJECT_FILES} are read", input.project_files.len());
        report.fault(at, "", FaultKind::TooLarge, message, "leave folders of data on the host");
    }
    let paths =
        input.files.iter().map(|(path, _)| path).chain(input.project_files.keys()).chain(&input.left_out);
    for path in paths.chain(&input.project_directory) {
        if crate::paths::resolve("", path).as_deref() != Ok(path.as_str()) {
            let message = format!("`{}` is no path within the packed folder", crate::fault::quoted(path));
            report.fault(
                at,
                "",
                FaultKind::Value,
                message,
                "give it relative, with `/`, without `.` and `..`",
            );
        }
    }
}
