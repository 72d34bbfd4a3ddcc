//! The top-level sections: networks, volumes, configs, secrets.

use super::Reader;
use super::field::Field;
use super::network::DEFAULT;
use crate::fault::{FaultKind, quoted};
use crate::input::{Reference, ReferenceKind};
use crate::paths::resolve;
use crate::report::{At, Report};
use crate::suggest;
use omni_common::domain::app::{
    AppSpec, ConfigSource, FileOrigin, FileRef, NetworkSpec, PackedFile, SecretSource, Subnet, VolumeSpec,
    check_app_name,
};
use std::collections::BTreeMap;

/// Reads those entries of the sections that a service uses.
pub(super) fn read(spec: &mut AppSpec, document: &Field<'_>, whole: bool, reader: &mut Reader<'_>) {
    reader.default_network |= reader.uses.get("networks").is_some_and(|uses| uses.contains_key(DEFAULT));
    for (name, part) in used(document, "networks", whole, reader) {
        spec.networks.insert(name.to_owned(), network(&part, reader.report));
    }
    if reader.default_network {
        spec.networks.entry(DEFAULT.to_owned()).or_default();
    }
    for (name, part) in used(document, "volumes", whole, reader) {
        spec.volumes.insert(name.to_owned(), volume(&part, reader.report));
    }
    for (name, part) in used(document, "configs", whole, reader) {
        let source = source(name, &part, false, reader);
        spec.configs.extend(source.map(|source| (name.to_owned(), source.into_config())));
    }
    for (name, part) in used(document, "secrets", whole, reader) {
        let source = source(name, &part, true, reader);
        spec.secrets.extend(source.map(|source| (name.to_owned(), source.into_secret())));
    }
}

/// Entries of a section that are used. Names that are used and not defined are faults; with `whole`, what is
/// defined and not used is noted.
fn used<'a>(
    document: &Field<'a>,
    section: &'static str,
    whole: bool,
    reader: &mut Reader<'_>,
) -> Vec<(&'a str, Field<'a>)> {
    let entries = document.get(section).map(|field| field.entries(reader.report)).unwrap_or_default();
    let uses = reader.uses.remove(section).unwrap_or_default();
    let implied = |name: &str| section == "networks" && name == DEFAULT;
    for (name, places) in &uses {
        if entries.iter().any(|(known, _)| known == name) || implied(name) {
            continue;
        }
        let singular = section.trim_end_matches('s');
        let message = format!("there is no {singular} `{}`", quoted(name));
        let near = suggest::nearest(name, entries.iter().map(|(known, _)| *known));
        let hint = near.map_or_else(
            || format!("define it under the top-level `{section}`"),
            |near| format!("did you mean `{near}`? Else define it under the top-level `{section}`"),
        );
        for (at, path) in places {
            reader.report.fault(*at, path, FaultKind::Reference, message.clone(), &hint);
        }
    }
    let (kept, unused): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(name, _)| uses.contains_key(*name) || implied(name) && reader.default_network);
    for (_, part) in unused.iter().filter(|(name, _)| whole && !implied(name)) {
        part.note(reader.report, "no service uses it: it is not part of the app");
    }
    for (name, part) in &kept {
        if let Err(error) = check_app_name(name) {
            part.wrong(reader.report, error.to_string(), "");
        }
    }
    kept
}

/// Whether it exists on its own, and its name: `external: true`, or the older `external: {name: …}`.
fn external(field: &Field<'_>, report: &mut Report) -> (bool, Option<String>) {
    let name = field.get("name").and_then(|field| field.text(report));
    let Some(external) = field.get("external") else { return (false, name) };
    if external.is_mapping() {
        let older = external.get("name").and_then(|field| field.text(report));
        return (true, name.or(older));
    }
    let external_is = external.boolean(report).unwrap_or_default();
    (external_is, name)
}

/// With something that exists on its own, only its name can be said.
fn check_external(field: &Field<'_>, report: &mut Report) {
    for (key, part) in field.entries(report) {
        if !matches!(key, "external" | "name" | "labels") && !part.node.is_null() {
            let message =
                format!("`{key}` and `external` exclude each other: what exists on its own is used as it is");
            part.fault(report, FaultKind::Conflict, message, "keep one of them");
        }
    }
}

fn network(field: &Field<'_>, report: &mut Report) -> NetworkSpec {
    let (is_external, name) = external(field, report);
    if is_external {
        check_external(field, report);
        let own = field.path.rsplit('.').next().unwrap_or("").to_owned();
        return NetworkSpec { name: Some(name.unwrap_or(own)), external: true, ..NetworkSpec::default() };
    }
    let flag = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.boolean(report));
    let map =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.map(report)).unwrap_or_default();
    let driver = field.get("driver").and_then(|field| field.text(report)).filter(|driver| !driver.is_empty());
    if driver.as_deref() == Some("overlay") {
        let hint = "take out the driver: services that talk to each other are placed on one host as a group";
        let at = field.get("driver").map_or(field.at(), |field| field.at());
        let message = "there is no network across hosts";
        report.fault(at, &format!("{}.driver", field.path), FaultKind::Unsupported, message, hint);
    }
    let ipam = field.get("ipam");
    let subnets = ipam
        .as_ref()
        .and_then(|ipam| ipam.get("config"))
        .map(|field| field.items(report))
        .unwrap_or_default();
    NetworkSpec {
        name,
        external: false,
        driver,
        driver_opts: map("driver_opts", report),
        attachable: flag("attachable", report).unwrap_or_default(),
        internal: flag("internal", report).unwrap_or_default(),
        enable_ipv4: flag("enable_ipv4", report),
        enable_ipv6: flag("enable_ipv6", report),
        ipam_driver: ipam
            .as_ref()
            .and_then(|ipam| ipam.get("driver"))
            .and_then(|field| field.text(report))
            .filter(|driver| driver != "default"),
        ipam_options: ipam
            .as_ref()
            .and_then(|ipam| ipam.get("options"))
            .map(|field| field.map(report))
            .unwrap_or_default(),
        subnets: subnets.iter().map(|item| subnet(item, report)).collect(),
        labels: map("labels", report),
    }
}

fn subnet(item: &Field<'_>, report: &mut Report) -> Subnet {
    let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
    let range = |text: &Option<String>| {
        text.as_ref().is_none_or(|text| {
            let parts = text.split_once('/');
            parts.is_some_and(|(ip, bits)| {
                ip.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|b| b <= 128)
            })
        })
    };
    let subnet = Subnet {
        subnet: text("subnet", report),
        ip_range: text("ip_range", report),
        gateway: text("gateway", report),
        aux_addresses: item.get("aux_addresses").map(|field| field.map(report)).unwrap_or_default(),
    };
    if !range(&subnet.subnet) || !range(&subnet.ip_range) {
        item.wrong(report, "an address range is written as `ADDRESS/BITS`", "e.g. `172.28.0.0/16`");
    }
    subnet
}

fn volume(field: &Field<'_>, report: &mut Report) -> VolumeSpec {
    let (is_external, name) = external(field, report);
    if is_external {
        check_external(field, report);
        let own = field.path.rsplit('.').next().unwrap_or("").to_owned();
        return VolumeSpec { name: Some(name.unwrap_or(own)), external: true, ..VolumeSpec::default() };
    }
    let map =
        |key: &str, report: &mut Report| field.get(key).map(|field| field.map(report)).unwrap_or_default();
    VolumeSpec {
        name,
        external: false,
        driver: field.get("driver").and_then(|field| field.text(report)).filter(|driver| !driver.is_empty()),
        driver_opts: map("driver_opts", report),
        labels: map("labels", report),
    }
}

/// Where a config or secret comes from.
enum Source {
    Packed(PackedFile),
    External(String),
}

impl Source {
    fn into_config(self) -> ConfigSource {
        match self {
            Self::Packed(file) => ConfigSource::Packed(file),
            Self::External(name) => ConfigSource::External(name),
        }
    }

    fn into_secret(self) -> SecretSource {
        match self {
            Self::Packed(file) => SecretSource::Packed(file),
            Self::External(name) => SecretSource::External(name),
        }
    }
}

fn source(name: &str, field: &Field<'_>, secret: bool, reader: &mut Reader<'_>) -> Option<Source> {
    let (is_external, given) = external(field, reader.report);
    if is_external {
        check_external(field, reader.report);
        return Some(Source::External(given.unwrap_or_else(|| name.to_owned())));
    }
    let ways = ["file", "environment", "content"];
    let found: Vec<(&str, Field<'_>)> = ways.iter().filter_map(|way| Some((*way, field.get(way)?))).collect();
    let [(way, part)] = found.as_slice() else {
        let message =
            if found.is_empty() { "nothing says where it comes from" } else { "it comes from two places" };
        field.wrong(
            reader.report,
            message,
            "write one of `file`, `environment`, `content` and `external: true`",
        );
        return None;
    };
    let (content, origin) = match *way {
        "file" => from_file(part, secret, reader)?,
        "environment" => from_environment(part, secret, reader)?,
        _ => {
            let text = part.text(reader.report)?;
            (reader.pack(text.into_bytes(), 0o444, secret), FileOrigin::Inline)
        }
    };
    let labels: BTreeMap<String, String> =
        field.get("labels").map(|field| field.map(reader.report)).unwrap_or_default();
    Some(Source::Packed(PackedFile { content, origin, labels }))
}

fn from_file(field: &Field<'_>, secret: bool, reader: &mut Reader<'_>) -> Option<(FileRef, FileOrigin)> {
    let text = field.text(reader.report)?;
    let path = match resolve(reader.report.base(field.at()), &text) {
        Ok(path) => path,
        Err(outside) => {
            let (why, hint) = outside.explain();
            let hint = if secret {
                "move it into the project folder, or use `external: true` for a secret of the platform"
            } else {
                hint
            };
            field.fault(reader.report, FaultKind::Reference, format!("`{}` {why}", quoted(&text)), hint);
            return None;
        }
    };
    let given = reader.input.project_files.get(&path);
    reader.report.refer(Reference {
        path: path.clone(),
        kind: ReferenceKind::Content,
        optional: false,
        writable: false,
        given: given.is_some() || reader.input.left_out.contains(&path),
    });
    let Some(file) = given else {
        reader.report.need(
            field.at(),
            &field.path,
            &path,
            format!("the file `{}` was not packed", quoted(&path)),
        );
        return None;
    };
    let in_app = reader.in_app(&path);
    Some((reader.pack(file.bytes.clone(), file.mode, secret), FileOrigin::File(in_app)))
}

fn from_environment(
    field: &Field<'_>,
    secret: bool,
    reader: &mut Reader<'_>,
) -> Option<(FileRef, FileOrigin)> {
    let name = field.text(reader.report)?;
    let Some(value) = reader.variables.get(&name).cloned() else {
        let message = format!("the variable `{}` is not set", quoted(&name));
        let hint = "set it in .env, in the environment, or with --set NAME=value";
        field.fault(reader.report, FaultKind::Variable, message, hint);
        return None;
    };
    Some((reader.pack(value.into_bytes(), 0o444, secret), FileOrigin::Environment(name)))
}

/// Places at which a name is used.
pub(super) type Uses = BTreeMap<String, Vec<(At, String)>>;
