//! The real tool beside it: Debian's `docker-compose config` of a file, and of what omni prints of the same file,
//! have to agree in every key that it knows.
//!
//! Both outputs are put into one shape first (lists of pairs as mappings, sizes in bytes, short syntax as long):
//! the tool leaves such things as they were written. What it cannot read is taken out of both. The differences that
//! remain, and why, stand in `corpus/README.md`.

use crate::corpus::{names, reading, root};
use omni_compose::normalised;
use serde_json::{Map, Value as Json};
use std::process::Command;

/// Keys of a service that docker-compose 1.29 does not know, or that it only knows in another section.
const UNKNOWN: [&str; 10] = [
    "x-omni",
    "gpus",
    "annotations",
    "attach",
    "develop",
    "post_start",
    "pre_stop",
    "pull_policy",
    "uts",
    "label_file",
];

/// The tool takes most of a second to begin; several of it at a time keep the test short.
const AT_A_TIME: usize = 4;

#[test]
fn the_real_tool_reads_the_same() {
    let names = names();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = names
            .chunks(names.len().div_ceil(AT_A_TIME))
            .map(|part| scope.spawn(move || part.iter().flat_map(|name| compare(name)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("a part of the corpus")).collect()
    });
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the tool makes of a file and of what omni prints of it, where that differs.
fn compare(name: &str) -> Vec<String> {
    let (_, reading) = reading(name);
    let source = std::fs::read_to_string(root().join(name).join("docker-compose.yml")).expect("a file");
    let Some(original) = config(name, &known_only(&parse(&source))) else {
        return vec![format!("{name}: docker-compose refuses the file")];
    };
    let Some(printed) = config(name, &known_only(&parse(&normalised(&reading)))) else {
        return vec![format!("{name}: docker-compose refuses what omni prints")];
    };
    let (original, printed) = (shaped(original), shaped(printed));
    let mut wrong = Vec::new();
    differences("", &original, &printed, &mut |path, a, b| wrong.push(format!("{name}: {path}: {a} / {b}")));
    wrong
}

fn parse(text: &str) -> Json {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).expect("YAML")
}

/// What `docker-compose config` makes of a document in the folder of a corpus file, every profile on.
fn config(name: &str, document: &Json) -> Option<Json> {
    let folder = root().join(name);
    let file = tempfile::Builder::new().suffix(".yml").tempfile().expect("a file");
    std::fs::write(file.path(), serde_json::to_vec(document).expect("JSON")).expect("it is written");
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let output = Command::new("docker-compose")
        .args(["--project-name", name, "--project-directory"])
        .arg(&folder)
        .args(["--env-file"])
        .arg(if folder.join(".env").is_file() { folder.join(".env") } else { empty.path().to_owned() })
        .args(profiles(document).iter().flat_map(|profile| ["--profile", profile]))
        .arg("--file")
        .arg(file.path())
        .arg("config")
        .output()
        .expect("docker-compose runs; Debian's package docker-compose has it");
    if !output.status.success() {
        eprintln!("{name}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(parse(&String::from_utf8(output.stdout).expect("UTF-8")))
}

fn profiles(document: &Json) -> Vec<&str> {
    let services = document["services"].as_object().into_iter().flat_map(Map::values);
    services.filter_map(|service| service["profiles"].as_array()).flatten().filter_map(Json::as_str).collect()
}

/// The document without what docker-compose 1.29 cannot read.
fn known_only(document: &Json) -> Json {
    let mut document = document.clone();
    let Some(top) = document.as_object_mut() else { return document };
    top.retain(|key, _| key != "name" && !key.starts_with("x-"));
    top.insert("version".to_owned(), Json::from("3.9"));
    let sections = top.get_mut("configs").and_then(Json::as_object_mut);
    for config in sections.into_iter().flat_map(Map::values_mut).filter_map(Json::as_object_mut) {
        if let Some(content) = config.remove("content") {
            config.insert(
                "file".to_owned(),
                Json::from(format!("./inline-{}", content.as_str().map_or(0, str::len))),
            );
        }
    }
    for service in services(top) {
        if service.get("gpus").and_then(Json::as_str) == Some("all") {
            // The one word that 1.29 has another spelling for.
            let devices = serde_json::json!({ "resources": { "reservations": {
                "devices": [{ "capabilities": ["gpu"], "count": "all" }],
            } } });
            service.insert("deploy".to_owned(), devices);
        }
        service.retain(|key, _| !UNKNOWN.contains(&key.as_str()));
        each(service, "healthcheck", |check| {
            check.retain(|key, value| !(key == "disable" && value == false))
        });
        service.retain(|key, value| !(key == "healthcheck" && value.as_object().is_some_and(Map::is_empty)));
        each(service, "environment", |variables| {
            for value in variables.values_mut().filter(|value| value.is_boolean()) {
                *value = Json::from(value.to_string());
            }
        });
        each(service, "healthcheck", |check| drop(check.remove("start_interval")));
        each(service, "depends_on", |depends| {
            for one in depends.values_mut().filter_map(Json::as_object_mut) {
                one.retain(|key, _| key == "condition");
            }
        });
        for key in ["configs", "secrets"] {
            for mount in service.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten() {
                if let Some(mode) = mount.get_mut("mode").filter(|mode| mode.is_string()) {
                    *mode = Json::from(i64::from_str_radix(mode.as_str().unwrap_or("0"), 8).unwrap_or(0));
                }
            }
        }
        each(service, "deploy", |deploy| {
            each(deploy, "resources", |resources| {
                each(resources, "limits", |limits| drop(limits.remove("pids")));
                each(resources, "reservations", |kept| {
                    for device in kept.get_mut("devices").and_then(Json::as_array_mut).into_iter().flatten() {
                        if let Some(device) = device.as_object_mut() {
                            device.retain(|key, _| key != "options");
                        }
                    }
                });
            });
        });
    }
    document
}

fn services(top: &mut Map<String, Json>) -> impl Iterator<Item = &mut Map<String, Json>> {
    top.get_mut("services")
        .and_then(Json::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .filter_map(Json::as_object_mut)
}

fn each(of: &mut Map<String, Json>, key: &str, change: impl FnOnce(&mut Map<String, Json>)) {
    if let Some(below) = of.get_mut(key).and_then(Json::as_object_mut) {
        change(below);
    }
}

/// One shape for what can be written in several.
fn shaped(mut document: Json) -> Json {
    let Some(top) = document.as_object_mut() else { return document };
    top.remove("version");
    let used = used(top);
    for section in ["volumes", "networks", "configs", "secrets"] {
        each(top, section, |entries| {
            // omni leaves out what no service uses.
            entries.retain(|name, _| used.contains(&format!("{section}.{name}")));
            for entry in entries.values_mut() {
                shape_entry(entry);
            }
        });
        if top.get(section).and_then(Json::as_object).is_some_and(Map::is_empty) {
            top.remove(section);
        }
    }
    for service in services(top) {
        shape_service(service);
    }
    document
}

fn used(top: &Map<String, Json>) -> std::collections::BTreeSet<String> {
    let mut used = std::collections::BTreeSet::new();
    for service in top["services"].as_object().into_iter().flat_map(Map::values) {
        for section in ["networks", "configs", "secrets", "volumes"] {
            let names: Vec<String> = match &service[section] {
                Json::Object(entries) => entries.keys().cloned().collect(),
                Json::Array(items) => items.iter().filter_map(source_of).collect(),
                _ => Vec::new(),
            };
            used.extend(names.into_iter().map(|name| format!("{section}.{name}")));
        }
    }
    used
}

fn source_of(item: &Json) -> Option<String> {
    let text = item.as_str().map(|text| text.split(':').next().unwrap_or(text));
    text.or_else(|| item["source"].as_str()).map(str::to_owned)
}

fn shape_entry(entry: &mut Json) {
    if entry.is_null() {
        *entry = Json::Object(Map::new());
    }
    let Some(entry) = entry.as_object_mut() else { return };
    if entry.get("external").is_some_and(|external| external != &Json::Bool(false)) {
        // Both say the name; the tool leaves it out when it is that of the entry.
        entry.insert("external".to_owned(), Json::Bool(true));
        entry.remove("name");
    }
    entry.retain(|key, value| !(key == "external" && value == false));
    each(entry, "ipam", |ipam| ipam.retain(|key, value| !(key == "driver" && value == "default")));
}

fn shape_service(service: &mut Map<String, Json>) {
    let volumes = take_list(service, "volumes");
    let mut volumes: Vec<String> = volumes.iter().map(shape_volume).collect();
    volumes.sort();
    put(service, "volumes", volumes);
    let mut ports: Vec<String> = take_list(service, "ports").iter().flat_map(shape_port).collect();
    ports.sort();
    ports.dedup();
    put(service, "ports", ports);
    for key in ["command", "entrypoint"] {
        if let Some(Json::String(text)) = service.get(key) {
            let words = shlex(text);
            service.insert(key.to_owned(), Json::from(words));
        }
    }
    each(service, "healthcheck", |check| {
        if let Some(Json::String(text)) = check.get("test") {
            let test = Json::from(vec!["CMD-SHELL".to_owned(), text.clone()]);
            check.insert("test".to_owned(), test);
        }
    });
    for key in [
        "dns",
        "dns_search",
        "tmpfs",
        "cap_add",
        "cap_drop",
        "expose",
        "extra_hosts",
        "links",
        "security_opt",
    ] {
        let mut items: Vec<String> = match service.remove(key) {
            Some(Json::String(text)) => vec![text],
            Some(Json::Array(items)) => items.iter().map(plain).collect(),
            Some(Json::Object(entries)) => {
                entries.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect()
            }
            _ => Vec::new(),
        };
        if key == "expose" {
            items = items.iter().map(|port| port.trim_end_matches("/tcp").to_owned()).collect();
        }
        if key == "links" {
            items = items
                .iter()
                .map(|link| if link.contains(':') { link.clone() } else { format!("{link}:{link}") })
                .collect();
        }
        items.sort();
        put(service, key, items);
    }
    each(service, "ulimits", |limits| {
        for limit in limits.values_mut() {
            if limit["soft"] == limit["hard"] && limit.is_object() {
                *limit = limit["soft"].clone();
            }
        }
    });
    let devices = take_list(service, "devices").iter().map(plain).map(shape_device).collect();
    put(service, "devices", devices);
    let of_service = service.get("deploy").and_then(|deploy| deploy["labels"].as_object().cloned());
    if let Some(more) = of_service {
        let labels = service.entry("labels").or_insert_with(|| Json::Object(Map::new()));
        for (name, value) in more {
            labels[name] = value;
        }
    }
    shape_network(service);
    shape_limits(service);
    for key in ["configs", "secrets"] {
        shape_files(service, key);
    }
    for (key, default) in [
        ("init", Json::Null),
        ("privileged", Json::Bool(false)),
        ("tty", Json::Bool(false)),
        ("read_only", Json::Bool(false)),
        ("stdin_open", Json::Bool(false)),
    ] {
        if service.get(key) == Some(&default) {
            service.remove(key);
        }
    }
    service.remove("profiles");
    for value in service.values_mut() {
        texts_only(value);
    }
    service.retain(|_, value| {
        !matches!(value, Json::Array(items) if items.is_empty())
            && !matches!(value, Json::Object(items) if items.is_empty())
    });
}

fn shape_network(service: &mut Map<String, Json>) {
    if service.get("network_mode").and_then(Json::as_str) == Some("host") {
        service.remove("ports");
    }
    if let Some(networks) = service.get_mut("networks").and_then(Json::as_object_mut) {
        for join in networks.values_mut() {
            if join.is_null() {
                *join = Json::Object(Map::new());
            }
        }
        if networks.len() == 1
            && networks.get("default").is_some_and(|join| join == &Json::Object(Map::new()))
        {
            service.remove("networks");
        }
    }
}

/// The older keys of a service and those of `deploy` say the same.
fn shape_limits(service: &mut Map<String, Json>) {
    let mut limits = Map::new();
    for (old, new) in [("mem_limit", "memory"), ("cpus", "cpus")] {
        if let Some(value) = service.remove(old) {
            limits.insert(new.to_owned(), value);
        }
    }
    service.remove("pids_limit");
    let reservation = service.remove("mem_reservation");
    let scale = service.remove("scale");
    let deploy = service.entry("deploy").or_insert_with(|| Json::Object(Map::new()));
    let Some(deploy) = deploy.as_object_mut() else { return };
    if let Some(scale) = scale {
        deploy.insert("replicas".to_owned(), scale);
    }
    // omni puts them on the containers.
    deploy.remove("labels");
    deploy.retain(|key, value| !(key == "replicas" && value == 1 || key == "mode" && value == "replicated"));
    let resources = deploy.remove("resources").unwrap_or_default();
    let mut kept = resources["reservations"].as_object().cloned().unwrap_or_default();
    if let Some(memory) = reservation {
        kept.entry("memory").or_insert(memory);
    }
    for (key, value) in resources["limits"].as_object().into_iter().flatten() {
        limits.insert(key.clone(), value.clone());
    }
    for amounts in [&mut limits, &mut kept] {
        if let Some(memory) = amounts.get_mut("memory") {
            *memory = Json::from(bytes(&plain(memory)));
        }
        if let Some(cpus) = amounts.get_mut("cpus") {
            *cpus = Json::from(format!("{}", plain(cpus).parse::<f64>().unwrap_or_default()));
        }
    }
    deploy.insert("limits".to_owned(), Json::Object(limits));
    deploy.insert("reservations".to_owned(), Json::Object(kept));
    deploy.retain(|_, value| value.as_object().is_none_or(|value| !value.is_empty()));
    if let Some(policy) = deploy.remove("restart_policy") {
        let condition = policy["condition"].as_str().unwrap_or("any").to_owned();
        let policy = match (condition.as_str(), policy["max_attempts"].as_u64()) {
            ("none", _) => "no".to_owned(),
            ("on-failure", Some(count)) => format!("on-failure:{count}"),
            ("on-failure", None) => "on-failure".to_owned(),
            _ => "unless-stopped".to_owned(),
        };
        service.entry("restart").or_insert(Json::from(policy));
    }
    if let Some(size) = service.get_mut("shm_size") {
        *size = Json::from(bytes(&plain(size)));
    }
}

fn shape_files(service: &mut Map<String, Json>, key: &str) {
    let prefix = if key == "secrets" { "/run/secrets/" } else { "/" };
    for mount in service.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten() {
        let source = source_of(mount).unwrap_or_default();
        let target = mount["target"].as_str().unwrap_or(&source);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("{prefix}{target}") };
        let mut entry = mount.as_object().cloned().unwrap_or_default();
        entry.insert("source".to_owned(), Json::from(source));
        entry.insert("target".to_owned(), Json::from(target));
        *mount = Json::Object(entry);
    }
}

fn take_list(service: &mut Map<String, Json>, key: &str) -> Vec<Json> {
    service.remove(key).and_then(|value| value.as_array().cloned()).unwrap_or_default()
}

fn put(service: &mut Map<String, Json>, key: &str, items: Vec<String>) {
    if !items.is_empty() {
        service.insert(key.to_owned(), Json::from(items));
    }
}

fn shape_device(text: String) -> String {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        [path] => format!("{path}:{path}:rwm"),
        [path, target] => format!("{path}:{target}:rwm"),
        _ => text,
    }
}

fn shape_volume(volume: &Json) -> String {
    if let Some(text) = volume.as_str() {
        let parts: Vec<&str> = text.split(':').collect();
        let mut words: Vec<&str> = parts.get(2).map(|mode| mode.split(',').collect()).unwrap_or_default();
        words.retain(|word| *word != "rw");
        words.sort_unstable();
        let mode = words.join(",");
        return match parts.as_slice() {
            [target] => format!("volume  {target} "),
            [source, target, ..] => {
                let kind = if source.starts_with('/') { "bind" } else { "volume" };
                format!("{kind} {source} {} {mode}", target.trim_end_matches('/'))
            }
            [] => String::new(),
        };
    }
    let mode = if volume["read_only"] == true { "ro" } else { "" };
    let text = |key: &str| volume[key].as_str().unwrap_or("").to_owned();
    format!("{} {} {} {mode}", text("type"), text("source"), text("target"))
}

fn shape_port(port: &Json) -> Vec<String> {
    let text = match port {
        Json::Object(entry) => {
            let published = entry.get("published").map(plain).unwrap_or_default();
            let protocol = entry.get("protocol").map_or("tcp".to_owned(), plain);
            format!("{published}:{}/{protocol}", plain(&entry["target"]))
        }
        other => plain(other),
    };
    let text = if text.contains('/') { text } else { format!("{text}/tcp") };
    vec![text.trim_start_matches(':').to_owned()]
}

fn shlex(text: &str) -> Vec<String> {
    let mut command = Command::new("python3");
    command.args(["-c", "import shlex,sys,json;print(json.dumps(shlex.split(sys.argv[1])))", text]);
    let mut output = output_of(&mut command);
    output.truncate(output.trim_end().len());
    serde_json::from_str(&output).expect("a list")
}

fn output_of(command: &mut Command) -> String {
    String::from_utf8(command.output().expect("python3 runs").stdout).expect("UTF-8")
}

fn bytes(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().chars().next() {
        Some('k') => 1 << 10,
        Some('m') => 1 << 20,
        Some('g') => 1 << 30,
        _ => 1,
    };
    (digits.parse::<f64>().unwrap_or_default() * unit as f64) as u64
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Numbers and truth values as text: the tool writes some of them as it found them.
fn texts_only(value: &mut Json) {
    match value {
        Json::Number(_) | Json::Bool(_) => *value = Json::from(value.to_string()),
        Json::Array(items) => items.iter_mut().for_each(texts_only),
        Json::Object(entries) => entries.values_mut().for_each(texts_only),
        _ => {}
    }
}

fn differences(path: &str, a: &Json, b: &Json, tell: &mut impl FnMut(&str, &Json, &Json)) {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let null = Json::Null;
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                differences(&format!("{path}.{key}"), a, b, tell);
            }
        }
        (a, b) if a == b => {}
        (a, b) => tell(path, a, b),
    }
}
