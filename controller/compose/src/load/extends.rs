//! `extends`: a service that begins as another one.

use super::{Loader, Project, take};
use crate::fault::{FaultKind, quoted};
use crate::interpolate::interpolate;
use crate::keys;
use crate::merge::{merge, settle};
use crate::paths::folder_of;
use crate::report::At;
use crate::suggest;
use crate::yaml::{Node, Value};

/// Longest chain of services that extend each other.
const MAX_CHAIN: usize = 32;

/// What `extends` names.
struct Base {
    at: At,
    service: String,
    file: Option<String>,
}

/// Where services are looked up: the file at hand, then what the files before it came to.
struct Scope<'n> {
    path: String,
    own: &'n Node,
    before: Option<&'n Node>,
}

impl Scope<'_> {
    fn find(&self, service: &str) -> Option<&Node> {
        self.own.get(service).or_else(|| self.before.and_then(|services| services.get(service)))
    }

    fn names(&self) -> Vec<&str> {
        self.own.entries().unwrap_or_default().iter().map(|entry| entry.key.as_str()).collect()
    }
}

impl Loader<'_> {
    /// Replaces every service of a file that extends another by what it comes to.
    pub(super) fn extend_services(&mut self, document: &mut Node, before: Option<&Node>, project: &Project) {
        let Some(own) = document.get("services").cloned() else { return };
        let before = before.and_then(|document| document.get("services"));
        let path = self.report.file(document.at).to_owned();
        let scope = Scope { path, own: &own, before };
        let Value::Mapping(sections) = &mut document.value else { return };
        let services = sections.iter_mut().find(|entry| entry.key == "services");
        let Some(Value::Mapping(services)) = services.map(|entry| &mut entry.node.value) else { return };
        for entry in services.iter_mut().filter(|entry| entry.node.get("extends").is_some()) {
            let mut chain = Vec::new();
            let node = entry.node.clone();
            if let Some(node) = self.extended(&entry.key, node, &scope, project, &mut chain) {
                entry.node = node;
            }
            take(&mut entry.node, "extends");
        }
    }

    /// A service with everything that it extends beneath it.
    fn extended(
        &mut self,
        name: &str,
        mut service: Node,
        scope: &Scope<'_>,
        project: &Project,
        chain: &mut Vec<(String, String)>,
    ) -> Option<Node> {
        let Some(extends) = take(&mut service, "extends") else { return Some(service) };
        let key = format!("services.{name}.extends");
        let base = self.base(&extends, &key)?;
        self.check_chain(&scope.path, name, chain, base.at, &key)?;
        chain.push((scope.path.clone(), name.to_owned()));
        let found = match &base.file {
            None => self.base_here(&base, scope, project, chain, &key),
            Some(_) => self.base_there(&base, project, chain, &key),
        };
        chain.pop();
        let mut path = vec!["services".to_owned(), name.to_owned()];
        Some(merge(settle(found?), service, &mut path, self.report))
    }

    fn base(&mut self, extends: &Node, key: &str) -> Option<Base> {
        let at = extends.at;
        keys::check_part(extends, "services.*.extends", key, self.report);
        let service = extends.text().or_else(|| extends.get("service").and_then(Node::text));
        let Some(service) = service else {
            let message = "`extends` names no service";
            self.report.fault(
                at,
                key,
                FaultKind::Value,
                message,
                "write `extends: {service: NAME, file: FILE}`",
            );
            return None;
        };
        let file = match extends.get("file") {
            Some(node) => Some(self.path(node, key)?),
            None => None,
        };
        Some(Base { at, service: service.to_owned(), file })
    }

    fn check_chain(
        &mut self,
        path: &str,
        name: &str,
        chain: &[(String, String)],
        at: At,
        key: &str,
    ) -> Option<()> {
        let link = (path.to_owned(), name.to_owned());
        if let Some(first) = chain.iter().position(|known| *known == link) {
            let mut links: Vec<(String, String)> = chain[first..].to_vec();
            links.sort();
            // Every service of the cycle comes by here; the first one tells it.
            if !self.cycles.insert(links) {
                return None;
            }
            let mut cycle: Vec<String> =
                chain[first..].iter().map(|(file, service)| format!("{service} ({file})")).collect();
            cycle.push(format!("{name} ({path})"));
            let message = format!("services extend each other: {}", cycle.join(" -> "));
            self.report.fault(at, key, FaultKind::Cycle, message, "take one of these `extends` out");
            return None;
        }
        if chain.len() >= MAX_CHAIN {
            let message = format!("services extend each other in a chain of more than {MAX_CHAIN}");
            self.report.fault(at, key, FaultKind::TooLarge, message, "extend the last one directly");
            return None;
        }
        Some(())
    }

    fn base_here(
        &mut self,
        base: &Base,
        scope: &Scope<'_>,
        project: &Project,
        chain: &mut Vec<(String, String)>,
        key: &str,
    ) -> Option<Node> {
        let Some(found) = scope.find(&base.service).cloned() else {
            self.no_such_service(base, &scope.path, scope.names(), key);
            return None;
        };
        self.extended(&base.service, found, scope, project, chain)
    }

    fn base_there(
        &mut self,
        base: &Base,
        project: &Project,
        chain: &mut Vec<(String, String)>,
        key: &str,
    ) -> Option<Node> {
        let path = base.file.clone()?;
        let services = self.services_of(&path, base.at, key, project)?;
        let scope = Scope { path, own: &services, before: None };
        self.base_here(base, &scope, project, chain, key)
    }

    /// The services of another file, with its own folder as the start of its relative paths.
    fn services_of(&mut self, path: &str, at: At, key: &str, project: &Project) -> Option<Node> {
        if let Some(known) = self.extended.get(path) {
            return known.clone();
        }
        let services = self.read_services(path, at, key, project);
        self.extended.insert(path.to_owned(), services.clone());
        services
    }

    fn read_services(&mut self, path: &str, at: At, key: &str, project: &Project) -> Option<Node> {
        let bytes = self.compose_file(path, at, key)?;
        let file = self.report.add_file(path, folder_of(path));
        let mut merged: Option<Node> = None;
        for mut document in self.parse(bytes, file)? {
            interpolate(&mut document, &project.variables, self.report);
            merged = Some(match merged {
                None => settle(document),
                Some(base) => merge(base, document, &mut Vec::new(), self.report),
            });
        }
        let services = merged?.get("services").cloned();
        if services.is_none() {
            let message = format!("`{}` has no services to extend", quoted(path));
            self.report.fault(at, key, FaultKind::Reference, message, "");
        }
        services
    }

    fn no_such_service(&mut self, base: &Base, path: &str, names: Vec<&str>, key: &str) {
        let message = format!("there is no service `{}` in {path} to extend", quoted(&base.service));
        let hint = suggest::hint(&base.service, names.iter().copied());
        self.report.fault(base.at, key, FaultKind::Reference, message, &hint);
    }
}
