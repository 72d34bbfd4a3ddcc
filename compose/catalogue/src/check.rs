//! What has to be true of a catalogue as a whole. Every problem is collected, none is mended.

use crate::catalogue::{Catalogue, Entry};
use crate::error::Problem;
use crate::order::{self, Graph};
use crate::{Component, ComponentName, HealthKind, Method, MetricsKind, System, Tier};
use std::collections::BTreeSet;

/// Adds everything that is wrong to `problems`.
pub(crate) fn check(catalogue: &Catalogue, problems: &mut Vec<Problem>) {
    for entry in catalogue.entries() {
        let mut report = Report { entry, problems };
        tier(&mut report);
        image(&mut report);
        ports(&mut report);
        health(&mut report);
        metrics(&mut report);
        data(&mut report);
        backup(&mut report);
        references(catalogue, &mut report);
    }
    for system in catalogue.systems() {
        system_references(catalogue, system, problems);
    }
    circles(catalogue, problems);
}

/// Collects problems of one component.
struct Report<'a> {
    entry: &'a Entry,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Report<'a> {
    fn component(&self) -> &'a Component {
        &self.entry.component
    }

    fn wrong(&mut self, key: &str, what: impl Into<String>) {
        self.problems.push(Problem {
            file: self.entry.file.to_string(),
            line: self.entry.line,
            component: Some(self.entry.component.name.to_string()),
            key: Some(key.to_owned()),
            what: what.into(),
        });
    }

    fn wrong_if(&mut self, wrong: bool, key: &str, what: &str) {
        if wrong {
            self.wrong(key, what);
        }
    }
}

fn tier(report: &mut Report<'_>) {
    let c = report.component();
    if c.critical != (c.tier == Tier::Critical) {
        let what = format!(
            "must be {} because the tier is {}: critical is true exactly when the tier is critical",
            !c.critical,
            c.tier.as_str()
        );
        report.wrong("critical", what);
    }
}

fn image(report: &mut Report<'_>) {
    let Some(image) = &report.component().image else { return };
    let reference = image.reference.split('@').next().unwrap_or_default();
    let last = reference.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        None | Some((_, "")) => report.wrong("image.ref", "has no tag: pin a version"),
        Some((_, "latest")) => report.wrong("image.ref", "latest is not a version: pin one"),
        Some(_) => {}
    }
}

fn ports(report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for entry in &report.component().ports {
        if !seen.insert((entry.port, entry.protocol)) {
            report.wrong("ports", format!("{} is listed twice", entry.port.number()));
        }
    }
}

fn health(report: &mut Report<'_>) {
    let health = &report.component().health;
    let asked = health.port.is_some() || health.path.is_some() || !health.command.is_empty();
    match health.kind {
        HealthKind::Http => {
            report.wrong_if(health.port.is_none(), "health.port", "is needed for kind http");
            report.wrong_if(health.path.is_none(), "health.path", "is needed for kind http");
        }
        HealthKind::Tcp => report.wrong_if(health.port.is_none(), "health.port", "is needed for kind tcp"),
        HealthKind::Exec => {
            report.wrong_if(health.command.is_empty(), "health.command", "is needed for kind exec");
        }
        HealthKind::None => {
            report.wrong_if(asked, "health.kind", "none leaves no room for port, path or command");
        }
    }
    let command = &health.command;
    let form = matches!(command.first().map(String::as_str), Some("CMD" | "CMD-SHELL"));
    if !command.is_empty() && (!form || command.len() < 2) {
        report.wrong("health.command", "starts with CMD or CMD-SHELL, and the command follows");
    }
    if let Some(period) = &health.start_period {
        let digits = period.strip_suffix('s').unwrap_or_default();
        let seconds = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        report.wrong_if(!seconds, "health.start_period", "is whole seconds: 120s");
    }
    absolute(report, "health.path", health.path.as_slice());
}

fn metrics(report: &mut Report<'_>) {
    let metrics = &report.component().metrics;
    let native = metrics.kind == MetricsKind::Native;
    for (key, there) in [
        ("metrics.port", metrics.port.is_some()),
        ("metrics.path", metrics.path.is_some()),
        ("metrics.enable", metrics.enable.is_some()),
        ("metrics.access", metrics.access.is_some()),
    ] {
        report.wrong_if(native && !there, key, "is needed for kind native");
        report.wrong_if(!native && there, key, "makes sense only for kind native");
    }
    let exporter = metrics.kind == MetricsKind::Exporter;
    let named = metrics.exporter.is_some();
    report.wrong_if(exporter && !named, "metrics.exporter", "is needed for kind exporter");
    report.wrong_if(!exporter && named, "metrics.exporter", "makes sense only for kind exporter");
    absolute(report, "metrics.path", metrics.path.as_slice());
}

fn data(report: &mut Report<'_>) {
    let data = &report.component().data;
    for path in &data.paths {
        absolute(report, "data.paths", std::slice::from_ref(&path.path));
    }
    for mount in &data.host {
        absolute(report, "data.host", mount.path.as_slice());
    }
}

fn backup(report: &mut Report<'_>) {
    let component = report.component();
    let backup = &component.backup;
    let needed = match backup.method {
        Method::Volume => Some(("backup.paths", backup.paths.is_empty())),
        Method::HostPath => Some(("backup.host_paths", backup.host_paths.is_empty())),
        Method::S3 => Some(("backup.buckets", backup.buckets.is_empty())),
        Method::Command => Some(("backup.command", backup.command.is_empty())),
        Method::Shared => Some(("backup.shared_with", backup.shared_with.is_none())),
        Method::Postgres
        | Method::Mariadb
        | Method::Sqlite
        | Method::Clickhouse
        | Method::Gitea
        | Method::Mattermost
        | Method::N8n => Some(("backup.databases", backup.databases.is_empty())),
        Method::Redis
        | Method::Qdrant
        | Method::Prometheus
        | Method::Openbao
        | Method::Omni
        | Method::None => None,
    };
    if let Some((key, true)) = needed {
        report.wrong(key, "is needed for this method");
    }
    let command = backup.method == Method::Command;
    report.wrong_if(
        !command && !backup.command.is_empty(),
        "backup.command",
        "makes sense only for method command",
    );
    report.wrong_if(
        !command && !backup.load.is_empty(),
        "backup.load",
        "makes sense only for method command",
    );
    for key in &backup.keys {
        match component.secrets.iter().find(|secret| secret.name == *key) {
            None => report.wrong("backup.keys", format!("`{key}` is not among its secrets")),
            Some(secret) if !secret.keep => {
                report.wrong("secrets", format!("`{key}` has to say `keep: true`: backup.keys names it"));
            }
            Some(_) => {}
        }
    }
    absolute(report, "backup.paths", &backup.paths);
    absolute(report, "backup.host_paths", &backup.host_paths);
}

fn absolute<'a>(report: &mut Report<'_>, key: &str, paths: impl IntoIterator<Item = &'a String>) {
    for path in paths {
        if !path.starts_with('/') {
            report.wrong(key, format!("`{path}` is not absolute: start it with /"));
        }
    }
}

fn references(catalogue: &Catalogue, report: &mut Report<'_>) {
    let c = report.component();
    for (key, name) in mentioned(c) {
        if catalogue.get(name.as_str()).is_none() {
            report.wrong(key, catalogue.unknown(name));
        } else if *name == c.name && key != "backup.server" {
            report.wrong(key, "names the component itself");
        }
    }
    let shared = c.backup.shared_with.as_ref().and_then(|name| catalogue.get(name.as_str()));
    if let Some(other) = shared.filter(|other| other.backup.method == Method::Shared) {
        report.wrong(
            "backup.shared_with",
            format!("`{}` is itself covered by another: name that one", other.name),
        );
    }
}

/// Every other component that a component mentions, with the key that does.
fn mentioned(c: &Component) -> impl Iterator<Item = (&'static str, &ComponentName)> {
    fn under<'a>(
        key: &'static str,
        names: impl IntoIterator<Item = &'a ComponentName>,
    ) -> impl Iterator<Item = (&'static str, &'a ComponentName)> {
        names.into_iter().map(move |name| (key, name))
    }
    under("depends.hard", &c.depends.hard)
        .chain(under("depends.uses", &c.depends.uses))
        .chain(under("instead_of", &c.instead_of))
        .chain(under("superseded_by", &c.superseded_by))
        .chain(under("metrics.exporter", &c.metrics.exporter))
        .chain(under("backup.server", &c.backup.server))
        .chain(under("backup.shared_with", &c.backup.shared_with))
        .chain(under("backup.same_moment", &c.backup.same_moment))
        .chain(under("placement.same_host", &c.placement.same_host))
        .chain(under("placement.not_with", &c.placement.not_with))
}

/// Systems keep no line of their own: the file of a first component says where they are.
fn system_references(catalogue: &Catalogue, system: &System, problems: &mut Vec<Problem>) {
    let first = catalogue.of_system(system.number).next().and_then(|c| catalogue.entry(c.name.as_str()));
    let file = first.map_or_else(|| format!("system {}", system.number), |entry| entry.file.to_string());
    let mut wrong = |key: &str, what: String| {
        let key = Some(key.to_owned());
        problems.push(Problem { file: file.clone(), line: 1, component: None, key, what });
    };
    for name in system.reuses.iter().filter(|name| catalogue.get(name.as_str()).is_none()) {
        wrong("reuses", catalogue.unknown(name));
    }
    for number in system.extends.iter().filter(|number| catalogue.system(**number).is_none()) {
        wrong("extends", format!("no system {number}"));
    }
}

fn circles(catalogue: &Catalogue, problems: &mut Vec<Problem>) {
    let graph: Graph =
        catalogue.components().map(|c| (c.name.clone(), c.depends.hard.iter().cloned().collect())).collect();
    let Err(circle) = order::waves(&graph) else { return };
    let Some(entry) = catalogue.entry(circle[0].as_str()) else { return };
    let names: Vec<&str> = circle.iter().map(ComponentName::as_str).collect();
    let what = format!("waits for itself: {}; make one of them `uses`", names.join(" -> "));
    Report { entry, problems }.wrong("depends.hard", what);
}
