//! Volumes, files and devices of a service.

use super::field::Field;
use super::{Reader, Words};
use crate::fault::{FaultKind, quoted};
use crate::paths::{is_absolute, is_path, resolve};
use crate::report::Report;
use crate::yaml::{Node, Value};
use omni_common::domain::app::{
    Device, FileMount, HostMount, Mount, MountSource, ProjectMount, Service, TmpfsMount, VolumeMount,
};
use std::collections::BTreeMap;

/// Folder in which secrets are mounted.
const SECRETS: &str = "/run/secrets/";
/// Words of a mount's mode that change nothing on Linux.
const WORDS_WITHOUT_EFFECT: [&str; 4] = ["rw", "cached", "delegated", "consistent"];
const PROPAGATION: Words = &["shared", "slave", "private", "rshared", "rslave", "rprivate"];

/// Reads everything that is mounted.
pub(super) fn read(service: &mut Service, field: &Field<'_>, reader: &mut Reader<'_>) {
    let mut mounts: BTreeMap<String, Mount> = BTreeMap::new();
    if let Some(volumes) = field.get("volumes") {
        for item in volumes.items(reader.report) {
            let Some(mount) = mount(&item, reader) else { continue };
            if let Some(before) = mounts.insert(mount.target.clone(), mount) {
                let message = format!("`{}` is mounted twice in this service", before.target);
                item.fault(reader.report, FaultKind::Conflict, message, "keep one of them");
            }
        }
    }
    service.mounts = mounts.into_values().collect();
    if let Some(tmpfs) = field.get("tmpfs") {
        for item in tmpfs.items_or_one(reader.report) {
            let Some(text) = item.text(reader.report) else { continue };
            let (target, options) = text.split_once(':').unwrap_or((&text, ""));
            if check_target(target, &item, reader.report) {
                service.tmpfs.insert(target.to_owned(), options.to_owned());
            }
        }
    }
    if let Some(configs) = field.get("configs") {
        service.configs = file_mounts(&configs, "/", "configs", reader);
    }
    if let Some(secrets) = field.get("secrets") {
        service.secrets = file_mounts(&secrets, SECRETS, "secrets", reader);
    }
    if let Some(devices) = field.get("devices") {
        let items = devices.items(reader.report);
        service.devices = items.iter().filter_map(|item| device(item, reader.report)).collect();
    }
}

fn mount(item: &Field<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    if item.is_mapping() { long(item, reader) } else { short(item, reader) }
}

/// A mount as both syntaxes give it.
#[derive(Default)]
struct Draft {
    source: Option<String>,
    target: String,
    read_only: bool,
    propagation: Option<String>,
    selinux: Option<String>,
    no_copy: bool,
    subpath: Option<String>,
    /// Make a missing folder of the host.
    create: bool,
}

fn short(item: &Field<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    let text = item.text(reader.report)?;
    let hint = "write `SOURCE:TARGET[:ro]`, e.g. `./config:/etc/app:ro` or `data:/var/lib/app`";
    if is_drive(&text) {
        let message = format!("`{}` is a path of Windows", quoted(&text));
        item.fault(
            reader.report,
            FaultKind::Unsupported,
            message,
            "hosts of omni run Linux: use a path of Linux",
        );
        return None;
    }
    let parts: Vec<&str> = text.split(':').collect();
    let mut draft = Draft { create: true, ..Draft::default() };
    match parts.as_slice() {
        [target] => draft.target = (*target).to_owned(),
        [source, target] => {
            draft.source = Some((*source).to_owned());
            draft.target = (*target).to_owned();
        }
        [source, target, mode] => {
            draft.source = Some((*source).to_owned());
            draft.target = (*target).to_owned();
            draft.mode(mode, item, reader.report);
        }
        _ => {
            item.wrong(reader.report, format!("`{}` is no mount", quoted(&text)), hint);
            return None;
        }
    }
    let bind = draft.source.as_deref().is_some_and(is_path);
    if draft.source.as_deref() == Some("") {
        item.wrong(reader.report, format!("`{}` has no source", quoted(&text)), hint);
        return None;
    }
    finish(draft, bind, item, reader)
}

impl Draft {
    fn mode(&mut self, words: &str, item: &Field<'_>, report: &mut Report) {
        for word in words.split(',') {
            match word {
                "ro" => self.read_only = true,
                "z" | "Z" => self.selinux = Some(word.to_owned()),
                "nocopy" => self.no_copy = true,
                word if PROPAGATION.contains(&word) => self.propagation = Some(word.to_owned()),
                word if WORDS_WITHOUT_EFFECT.contains(&word) => {}
                _ => {
                    let message = format!("`{}` is no mode of a mount", quoted(word));
                    item.wrong(
                        report,
                        message,
                        "there are `ro`, `rw`, `z`, `Z`, `nocopy` and the propagations",
                    );
                }
            }
        }
    }
}

fn long(item: &Field<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
    let Some(target) = text("target", reader.report) else {
        item.wrong(reader.report, "the mount has no `target`", "`target` is the path in the container");
        return None;
    };
    let mut draft = Draft { source: text("source", reader.report), target, create: true, ..Draft::default() };
    draft.source = draft.source.filter(|source| !source.is_empty());
    if let Some(field) = item.get("read_only") {
        draft.read_only = field.boolean(reader.report).unwrap_or_default();
    }
    if let Some(bind) = item.get("bind") {
        draft.propagation = bind.get("propagation").and_then(|field| reader.word(&field, PROPAGATION));
        draft.selinux = bind.get("selinux").and_then(|field| reader.word(&field, &["z", "Z"]));
        if let Some(create) = bind.get("create_host_path") {
            draft.create = create.boolean(reader.report).unwrap_or(true);
        }
    }
    if let Some(volume) = item.get("volume") {
        draft.no_copy =
            volume.get("nocopy").and_then(|field| field.boolean(reader.report)).unwrap_or_default();
        draft.subpath = volume.get("subpath").and_then(|field| field.text(reader.report));
    }
    let kind = item.get("type").and_then(|field| field.text(reader.report));
    match kind.as_deref() {
        Some("volume") => finish(draft, false, item, reader),
        Some("bind") if draft.source.is_none() => {
            item.wrong(reader.report, "the mount has no `source`", "`source` is the path on the host");
            None
        }
        Some("bind") => finish(draft, true, item, reader),
        Some("tmpfs") => tmpfs(&draft, item, reader.report),
        Some(kind @ ("npipe" | "cluster" | "image")) => {
            let hint = "there are `bind`, `volume` and `tmpfs`";
            item.fault(
                reader.report,
                FaultKind::Unsupported,
                format!("omni mounts nothing of the type `{kind}`"),
                hint,
            );
            None
        }
        _ => {
            let hint = "there are `bind`, `volume` and `tmpfs`";
            item.wrong(reader.report, "the mount has no `type` that Compose knows", hint);
            None
        }
    }
}

fn tmpfs(draft: &Draft, item: &Field<'_>, report: &mut Report) -> Option<Mount> {
    let options = item.get("tmpfs");
    let get = |key: &str| options.as_ref().and_then(|field| field.get(key));
    let source = TmpfsMount {
        size_bytes: get("size").and_then(|field| field.bytes(report)),
        mode: get("mode").and_then(|field| field.mode(report)),
    };
    check_target(&draft.target, item, report).then(|| Mount {
        target: tidy(&draft.target),
        source: MountSource::Tmpfs(source),
        read_only: draft.read_only,
    })
}

fn finish(draft: Draft, bind: bool, item: &Field<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    if !check_target(&draft.target, item, reader.report) {
        return None;
    }
    let target = tidy(&draft.target);
    let read_only = draft.read_only;
    if bind && draft.no_copy {
        item.wrong(
            reader.report,
            "`nocopy` is for volumes",
            "take it out: nothing is copied into a path of the host",
        );
    } else if !bind && draft.propagation.is_some() {
        item.wrong(
            reader.report,
            "a propagation is for paths of the host",
            "take it out: a volume has no mounts below",
        );
    }
    let source = match draft.source.clone() {
        Some(path) if bind => bind_source(&path, draft, item, reader)?,
        volume => {
            if let Some(name) = &volume {
                reader.uses_volume(name, item);
            }
            MountSource::Volume(VolumeMount {
                volume,
                subpath: draft.subpath,
                no_copy: draft.no_copy,
                selinux: draft.selinux,
            })
        }
    };
    Some(Mount { target, source, read_only })
}

fn bind_source(path: &str, draft: Draft, item: &Field<'_>, reader: &mut Reader<'_>) -> Option<MountSource> {
    if is_absolute(path) {
        let Draft { propagation, selinux, create, .. } = draft;
        return Some(MountSource::Host(HostMount { path: tidy(path), create, propagation, selinux }));
    }
    match resolve(reader.report.base(item.at()), path) {
        Ok(path) => {
            reader.project_mount(&path, draft.read_only, item);
            let Draft { propagation, selinux, .. } = draft;
            let path = reader.in_app(&path);
            Some(MountSource::Project(ProjectMount { path, propagation, selinux, ..ProjectMount::default() }))
        }
        Err(outside) => {
            let (why, hint) = outside.explain();
            item.fault(reader.report, FaultKind::Reference, format!("`{}` {why}", quoted(path)), hint);
            None
        }
    }
}

fn check_target(target: &str, item: &Field<'_>, report: &mut Report) -> bool {
    let fine = target.starts_with('/')
        && !target.trim_matches('/').is_empty()
        && !target.split('/').any(|part| part == "..");
    if !fine {
        let message = format!("`{}` is no absolute path in the container", quoted(target));
        item.wrong(report, message, "begin it with `/`");
    }
    fine
}

/// An absolute path without a slash at its end.
fn tidy(path: &str) -> String {
    let short = path.trim_end_matches('/');
    if short.is_empty() { "/".to_owned() } else { short.to_owned() }
}

fn is_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() && text.contains('\\'))
        || text.starts_with("\\\\")
}

fn file_mounts(
    field: &Field<'_>,
    folder: &str,
    section: &'static str,
    reader: &mut Reader<'_>,
) -> Vec<FileMount> {
    let mut mounts: Vec<FileMount> = Vec::new();
    for item in field.items(reader.report) {
        let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
        let source = if item.is_mapping() { text("source", reader.report) } else { item.text(reader.report) };
        let Some(source) = source else {
            if item.is_mapping() {
                item.wrong(
                    reader.report,
                    "it has no `source`",
                    "`source` is a name of the top-level section",
                );
            }
            continue;
        };
        let target = text("target", reader.report).unwrap_or_else(|| source.clone());
        let target = if target.starts_with('/') { target } else { format!("{folder}{target}") };
        if !check_target(&target, &item, reader.report) {
            continue;
        }
        let mode = item.get("mode").and_then(|field| field.mode(reader.report));
        let (uid, gid) = (text("uid", reader.report), text("gid", reader.report));
        reader.uses(section, &source, &item);
        if mounts.iter().any(|known| known.target == target) {
            let message = format!("`{}` is mounted twice in this service", quoted(&target));
            item.fault(reader.report, FaultKind::Conflict, message, "keep one of them");
        } else {
            mounts.push(FileMount { source, target, uid, gid, mode });
        }
    }
    mounts
}

fn device(item: &Field<'_>, report: &mut Report) -> Option<Device> {
    let (host, container, permissions) = if item.is_mapping() {
        let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
        (text("source", report).unwrap_or_default(), text("target", report), text("permissions", report))
    } else {
        let text = item.text(report)?;
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        (parts.next().unwrap_or_default(), parts.next(), parts.next())
    };
    if !host.starts_with('/') {
        let message = format!("`{}` is no device of a host", quoted(&host));
        item.wrong(report, message, "write `/dev/NAME[:/dev/NAME[:rwm]]`; GPUs are asked for with `gpus`");
        return None;
    }
    // `/dev/x:r` is a device with permissions: a path begins with a slash.
    let (container, permissions) = match (container, permissions) {
        (Some(words), None) if !words.starts_with('/') => (None, Some(words)),
        other => other,
    };
    let permissions = permissions.unwrap_or_else(|| "rwm".to_owned());
    if permissions.is_empty() || !permissions.chars().all(|c| matches!(c, 'r' | 'w' | 'm')) {
        let message = format!("`{}` are no permissions of a device", quoted(&permissions));
        item.wrong(report, message, "write some of `r`, `w` and `m`");
        return None;
    }
    let container_path = container.unwrap_or_else(|| host.clone());
    Some(Device { host_path: host, container_path, permissions })
}

/// What makes a mount the same in two files: where it is in the container.
pub(crate) fn mount_key(item: &Node, prefix: &str) -> Option<String> {
    match &item.value {
        Value::Scalar { text, .. } if prefix.is_empty() => {
            Some(text.split(':').nth(1).unwrap_or(text).trim_end_matches('/').to_owned())
        }
        Value::Scalar { text, .. } => Some(format!("{prefix}{text}")),
        _ => {
            let target = item.get("target").or_else(|| item.get("source")).and_then(Node::text)?;
            let bare = prefix.is_empty() || target.starts_with('/');
            Some(if bare { target.trim_end_matches('/').to_owned() } else { format!("{prefix}{target}") })
        }
    }
}
