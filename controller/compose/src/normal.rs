//! An app as a compose file again: what `omni deploy --check` prints, and what reads back to the same app.
//!
//! The shape is that of `docker-compose config` for the keys it knows: everything resolved, keys in order,
//! mappings rather than lists of pairs, `$` doubled.

mod group;
mod out;
mod service;

use crate::paths;
use crate::reading::Reading;
use omni_common::domain::app::{
    AppSpec, ConfigSource, FileOrigin, NetworkSpec, OmniOptions, PackedFile, SecretSource, Subnet, VolumeSpec,
};
use out::Out;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The app as YAML.
pub fn normalised(reading: &Reading) -> String {
    let mut document = document(reading);
    double_dollars(&mut document);
    serde_saphyr::to_string(&document).expect("text, numbers, lists and mappings can be written as YAML")
}

fn document(reading: &Reading) -> Json {
    let spec = &reading.spec;
    let mut out = Out::default();
    out.put("name", spec.name.clone());
    out.put("services", services(spec));
    let plain_default =
        |name: &str, network: &NetworkSpec| name == "default" && *network == NetworkSpec::default();
    let networks = spec.networks.iter().filter(|(name, network)| !plain_default(name, network));
    out.section("networks", networks.map(|(name, spec)| (name.clone(), network(spec))));
    out.section("volumes", spec.volumes.iter().map(|(name, spec)| (name.clone(), volume(spec))));
    out.section("configs", spec.configs.iter().map(|(name, source)| (name.clone(), config(source, reading))));
    out.section("secrets", spec.secrets.iter().map(|(name, source)| (name.clone(), secret(source))));
    let mut omni = Out::default();
    options(&spec.omni, &mut omni);
    out.object("x-omni", omni);
    out.into_json()
}

fn services(spec: &AppSpec) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::new();
    for (name, service) in &spec.services {
        let mut out = service::service(service);
        if let Some((group_name, group)) = spec.group_of(name) {
            group::add(name, service, group_name, group, spec, &mut out);
        }
        all.insert(name.to_string(), out.into_json());
    }
    all
}

fn options(options: &OmniOptions, out: &mut Out) {
    for (key, value) in [("backup", &options.backup), ("check", &options.check), ("route", &options.route)] {
        out.maybe(key, value.clone());
    }
}

fn network(spec: &NetworkSpec) -> Json {
    let mut out = Out::default();
    out.maybe("name", spec.name.clone());
    out.flag("external", spec.external);
    out.maybe("driver", spec.driver.clone());
    out.map("driver_opts", &spec.driver_opts);
    out.flag("attachable", spec.attachable);
    out.flag("internal", spec.internal);
    out.maybe("enable_ipv4", spec.enable_ipv4);
    out.maybe("enable_ipv6", spec.enable_ipv6);
    out.map("labels", &spec.labels);
    let mut ipam = Out::default();
    ipam.maybe("driver", spec.ipam_driver.clone());
    ipam.map("options", &spec.ipam_options);
    ipam.list("config", spec.subnets.iter().map(subnet));
    out.object("ipam", ipam);
    out.into_json()
}

fn subnet(spec: &Subnet) -> Json {
    let mut out = Out::default();
    out.maybe("subnet", spec.subnet.clone());
    out.maybe("ip_range", spec.ip_range.clone());
    out.maybe("gateway", spec.gateway.clone());
    out.map("aux_addresses", &spec.aux_addresses);
    out.into_json()
}

fn volume(spec: &VolumeSpec) -> Json {
    let mut out = Out::default();
    out.maybe("name", spec.name.clone());
    out.flag("external", spec.external);
    out.maybe("driver", spec.driver.clone());
    out.map("driver_opts", &spec.driver_opts);
    out.map("labels", &spec.labels);
    out.into_json()
}

fn config(source: &ConfigSource, reading: &Reading) -> Json {
    match source {
        ConfigSource::External(name) => external(name),
        ConfigSource::Packed(file) => {
            let text =
                reading.files.get(&file.content.digest).and_then(|bytes| std::str::from_utf8(bytes).ok());
            packed(file, text)
        }
    }
}

fn secret(source: &SecretSource) -> Json {
    match source {
        SecretSource::External(name) => external(name),
        SecretSource::Packed(file) => packed(file, None),
    }
}

fn external(name: &str) -> Json {
    let mut out = Out::default();
    out.put("name", name.to_owned());
    out.flag("external", true);
    out.into_json()
}

fn packed(file: &PackedFile, text: Option<&str>) -> Json {
    let mut out = Out::default();
    match &file.origin {
        FileOrigin::File(path) => out.put("file", paths::written(path)),
        FileOrigin::Environment(name) => out.put("environment", name.clone()),
        FileOrigin::Inline => out.put("content", text.unwrap_or_default().to_owned()),
        FileOrigin::Secret(name) => return external(name),
    }
    out.map("labels", &file.labels);
    out.into_json()
}

/// A dollar sign that is meant as one.
fn double_dollars(value: &mut Json) {
    match value {
        Json::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Json::Array(items) => items.iter_mut().for_each(double_dollars),
        Json::Object(entries) => entries.values_mut().for_each(double_dollars),
        _ => {}
    }
}
