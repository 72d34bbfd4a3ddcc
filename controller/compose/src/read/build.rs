//! `build`.

use super::Reader;
use super::field::Field;
use super::limits::ulimits;
use super::network::extra_hosts;
use crate::fault::{FaultKind, quoted};
use crate::input::{Reference, ReferenceKind};
use crate::paths::resolve;
use crate::report::Report;
use omni_common::domain::app::{Build, BuildContext};

/// Beginnings of addresses that the engine fetches a context from.
const REMOTE: [&str; 6] = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"];

/// Lines of `/etc/hosts` that the client of the engine can hand to its builder.
const MAX_EXTRA_HOSTS: usize = 1;

/// Reads how an image is built.
pub(super) fn build(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<Build> {
    if !field.is_mapping() {
        return Some(Build { context: context(field, reader)?, ..Build::default() });
    }
    let context = match field.get("context") {
        Some(field) => context(&field, reader)?,
        None => project(field, reader),
    };
    let report = &mut *reader.report;
    let text = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.text(report));
    let texts =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.texts(report)).unwrap_or_default();
    let flag = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.boolean(report));
    let build = Build {
        context,
        dockerfile: text("dockerfile", report),
        dockerfile_inline: text("dockerfile_inline", report),
        target: text("target", report),
        args: arguments(field, reader.variables, report),
        labels: field.get("labels").map(|field| field.map(report)).unwrap_or_default(),
        tags: texts("tags", report),
        platforms: texts("platforms", report),
        cache_from: texts("cache_from", report),
        no_cache: flag("no_cache", report).unwrap_or_default(),
        pull: flag("pull", report).unwrap_or_default(),
        network: text("network", report),
        extra_hosts: field.get("extra_hosts").map(|field| extra_hosts(&field, report)).unwrap_or_default(),
        shm_size_bytes: field.get("shm_size").and_then(|field| field.bytes(report)),
        ulimits: field.get("ulimits").map(|field| ulimits(&field, report)).unwrap_or_default(),
    };
    if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
        let message = "`dockerfile` and `dockerfile_inline` exclude each other";
        field.fault(report, FaultKind::Conflict, message, "keep one of them");
    }
    let lines = build.extra_hosts.len();
    if let Some(field) = field.get("extra_hosts").filter(|_| lines > MAX_EXTRA_HOSTS) {
        let message = format!("the engine's builder takes one line of `extra_hosts`, and these are {lines}");
        field.fault(report, FaultKind::Unsupported, message, "keep the one that the build needs");
    }
    Some(build)
}

/// Arguments; one without a value is taken from the caller's environment, else left to the Dockerfile.
fn arguments(
    field: &Field<'_>,
    variables: &crate::interpolate::Variables,
    report: &mut Report,
) -> std::collections::BTreeMap<String, Option<String>> {
    let pairs = field.get("args").map(|field| field.pairs(report)).unwrap_or_default();
    let known = |name: &String, value: Option<String>| value.or_else(|| variables.get(name).cloned());
    pairs.into_iter().map(|(name, value, _)| (name.clone(), known(&name, value))).collect()
}

fn context(field: &Field<'_>, reader: &mut Reader<'_>) -> Option<BuildContext> {
    let text = field.text(reader.report)?;
    if REMOTE.iter().any(|start| text.starts_with(start)) {
        return Some(BuildContext::Remote(text));
    }
    match resolve(reader.report.base(field.at()), &text) {
        Ok(path) => Some(folder(path, reader)),
        Err(outside) => {
            let (why, hint) = outside.explain();
            let message = format!("the build context `{}` {why}", quoted(&text));
            field.fault(reader.report, FaultKind::Reference, message, hint);
            None
        }
    }
}

fn project(field: &Field<'_>, reader: &mut Reader<'_>) -> BuildContext {
    let path = reader.report.base(field.at()).to_owned();
    folder(path, reader)
}

fn folder(path: String, reader: &mut Reader<'_>) -> BuildContext {
    let in_app = reader.in_app(&path);
    let kind = ReferenceKind::BuildContext;
    reader.report.refer(Reference { path, kind, optional: false, writable: false, given: true });
    BuildContext::Folder(in_app)
}
