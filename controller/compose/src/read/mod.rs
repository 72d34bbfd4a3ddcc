//! From the one document to the app's specification.
//!
//! ```text
//! document ─▶ services, each on its own ─▶ what they name (sections, files) ─▶ how they hang together ─▶ groups
//! ```

mod build;
mod deploy;
mod field;
mod limits;
mod network;
mod omni;
mod packing;
mod ports;
mod process;
mod relations;
mod sections;
mod service;
mod storage;

pub(crate) use network::DEFAULT;
pub(crate) use omni::{Omni, check_word};
pub(crate) use ports::port_key;
pub(crate) use relations::needed;
pub(crate) use service::Draft;
pub(crate) use storage::mount_key;

use crate::fault::{FaultKind, quoted};
use crate::groups;
use crate::input::Input;
use crate::interpolate::Variables;
use crate::load::Loaded;
use crate::paths;
use crate::report::Report;
use crate::suggest;
use field::Field;
use omni_common::domain::app::{AppSpec, ContentDigest, FileRef, MAX_SERVICES, OmniOptions, ServiceName};
use omni_common::domain::backup::OptionsOf;
use std::collections::{BTreeMap, BTreeSet};

/// Words that may stand at a place.
pub(crate) type Words = &'static [&'static str];

/// One of these words; anything else is a fault.
pub(crate) fn word(field: &Field<'_>, words: Words, report: &mut Report) -> Option<String> {
    let text = field.text(report)?;
    if words.contains(&text.as_str()) {
        return Some(text);
    }
    let hint = suggest::hint(&text, words.iter().copied());
    field.wrong(report, format!("`{}` has no meaning here", quoted(&text)), &hint);
    None
}

/// What reading services gathers for what comes after them.
pub(crate) struct Reader<'a> {
    pub(crate) input: &'a Input,
    pub(crate) report: &'a mut Report,
    pub(crate) variables: &'a Variables,
    project_directory: &'a str,
    /// Services of the app, and those that an inactive profile keeps out of it with their profiles.
    active: BTreeSet<&'a str>,
    inactive: BTreeMap<&'a str, Vec<String>>,
    /// Names of top-level sections, by section, with where they are used.
    uses: BTreeMap<&'static str, sections::Uses>,
    default_network: bool,
    packing: packing::Packing,
}

/// The app, its packed content, and which of it is secret.
pub(crate) struct Read {
    pub(crate) spec: AppSpec,
    pub(crate) files: BTreeMap<ContentDigest, Vec<u8>>,
    pub(crate) sensitive: BTreeSet<ContentDigest>,
}

/// Reads the document.
pub(crate) fn read(input: &Input, loaded: &Loaded, report: &mut Report) -> Read {
    let document = Field::new(&loaded.document, "");
    let mut spec = AppSpec { name: loaded.name.clone(), ..AppSpec::default() };
    let services = document.get("services").map(|field| field.entries(report)).unwrap_or_default();
    let (active, inactive) = by_profile(services, input, loaded, report);
    let mut reader = Reader {
        input,
        report,
        variables: &loaded.variables,
        project_directory: &loaded.project_directory,
        active: active.iter().map(|(name, _)| *name).collect(),
        inactive,
        uses: BTreeMap::new(),
        default_network: false,
        packing: packing::Packing::default(),
    };
    if active.is_empty() {
        let message = "the app has no services";
        let hint = if reader.inactive.is_empty() {
            "write some under `services:`"
        } else {
            "ask for one of the profiles"
        };
        document.wrong(reader.report, message, hint);
    } else if active.len() > MAX_SERVICES {
        let message = format!("the app has {} services; {MAX_SERVICES} are read", active.len());
        document.fault(reader.report, FaultKind::TooLarge, message, "make several apps of it");
        return Read { spec, files: BTreeMap::new(), sensitive: BTreeSet::new() };
    }
    let mut drafts = BTreeMap::new();
    for (name, field) in &active {
        let draft = service::read(field, &mut reader);
        match ServiceName::new(*name) {
            Ok(name) => {
                drafts.insert(name, draft);
            }
            Err(error) => field.wrong(reader.report, error.to_string(), ""),
        }
    }
    let whole = reader.inactive.is_empty();
    sections::read(&mut spec, &document, whole, &mut reader);
    packing::settle(&mut drafts, &mut reader);
    let (files, sensitive) = packing::finish(&mut reader);
    let omni = omni::read(&document, OptionsOf::App, report);
    relations::check(&drafts, report);
    spec.omni = OmniOptions { ..omni.options.clone() };
    spec.groups = groups::form(&mut drafts, &omni, report);
    spec.services = drafts.into_iter().map(|(name, draft)| (name, draft.service)).collect();
    Read { spec, files, sensitive }
}

type Services<'a> = Vec<(&'a str, Field<'a>)>;

/// Parts the services that belong to the app from those that an inactive profile keeps out of it.
fn by_profile<'a>(
    services: Services<'a>,
    input: &Input,
    loaded: &Loaded,
    report: &mut Report,
) -> (Services<'a>, BTreeMap<&'a str, Vec<String>>) {
    let asked = loaded.variables.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    let asked: BTreeSet<&str> =
        asked.split(',').map(str::trim).chain(input.profiles.iter().map(String::as_str)).collect();
    let (mut active, mut inactive) = (Vec::new(), BTreeMap::new());
    for (name, field) in services {
        if !field.is_mapping() {
            let message = format!("a service is a mapping, this is {}", field.node.what());
            field.wrong(report, message, "write `image: …` below it");
            continue;
        }
        let profiles = field.get("profiles").map(|field| field.texts(report)).unwrap_or_default();
        if profiles.is_empty()
            || asked.contains("*")
            || profiles.iter().any(|profile| asked.contains(profile.as_str()))
        {
            active.push((name, field));
        } else {
            inactive.insert(name, profiles);
        }
    }
    (active, inactive)
}

impl Reader<'_> {
    /// One of these words.
    fn word(&mut self, field: &Field<'_>, words: Words) -> Option<String> {
        word(field, words, self.report)
    }

    /// A path from the packed folder as the path that the app has on every host.
    fn in_app(&self, path: &str) -> String {
        paths::in_app(self.project_directory, path)
    }

    /// Notes that a service uses an entry of a section.
    fn uses(&mut self, section: &'static str, name: &str, field: &Field<'_>) {
        let places = self.uses.entry(section).or_default().entry(name.to_owned()).or_default();
        places.push((field.at(), field.path.clone()));
    }

    fn uses_volume(&mut self, name: &str, field: &Field<'_>) {
        self.uses("volumes", name, field);
    }

    fn uses_default_network(&mut self) {
        self.default_network = true;
    }

    /// The name of a service of the app.
    fn service_name(&mut self, name: &str, field: &Field<'_>) -> Option<ServiceName> {
        if self.active.contains(name) {
            return ServiceName::new(name).ok();
        }
        let (message, hint) = match self.inactive.get(name) {
            Some(profiles) => (
                format!("the service `{}` is in no active profile", quoted(name)),
                format!("ask for the profile `{}` too", profiles.join("` or `")),
            ),
            None => {
                let known = self.active.iter().chain(self.inactive.keys()).copied();
                (
                    format!("there is no service `{}`", quoted(name)),
                    suggest::hint(name, known.collect::<Vec<_>>()),
                )
            }
        };
        field.fault(self.report, FaultKind::Reference, message, &hint);
        None
    }

    /// Whether a service is part of the app.
    fn is_active(&self, name: &str) -> bool {
        self.active.contains(name)
    }

    /// Takes content into the release.
    fn pack(&mut self, bytes: Vec<u8>, mode: u32, secret: bool) -> FileRef {
        self.packing.add(bytes, mode, secret)
    }

    /// Notes that something beside the compose file is mounted.
    fn project_mount(&mut self, path: &str, read_only: bool, field: &Field<'_>) {
        self.packing.mount(path, read_only, field.at(), &field.path);
    }
}
