//! One service.

use super::deploy::{self, Deploy};
use super::field::Field;
use super::omni::{self, Omni};
use super::{Reader, build, limits, network, process, storage};
use crate::fault::{FaultKind, quoted};
use crate::report::{At, Report};
use omni_common::domain::app::{RestartPolicy, Service, ServiceName};
use omni_common::domain::backup::OptionsOf;
use std::collections::BTreeMap;

/// Longest reference of an image, characters.
const MAX_IMAGE: usize = 512;
/// Words of the namespaces that others may be joined in.
const JOINED: super::Words = &["host", "private", "shareable", "none", "service", "container"];

/// A service, with what it says about its group.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) service: Service,
    pub(crate) deploy: Deploy,
    pub(crate) omni: Omni,
    pub(crate) path: String,
    at: At,
    /// Where its keys stand.
    places: BTreeMap<String, At>,
}

impl Draft {
    /// Where a key of the service stands; where the service itself does, when it is not there.
    pub(crate) fn place(&self, key: &str) -> At {
        self.places.get(key).copied().unwrap_or(self.at)
    }
}

/// Reads a service.
pub(super) fn read(field: &Field<'_>, reader: &mut Reader<'_>) -> Draft {
    let mut service = Service::default();
    let text = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.text(report));
    service.image = text("image", reader.report).filter(|image| !image.is_empty());
    service.build = field.get("build").and_then(|field| build::build(&field, reader));
    service.platform = text("platform", reader.report);
    service.container_name = text("container_name", reader.report);
    check_image(&service, field, reader.report);
    process::read(&mut service, field, reader);
    network::read(&mut service, field, reader);
    storage::read(&mut service, field, reader);
    security(&mut service, field, reader);
    limits::read(&mut service, field, reader.report);
    if let Some(field) = field.get("ulimits") {
        service.ulimits = limits::ulimits(&field, reader.report);
    }
    let deploy = deploy::read(field, reader);
    take_restart(&mut service, &deploy, field, reader.report);
    let omni = omni::read(field, OptionsOf::Service, reader.report);
    service.omni = omni.options.clone();
    if let Some(field) = field.get("volumes_from") {
        service.volumes_from = volumes_from(&field, reader);
    }
    let entries = field.node.entries().unwrap_or_default();
    let places = entries.iter().map(|entry| (entry.key.clone(), entry.at)).collect();
    Draft { service, deploy, omni, path: field.path.clone(), at: field.at(), places }
}

fn check_image(service: &Service, field: &Field<'_>, report: &mut Report) {
    if service.image.is_none() && field.get("build").is_none() {
        field.wrong(report, "the service has neither `image` nor `build`", "write `image: NAME:TAG`");
    }
    if let (Some(image), Some(field)) = (&service.image, field.get("image"))
        && (image.contains(char::is_whitespace) || image.len() > MAX_IMAGE)
    {
        let message = format!("`{}` is no name of an image", quoted(image));
        field.wrong(report, message, "write `[REGISTRY/]NAME[:TAG]`");
    }
    if let (Some(name), Some(field)) = (&service.container_name, field.get("container_name"))
        && !is_container_name(name)
    {
        let message = format!("`{}` cannot be the name of a container", quoted(name));
        let hint = "use at least two letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
        field.wrong(report, message, hint);
    }
}

/// Docker's own rule.
fn is_container_name(name: &str) -> bool {
    (2..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// `restart` goes before `deploy.restart_policy`, as in Compose; both with different meanings are a slip.
fn take_restart(service: &mut Service, deploy: &Deploy, field: &Field<'_>, report: &mut Report) {
    if let (Some(own), Some(other)) = (service.restart, deploy.restart)
        && own != other
        && !same_enough(own, other)
    {
        field.note(report, "`restart` goes before `deploy.restart_policy`");
    }
    service.restart = service.restart.or(deploy.restart);
}

fn same_enough(a: RestartPolicy, b: RestartPolicy) -> bool {
    let always = |policy| matches!(policy, RestartPolicy::Always | RestartPolicy::UnlessStopped);
    always(a) && always(b)
}

fn security(service: &mut Service, field: &Field<'_>, reader: &mut Reader<'_>) {
    let report = &mut *reader.report;
    let flag = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.boolean(report));
    let texts =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.texts(report)).unwrap_or_default();
    let map =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.map(report)).unwrap_or_default();
    service.privileged = flag("privileged", report).unwrap_or_default();
    service.read_only = flag("read_only", report).unwrap_or_default();
    service.cap_add = texts("cap_add", report).into_iter().collect();
    service.cap_drop = texts("cap_drop", report).into_iter().collect();
    service.security_opt = texts("security_opt", report);
    service.device_cgroup_rules = texts("device_cgroup_rules", report);
    service.sysctls = map("sysctls", report);
    service.storage_opt = map("storage_opt", report);
    service.shm_size_bytes = field.get("shm_size").and_then(|field| field.bytes(report));
    service.cgroup_parent = field.get("cgroup_parent").and_then(|field| field.text(report));
    service.runtime = field.get("runtime").and_then(|field| field.text(report));
    service.pid = field.get("pid").and_then(|field| process::namespace(&field, JOINED, reader));
    service.ipc = field.get("ipc").and_then(|field| process::namespace(&field, JOINED, reader));
    service.uts = field.get("uts").and_then(|field| process::namespace(&field, &["host"], reader));
    service.userns_mode =
        field.get("userns_mode").and_then(|field| process::namespace(&field, &["host"], reader));
    service.cgroup =
        field.get("cgroup").and_then(|field| process::namespace(&field, &["host", "private"], reader));
}

fn volumes_from(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<ServiceName, bool> {
    let mut all = BTreeMap::new();
    for item in field.items(reader.report) {
        let Some(text) = item.text(reader.report) else { continue };
        if text.starts_with("container:") {
            let hint = "give both a named volume, or make the other container a service";
            let message = "omni mounts no volumes of containers outside the app";
            item.fault(reader.report, FaultKind::Unsupported, message, hint);
            continue;
        }
        let (name, mode) = text.split_once(':').unwrap_or((&text, "rw"));
        if !matches!(mode, "ro" | "rw") {
            item.wrong(reader.report, format!("`{}` is no mode", quoted(mode)), "there are `ro` and `rw`");
        }
        if let Some(name) = reader.service_name(name, &item) {
            all.insert(name, mode == "ro");
        }
    }
    all
}
