//! A definition written from what the engine says of a project's containers, less what their images say. Pure.
//!
//! The definition is a compose file with everything resolved. What it cannot say is told in a note and never left out in
//! silence.

use super::super::AppError;
use super::fit::{self, keys, pairs, text, texts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{PackedFile, Project};
use omni_common::domain::{FoundContainer, FoundProject};
use omni_compose::Input;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the file.
const FILE: &str = "compose.yaml";
/// Label in which newer versions of compose keep what a service waits for: `db:service_healthy:false,…`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// What of a container's host configuration is written, or says nothing that another container would lack.
const KNOWN: &[&str] = &[
    "AutoRemove",
    "Binds",
    "BlkioWeight",
    "CapAdd",
    "CapDrop",
    "Cgroup",
    "CgroupParent",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "Init",
    "IOMaximumBandwidth",
    "IOMaximumIOps",
    "IpcMode",
    "Isolation",
    "Links",
    "LogConfig",
    "MaskedPaths",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Runtime",
    "SecurityOpt",
    "ShmSize",
    "Sysctls",
    "Tmpfs",
    "VolumesFrom",
];

/// The project and what its definition cannot say.
pub(super) fn project(found: &FoundProject) -> Result<(Project, Vec<String>), AppError> {
    let mut notes = Vec::new();
    let mut services: BTreeMap<&str, Vec<&FoundContainer>> = BTreeMap::new();
    for one in &found.containers {
        services.entry(&one.service).or_default().push(one);
    }
    let (mut networks, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    let mut written = Map::new();
    for (name, mut all) in services {
        all.sort_by_key(|one| one.number);
        let Some(first) = all.first() else { continue };
        let mut service = service(name, first, &mut notes);
        let given = fit::text(&first.inspect, "/Name").map(|name| name.trim_start_matches('/').to_owned());
        // What compose itself calls it, in its older and its newer way.
        let usual = ["_", "-"].map(|dash| format!("{}{dash}{name}{dash}{}", found.name, first.number));
        if let Some(given) = given.filter(|given| all.len() == 1 && !usual.contains(given)) {
            service.insert("container_name".to_owned(), given.into());
        }
        let joined = joined(first);
        if !joined.is_empty() {
            service.insert("networks".to_owned(), joined.iter().cloned().collect());
        }
        networks.extend(joined);
        volumes
            .extend(fit::mounts(&first.inspect).into_iter().filter(|one| one.volume).map(|one| one.source));
        if all.len() > 1 {
            service.insert("scale".to_owned(), all.len().into());
        }
        written.insert(name.to_owned(), Value::Object(service));
    }
    // They are there, and go on being used: nobody makes them, and nobody removes them.
    let external = |names: BTreeSet<String>| -> Map<String, Value> {
        names.into_iter().map(|name| (name, json!({"external": true}))).collect()
    };
    let mut document = json!({"name": found.name, "services": written});
    for (key, section) in [("networks", external(networks)), ("volumes", external(volumes))] {
        if !section.is_empty() {
            document[key] = Value::Object(section);
        }
    }
    double_dollars(&mut document);
    let input =
        Input { files: vec![(FILE.to_owned(), document.to_string().into_bytes())], ..Input::default() };
    let reading = omni_compose::read(&input).map_err(AppError::Project)?;
    let text = omni_compose::normalised(&reading);
    let file = PackedFile { content: STANDARD.encode(text), mode: 0o644 };
    let project = Project {
        compose: vec![FILE.to_owned()],
        files: BTreeMap::from([(FILE.to_owned(), file)]),
        name: Some(found.name.clone()),
        ..Project::default()
    };
    Ok((project, notes))
}

/// The reader would take what follows a dollar for a variable.
fn double_dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace('$', "$$"),
        Value::Array(items) => items.iter_mut().for_each(double_dollars),
        Value::Object(map) => map.values_mut().for_each(double_dollars),
        _ => {}
    }
}

fn joined(one: &FoundContainer) -> BTreeSet<String> {
    match special_network(one) {
        Some(_) => BTreeSet::new(),
        None => keys(&one.inspect, "/NetworkSettings/Networks"),
    }
}

/// A network mode that is no network's name.
fn special_network(one: &FoundContainer) -> Option<String> {
    let mode = text(&one.inspect, "/HostConfig/NetworkMode")?;
    (matches!(mode.as_str(), "host" | "none" | "bridge") || mode.starts_with("container:")).then_some(mode)
}

fn service(name: &str, one: &FoundContainer, notes: &mut Vec<String>) -> Map<String, Value> {
    let (runs, image) = (&one.inspect, one.image.clone().unwrap_or_default());
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(number) => number.as_f64() == Some(0.0),
            _ => false,
        };
        if !empty {
            out.insert(key.to_owned(), value);
        }
    };
    put("image", json!(text(runs, "/Config/Image")));
    let own = |key: &str| {
        let runs = texts(runs, &format!("/Config/{key}"));
        (runs != texts(&image, &format!("/{key}"))).then_some(runs).flatten()
    };
    let entrypoint = own("Entrypoint");
    let command = if entrypoint.is_some() { texts(runs, "/Config/Cmd") } else { own("Cmd") };
    put("entrypoint", json!(entrypoint));
    put("command", json!(command));
    let base = pairs(&image, "/Env");
    let mut environment = pairs(runs, "/Config/Env");
    environment.retain(|name, value| base.get(name) != Some(value));
    put("environment", json!(environment));
    for (key, pointer) in [("user", "User"), ("working_dir", "WorkingDir"), ("stop_signal", "StopSignal")] {
        let value = text(runs, &format!("/Config/{pointer}"));
        put(key, json!(value.filter(|value| text(&image, &format!("/{pointer}")).as_ref() != Some(value))));
    }
    // A name that nobody gave is the beginning of the id.
    let hostname = text(runs, "/Config/Hostname").filter(|name| !one.id.starts_with(name.as_str()));
    let mode = special_network(one);
    put("hostname", json!(hostname.filter(|_| mode.as_deref() != Some("host"))));
    if let Some(mode) = mode {
        if mode.starts_with("container:") {
            notes.push(format!("{name}: shares the network of another container, by an id that changes: write `network_mode: service:NAME`"));
        }
        put("network_mode", json!(mode));
    }
    put("labels", json!(labels(runs, &image)));
    let check =
        runs.pointer("/Config/Healthcheck").filter(|check| image.pointer("/Healthcheck") != Some(check));
    put("healthcheck", check.map(healthcheck).unwrap_or_default());
    put("volumes", Value::Array(fit::mounts(runs).into_iter().map(mount).collect()));
    put("ports", Value::Array(fit::published(runs).into_iter().map(port).collect()));
    put("depends_on", depends_on(runs));
    put("restart", restart(runs));
    host(runs, &mut put);
    for key in unknown(runs) {
        notes.push(format!("{name}: HostConfig.{key} is not written into the definition, and would be missing in a container that omni makes"));
    }
    out
}

fn host(runs: &Value, put: &mut impl FnMut(&str, Value)) {
    let at = |key: &str| runs.pointer(&format!("/HostConfig/{key}")).cloned().unwrap_or_default();
    for (key, own) in [
        ("privileged", "Privileged"),
        ("read_only", "ReadonlyRootfs"),
        ("cap_add", "CapAdd"),
        ("cap_drop", "CapDrop"),
        ("dns", "Dns"),
        ("dns_opt", "DnsOptions"),
        ("dns_search", "DnsSearch"),
        ("extra_hosts", "ExtraHosts"),
        ("init", "Init"),
        ("security_opt", "SecurityOpt"),
        ("sysctls", "Sysctls"),
        ("mem_limit", "Memory"),
        ("mem_reservation", "MemoryReservation"),
        ("pids_limit", "PidsLimit"),
    ] {
        put(key, at(own));
    }
    put("tty", runs.pointer("/Config/Tty").cloned().unwrap_or_default());
    put("stdin_open", runs.pointer("/Config/OpenStdin").cloned().unwrap_or_default());
    let cpus = at("NanoCpus").as_f64().unwrap_or(0.0) / 1e9;
    put("cpus", if cpus > 0.0 { json!(cpus) } else { Value::Null });
    for (key, own) in [("pid", "PidMode"), ("ipc", "IpcMode")] {
        put(key, if at(own) == json!("host") { json!("host") } else { Value::Null });
    }
    let runtime = at("Runtime");
    put("runtime", if runtime == json!("runc") || runtime == json!("") { Value::Null } else { runtime });
    // 64 MiB is the engine's own.
    let shm = at("ShmSize");
    put("shm_size", if shm == json!(64 << 20) { Value::Null } else { shm });
    let tmpfs = at("Tmpfs");
    let tmpfs = tmpfs.as_object().into_iter().flatten().map(|(target, options)| {
        match options.as_str().unwrap_or_default() {
            "" => json!(target),
            options => json!(format!("{target}:{options}")),
        }
    });
    put("tmpfs", Value::Array(tmpfs.collect()));
    let device = |one: &Value| {
        let part = |key: &str| text(one, key).unwrap_or_default();
        json!(format!("{}:{}:{}", part("/PathOnHost"), part("/PathInContainer"), part("/CgroupPermissions")))
    };
    put("devices", at("Devices").as_array().into_iter().flatten().map(device).collect());
    if at("LogConfig").pointer("/Type").is_some_and(|driver| *driver != json!("json-file"))
        || at("LogConfig").pointer("/Config").and_then(Value::as_object).is_some_and(|map| !map.is_empty())
    {
        put("logging", json!({"driver": at("LogConfig")["Type"], "options": at("LogConfig")["Config"]}));
    }
}

/// What somebody has labelled the container with: neither its image nor compose.
fn labels(runs: &Value, image: &Value) -> BTreeMap<String, String> {
    let of = |value: &Value, pointer: &str| -> BTreeMap<String, String> {
        let map = value.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let base = of(image, "/Labels");
    let mut labels = of(runs, "/Config/Labels");
    labels.retain(|key, value| !key.starts_with("com.docker.compose.") && base.get(key) != Some(value));
    labels
}

fn mount(one: fit::Mounted) -> Value {
    let kind = if one.volume { "volume" } else { "bind" };
    json!({"type": kind, "source": one.source, "target": one.target, "read_only": one.read_only})
}

fn port((inner, address, host): fit::Published) -> Value {
    let (target, protocol) = inner.split_once('/').unwrap_or((&inner, "tcp"));
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    let text = match (address.is_empty(), host.is_empty()) {
        (true, true) => format!("{target}/{protocol}"),
        (true, false) => format!("{host}:{target}/{protocol}"),
        (false, _) => format!("{address}:{host}:{target}/{protocol}"),
    };
    json!(text)
}

fn restart(runs: &Value) -> Value {
    match text(runs, "/HostConfig/RestartPolicy/Name").as_deref() {
        None | Some("no") => Value::Null,
        Some("on-failure") => {
            let most = runs.pointer("/HostConfig/RestartPolicy/MaximumRetryCount").and_then(Value::as_u64);
            json!(
                most.filter(|most| *most > 0)
                    .map_or_else(|| "on-failure".to_owned(), |most| format!("on-failure:{most}"))
            )
        }
        Some(other) => json!(other),
    }
}

fn depends_on(runs: &Value) -> Value {
    let labels = runs.pointer("/Config/Labels").and_then(|labels| labels.get(DEPENDS_ON));
    let list = labels.and_then(Value::as_str).unwrap_or_default();
    let one = |text: &str| {
        let mut parts = text.split(':');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let condition = parts.next().unwrap_or("service_started");
        Some((name.to_owned(), json!({"condition": condition})))
    };
    Value::Object(list.split(',').filter_map(one).collect())
}

/// Times are nanoseconds there.
fn healthcheck(check: &Value) -> Value {
    let mut out = Map::new();
    if let Some(test) = texts(check, "/Test") {
        out.insert("test".to_owned(), json!(test));
    }
    let times = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ];
    for (key, own) in times {
        let nanos = check.get(own).and_then(Value::as_u64).unwrap_or(0);
        if nanos > 0 {
            out.insert(key.to_owned(), json!(format!("{}ms", nanos / 1_000_000)));
        }
    }
    if let Some(retries) = check.get("Retries").and_then(Value::as_u64).filter(|retries| *retries > 0) {
        out.insert("retries".to_owned(), json!(retries));
    }
    Value::Object(out)
}

/// Settings that the definition does not hold.
fn unknown(runs: &Value) -> Vec<String> {
    let map = runs.pointer("/HostConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    };
    map.into_iter()
        .filter(|(key, value)| !KNOWN.contains(&key.as_str()) && says(value))
        .map(|(key, _)| key)
        .collect()
}
