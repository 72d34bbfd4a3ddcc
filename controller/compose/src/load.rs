//! From files to one document: variables, `extends`, overrides, `include`.
//!
//! ```text
//! main files ─▶ YAML ─▶ variables ─▶ extends ─┐ each file
//!                                             ├─▶ merged in order ─▶ + what is included ─▶ one document
//! included files ─ the same, on their own ────┘
//! ```

mod extends;

use crate::dotenv::{self, Format};
use crate::fault::{FaultKind, quoted};
use crate::input::{Input, Reference, ReferenceKind};
use crate::interpolate::{Variables, expand, interpolate};
use crate::keys;
use crate::merge::{merge, settle};
use crate::paths::{folder_of, resolve};
use crate::report::{At, Report};
use crate::yaml::{Entry, Node, Value, parse};
use std::collections::{BTreeMap, BTreeSet};

/// Deepest chain of included files.
const MAX_INCLUDE_DEPTH: usize = 16;
/// Most files read in one reading, each in each of its roles.
const MAX_LOADED_FILES: usize = 256;
/// Sections whose entries an included file brings.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// The app as one document.
pub(crate) struct Loaded {
    /// The document; a mapping.
    pub(crate) document: Node,
    /// What variables in it were read from.
    pub(crate) variables: Variables,
    /// The project folder, from the packed one.
    pub(crate) project_directory: String,
    /// Name of the app.
    pub(crate) name: String,
    /// A file that belongs to it was not packed: what is said about names that are not there would be wrong.
    pub(crate) incomplete: bool,
}

/// One set of files that override each other, with the folder and the variables they share.
struct Project {
    directory: String,
    variables: Variables,
}

struct Loader<'a> {
    input: &'a Input,
    report: &'a mut Report,
    loaded: usize,
    incomplete: bool,
    /// Services of files that were extended, by path.
    extended: BTreeMap<String, Option<Node>>,
    /// Cycles of `extends` that were told.
    cycles: BTreeSet<Vec<(String, String)>>,
}

/// The project's folder, as it was packed.
pub(crate) fn project_directory(input: &Input) -> String {
    match (&input.project_directory, input.files.first()) {
        (Some(directory), _) => directory.clone(),
        (None, Some((path, _))) => folder_of(path).to_owned(),
        (None, None) => String::new(),
    }
}

/// Loads everything; nothing when not even the first file can be read.
pub(crate) fn load(input: &Input, report: &mut Report) -> Option<Loaded> {
    let directory = project_directory(input);
    let mut loader = Loader {
        input,
        report,
        loaded: 0,
        incomplete: false,
        extended: BTreeMap::new(),
        cycles: BTreeSet::new(),
    };
    let defaults =
        loader.variables(&[format!("{}.env", prefix(&directory))], true, &input.environment, At::default());
    let mut project = Project { variables: overlaid(defaults, &input.environment), directory };
    let mut documents = Vec::new();
    for (path, bytes) in &input.files {
        let at = loader.report.add_file(path, &project.directory);
        documents.extend(loader.parse(bytes, at)?);
    }
    let name = loader.name(&documents, &project)?;
    project.variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    if !input.env_name.is_empty() {
        project.variables.entry("OMNI_ENVIRONMENT".to_owned()).or_insert_with(|| input.env_name.clone());
    }
    let mut trail: Vec<String> = input.files.iter().map(|(path, _)| path.clone()).collect();
    let document = loader.project(documents, &project, &mut trail)?;
    let incomplete = loader.incomplete;
    Some(Loaded {
        document,
        variables: project.variables,
        project_directory: project.directory,
        name,
        incomplete,
    })
}

fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

fn overlaid(mut below: Variables, above: &Variables) -> Variables {
    below.extend(above.iter().map(|(name, value)| (name.clone(), value.clone())));
    below
}

impl<'a> Loader<'a> {
    /// Parses one file; every part of it is a mapping afterwards.
    fn parse(&mut self, bytes: &[u8], file: At) -> Option<Vec<Node>> {
        self.loaded += 1;
        if self.loaded > MAX_LOADED_FILES {
            let message = format!("more than {MAX_LOADED_FILES} files belong to the app");
            self.report.fault(file, "", FaultKind::TooLarge, message, "make several apps of it");
            return None;
        }
        let documents = parse(bytes, file, self.report)?;
        let mut fine = true;
        let documents: Vec<Node> = documents
            .into_iter()
            .filter(|document| !document.is_null())
            .inspect(|document| {
                if document.entries().is_none() {
                    fine = false;
                    let message = format!("a compose file is a mapping, this is {}", document.what());
                    self.report.fault(document.at, "", FaultKind::Value, message, "begin with `services:`");
                }
            })
            .collect();
        if fine && documents.is_empty() {
            self.report.fault(file, "", FaultKind::Value, "the file is empty", "begin with `services:`");
            return None;
        }
        fine.then_some(documents)
    }

    /// Variables of files; the later ones go before the earlier ones.
    fn variables(&mut self, paths: &[String], optional: bool, outer: &Variables, at: At) -> Variables {
        let mut all = Variables::new();
        for path in paths {
            let given = self.input.bytes(path);
            self.report.refer(Reference {
                path: path.clone(),
                kind: ReferenceKind::Variables,
                optional,
                writable: false,
                given: given.is_some() || self.input.left_out.contains(path),
            });
            let Some(bytes) = given else {
                if !optional {
                    let message = format!("the file `{}` with variables was not packed", quoted(path));
                    self.report.need(at, "include", path, message);
                    self.incomplete = true;
                }
                continue;
            };
            let file = self.report.add_file(path, folder_of(path));
            for (name, value) in dotenv::parse(bytes, Format::Compose, outer, file, self.report) {
                if let Some(value) = value.or_else(|| outer.get(&name).cloned()) {
                    all.insert(name, value);
                }
            }
        }
        all
    }

    /// The app's name: asked for, from the environment, from the files, or from the folder.
    fn name(&mut self, documents: &[Node], project: &Project) -> Option<String> {
        let written = documents.iter().rev().find_map(|document| document.get("name"));
        let folder = project.directory.rsplit('/').next().unwrap_or("");
        let (at, name, exact) =
            match (&self.input.project_name, project.variables.get("COMPOSE_PROJECT_NAME"), written) {
                (Some(name), ..) => (At::default(), name.clone(), true),
                (None, Some(name), _) if !name.is_empty() => (At::default(), name.clone(), true),
                (None, _, Some(node)) => {
                    let lookup = |name: &str| project.variables.get(name).cloned();
                    let text = node.text().unwrap_or("");
                    // What is wrong with its variables is told when the whole file is read.
                    (node.at, expand(text, &lookup, &mut BTreeSet::new()).ok()?, true)
                }
                (None, _, None) => (At::default(), folder.to_owned(), false),
            };
        let name = if exact { name } else { plain_name(&name) };
        if is_project_name(&name) {
            return Some(name);
        }
        let (message, hint) = if name.is_empty() {
            ("the app has no name".to_owned(), "write `name: …` at the top of the file, or give a name")
        } else {
            let message = format!("`{}` cannot be the name of an app", quoted(&name));
            (message, "use 1 to 63 of a-z, 0-9, `-` and `_`, beginning with a letter or digit")
        };
        self.report.fault(at, "name", FaultKind::Value, message, hint);
        None
    }

    /// One set of files as one document, with what it includes.
    fn project(&mut self, documents: Vec<Node>, project: &Project, trail: &mut Vec<String>) -> Option<Node> {
        // Its variables are this project's own, so what was read with another's must not be used.
        self.extended.clear();
        let mut merged: Option<Node> = None;
        let mut included = Vec::new();
        for mut document in documents {
            interpolate(&mut document, &project.variables, self.report);
            included.extend(take(&mut document, "include"));
            self.extend_services(&mut document, merged.as_ref(), project);
            merged = Some(match merged {
                None => settle(document),
                Some(base) => merge(base, document, &mut Vec::new(), self.report),
            });
        }
        let mut document = merged?;
        for node in included {
            self.include(&node, &mut document, project, trail);
        }
        Some(document)
    }

    /// Adds what an `include` section brings.
    fn include(&mut self, section: &Node, document: &mut Node, project: &Project, trail: &mut Vec<String>) {
        let Some(items) = section.items() else {
            let message = format!("`include` is a list of files, this is {}", section.what());
            self.report.fault(
                section.at,
                "include",
                FaultKind::Value,
                message,
                "write `include: [other.yml]`",
            );
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let key = format!("include[{index}]");
            if let Some(more) = self.included(item, &key, project, trail) {
                self.copy_sections(more, document, &key);
            }
        }
    }

    /// One item of `include`: its own project, read on its own.
    fn included(&mut self, item: &Node, key: &str, outer: &Project, trail: &mut Vec<String>) -> Option<Node> {
        keys::check_part(item, "include[]", key, self.report);
        let paths = match (&item.value, item.get("path")) {
            (Value::Scalar { .. }, _) => self.paths(item, key)?,
            (Value::Mapping(_), Some(path)) => self.paths(path, key)?,
            _ => {
                let message = "an include is the path of a file, or a mapping with `path`";
                self.report.fault(item.at, key, FaultKind::Value, message, "write `- path: other.yml`");
                return None;
            }
        };
        let directory = match item.get("project_directory") {
            Some(node) => self.paths(node, key)?.into_iter().next()?,
            None => folder_of(paths.first()?).to_owned(),
        };
        let (files, optional) = match item.get("env_file") {
            Some(node) => (self.paths(node, key)?, false),
            None => (vec![format!("{}.env", prefix(&directory))], true),
        };
        let defaults = self.variables(&files, optional, &outer.variables, item.at);
        let project = Project { directory, variables: overlaid(defaults, &outer.variables) };
        let before = trail.len();
        let mut documents = Vec::new();
        for path in paths {
            self.check_trail(&path, trail, item.at, key)?;
            let bytes = self.compose_file(&path, item.at, key)?;
            let file = self.report.add_file(&path, &project.directory);
            documents.extend(self.parse(bytes, file)?);
            trail.push(path);
        }
        let document = self.project(documents, &project, trail);
        trail.truncate(before);
        // Of an included file only its sections are copied, so the rest of it is looked at here.
        if let Some(document) = &document {
            keys::check(document, self.report);
        }
        document
    }

    fn check_trail(&mut self, path: &str, trail: &[String], at: At, key: &str) -> Option<()> {
        if let Some(first) = trail.iter().position(|known| known == path) {
            let mut cycle: Vec<&str> = trail[first..].iter().map(String::as_str).collect();
            cycle.push(path);
            let message = format!("files include each other: {}", cycle.join(" -> "));
            self.report.fault(at, key, FaultKind::Cycle, message, "take one of these includes out");
            return None;
        }
        if trail.len() >= MAX_INCLUDE_DEPTH + self.input.files.len() {
            let message = format!("files include each other more than {MAX_INCLUDE_DEPTH} deep");
            self.report.fault(at, key, FaultKind::TooLarge, message, "include them from fewer levels");
            return None;
        }
        Some(())
    }

    /// The bytes of a further compose file.
    fn compose_file(&mut self, path: &str, at: At, key: &str) -> Option<&'a [u8]> {
        let bytes = self.input.bytes(path);
        self.report.refer(Reference {
            path: path.to_owned(),
            kind: ReferenceKind::ComposeFile,
            optional: false,
            writable: false,
            given: bytes.is_some() || self.input.left_out.contains(path),
        });
        if bytes.is_none() {
            self.incomplete = true;
            let message = format!("the compose file `{}` was not packed", quoted(path));
            self.report.need(at, key, path, message);
        }
        bytes
    }

    /// A path, or a list of paths, from the packed folder.
    fn paths(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        let texts: Vec<&Node> = match &node.value {
            Value::Scalar { .. } => vec![node],
            Value::Sequence(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        let mut paths = Vec::new();
        for item in texts {
            paths.push(self.path(item, key)?);
        }
        if paths.is_empty() {
            let message = format!("here belongs the path of a file, this is {}", node.what());
            self.report.fault(node.at, key, FaultKind::Value, message, "");
            return None;
        }
        Some(paths)
    }

    fn path(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = node.text().unwrap_or("");
        if text.contains("://") || text.starts_with("git@") {
            let message = format!("`{}` is not beside the compose file", quoted(text));
            let hint = "omni fetches no compose files: copy it into the project folder";
            self.report.fault(node.at, key, FaultKind::Unsupported, message, hint);
            return None;
        }
        match resolve(self.report.base(node.at), text) {
            Ok(path) => Some(path),
            Err(outside) => {
                let (why, hint) = outside.explain();
                let message = format!("`{}` {why}", quoted(text));
                self.report.fault(node.at, key, FaultKind::Reference, message, hint);
                None
            }
        }
    }

    /// Copies what an included document defines; what is defined twice has to be the same.
    fn copy_sections(&mut self, from: Node, into: &mut Node, key: &str) {
        let Value::Mapping(sections) = from.value else { return };
        for section in sections {
            if !SECTIONS.contains(&section.key.as_str()) {
                continue;
            }
            let Value::Mapping(entries) = section.node.value else {
                put(into, section);
                continue;
            };
            let Some(own) = section_of(into, &section.key, section.at) else { continue };
            for entry in entries {
                match own.iter().find(|known| known.key == entry.key) {
                    None => own.push(entry),
                    Some(known) if same(&known.node, &entry.node) => {}
                    Some(known) => {
                        let other = self.report.file(known.at).to_owned();
                        let message =
                            format!("`{}.{}` is defined here and in {other}", section.key, entry.key);
                        let hint =
                            "rename one, or name both files in one `include` with `path: [a.yml, b.yml]`";
                        self.report.fault(entry.at, key, FaultKind::Conflict, message, hint);
                    }
                }
            }
        }
    }
}

/// Takes a key out of a mapping.
fn take(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Mapping(entries) = &mut node.value else { return None };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index).node).filter(|node| !node.is_null())
}

/// The entries of a section of the document, which is made when it is not there.
fn section_of<'n>(document: &'n mut Node, key: &str, at: At) -> Option<&'n mut Vec<Entry>> {
    if document.get(key).is_none() {
        take(document, key);
        put(document, Entry { key: key.to_owned(), at, node: Node::new(at, Value::Mapping(Vec::new())) });
    }
    let Value::Mapping(sections) = &mut document.value else { return None };
    let section = sections.iter_mut().find(|entry| entry.key == key)?;
    match &mut section.node.value {
        Value::Mapping(entries) => Some(entries),
        _ => None,
    }
}

fn put(document: &mut Node, entry: Entry) {
    if let Value::Mapping(entries) = &mut document.value
        && entries.iter().all(|known| known.key != entry.key)
    {
        entries.push(entry);
    }
}

/// Whether two parts say the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Mapping(a), Value::Mapping(b)) => {
            a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| a.key == b.key && same(&a.node, &b.node)))
        }
        _ => false,
    }
}

/// A folder's name as Compose makes a project's name of it.
fn plain_name(folder: &str) -> String {
    let kept = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = folder.to_lowercase().chars().filter(kept).collect();
    name.trim_start_matches(['-', '_']).chars().take(63).collect()
}

fn is_project_name(name: &str) -> bool {
    let kept = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.len() <= 63 && !name.starts_with(['-', '_']) && !name.is_empty() && name.chars().all(kept)
}
