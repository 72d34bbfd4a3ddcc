//! Whether an app is what runs. Pure: what a specification comes to, laid beside what the engine says of the containers.
//!
//! Only what would be different in a container that omni makes counts. How a container is restarted is no difference: that
//! can be changed while it runs.

use omni_common::api::v1::FieldError;
use omni_common::domain::app::{AppSpec, MountSource, NetworkMode, PortMapping, Service, ServiceName};
use omni_common::domain::{FoundContainer, FoundProject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A text somewhere in what the engine says; absent when it is empty.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A list of texts; absent when there is none.
pub(super) fn texts(value: &Value, pointer: &str) -> Option<Vec<String>> {
    let list = value.pointer(pointer)?.as_array()?;
    let all: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (!all.is_empty()).then_some(all)
}

/// `NAME=value` pairs.
pub(super) fn pairs(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let split = |text: String| {
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        (name.to_owned(), value.to_owned())
    };
    texts(value, pointer).unwrap_or_default().into_iter().map(split).collect()
}

/// The keys of a mapping.
pub(super) fn keys(value: &Value, pointer: &str) -> BTreeSet<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_object)
        .map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// What an engine shows of a mount, as far as it tells mounts apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mounted {
    pub(super) target: String,
    /// The volume's name or the host's path.
    pub(super) source: String,
    pub(super) volume: bool,
    pub(super) read_only: bool,
}

/// The mounts of a container that somebody asked for: not the volumes that its image has made for it.
pub(super) fn mounts(inspect: &Value) -> Vec<Mounted> {
    let all = inspect.pointer("/Mounts").and_then(Value::as_array).cloned().unwrap_or_default();
    let one = |mount: &Value| {
        let volume = text(mount, "/Type").as_deref() == Some("volume");
        let source = text(mount, if volume { "/Name" } else { "/Source" })?;
        let nameless = volume && source.len() == 64 && source.chars().all(|c| c.is_ascii_hexdigit());
        let read_only = mount.pointer("/RW").and_then(Value::as_bool) == Some(false);
        let target = text(mount, "/Destination")?;
        let known = matches!(text(mount, "/Type").as_deref(), Some("volume" | "bind"));
        (known && !nameless).then_some(Mounted { target, source, volume, read_only })
    };
    let mut mounts: Vec<Mounted> = all.iter().filter_map(one).collect();
    mounts.sort();
    mounts
}

/// A port of the host that a container has.
pub(super) type Published = (String, String, String);

/// Port in the container, address and port on the host.
pub(super) fn published(inspect: &Value) -> BTreeSet<Published> {
    let map =
        inspect.pointer("/HostConfig/PortBindings").and_then(Value::as_object).cloned().unwrap_or_default();
    let each = |(port, bindings): (String, Value)| {
        let bindings = bindings.as_array().cloned().unwrap_or_default();
        let one = move |binding: Value| {
            let address = text(&binding, "/HostIp").unwrap_or_default();
            (port.clone(), every(&address), text(&binding, "/HostPort").unwrap_or_default())
        };
        bindings.into_iter().map(one).collect::<Vec<_>>()
    };
    map.into_iter().flat_map(each).collect()
}

/// All addresses are written in several ways.
fn every(address: &str) -> String {
    if matches!(address, "0.0.0.0" | "::") { String::new() } else { address.to_owned() }
}

/// All that does not fit, by key.
pub(super) fn differences(spec: &AppSpec, found: &FoundProject) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (name, service) in &spec.services {
        known.insert(name.as_str());
        let running: Vec<&FoundContainer> =
            found.containers.iter().filter(|one| one.service == name.as_str()).collect();
        if running.is_empty() {
            // It is started, and the plan says so.
            continue;
        }
        let wanted = service.container_count();
        if running.len() != usize::try_from(wanted).unwrap_or(usize::MAX)
            || running.iter().any(|one| one.number == 0 || one.number > wanted)
        {
            let have: Vec<String> = running.iter().map(|one| one.number.to_string()).collect();
            let detail = format!(
                "the file asks for {wanted} containers, and there are those with the numbers {}: set `scale`, or remove what is too much",
                have.join(", ")
            );
            faults.push(FieldError { pointer: format!("services.{name}.scale"), detail });
        }
        for one in running {
            let mut fit = Fit { name, one, spec, service, faults: &mut faults };
            fit.check();
        }
    }
    let strays: BTreeSet<&str> =
        found.containers.iter().map(|one| one.service.as_str()).filter(|one| !known.contains(one)).collect();
    faults.extend(strays.into_iter().map(|service| FieldError {
        pointer: format!("services.{service}"),
        detail: "runs, and the file has no such service: name its profile with `--profile`, or remove its containers".to_owned(),
    }));
    faults
}

struct Fit<'a> {
    name: &'a ServiceName,
    one: &'a FoundContainer,
    spec: &'a AppSpec,
    service: &'a Service,
    faults: &'a mut Vec<FieldError>,
}

impl Fit<'_> {
    fn check(&mut self) {
        self.image();
        self.process();
        self.environment();
        self.mounts();
        self.ports();
        self.networks();
        self.rights();
    }

    fn fault(&mut self, key: &str, detail: String) {
        self.faults.push(FieldError { pointer: format!("services.{}.{key}", self.name), detail });
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, key: &str, file: &T, runs: &T) {
        if file != runs {
            self.fault(key, format!("the file comes to {file:?}, and {runs:?} runs"));
        }
    }

    fn image(&mut self) {
        let (file, runs) = (self.service.image.clone(), text(&self.one.inspect, "/Config/Image"));
        let tagged = |name: Option<String>| {
            name.map(|name| name.strip_suffix(":latest").map(str::to_owned).unwrap_or(name))
        };
        self.compare("image", &tagged(file), &tagged(runs));
    }

    fn process(&mut self) {
        let Some(image) = self.one.image.clone() else { return };
        let runs = self.one.inspect.clone();
        let service = self.service;
        let given = |own: &Option<Vec<String>>| own.clone().filter(|words| !words.is_empty());
        let entrypoint = match &service.entrypoint {
            Some(_) => given(&service.entrypoint),
            None => texts(&image, "/Entrypoint"),
        };
        self.compare("entrypoint", &entrypoint, &texts(&runs, "/Config/Entrypoint"));
        let command = match (&service.command, &service.entrypoint) {
            (Some(_), _) => given(&service.command),
            // An engine leaves the image's command out where the entrypoint is another one.
            (None, Some(_)) => None,
            (None, None) => texts(&image, "/Cmd"),
        };
        self.compare("command", &command, &texts(&runs, "/Config/Cmd"));
        let user = service.user.clone().or_else(|| text(&image, "/User"));
        self.compare("user", &user, &text(&runs, "/Config/User"));
        let folder = service.working_dir.clone().or_else(|| text(&image, "/WorkingDir"));
        let plain = |folder: Option<String>| folder.filter(|folder| folder != "/");
        self.compare("working_dir", &plain(folder), &plain(text(&runs, "/Config/WorkingDir")));
        if let Some(check) = service.healthcheck.as_ref().filter(|check| !check.test.is_empty()) {
            self.compare(
                "healthcheck.test",
                &Some(check.test.clone()),
                &texts(&runs, "/Config/Healthcheck/Test"),
            );
        }
    }

    /// Values may be secrets, and are not shown.
    fn environment(&mut self) {
        let Some(image) = &self.one.image else { return };
        let mut expected = pairs(image, "/Env");
        for (name, value) in &self.service.environment {
            match value {
                Some(value) => drop(expected.insert(name.clone(), value.clone())),
                None => drop(expected.remove(name)),
            }
        }
        let runs = pairs(&self.one.inspect, "/Config/Env");
        let names: BTreeSet<&String> = expected.keys().chain(runs.keys()).collect();
        let mut differ = Vec::new();
        for name in names {
            match (expected.get(name), runs.get(name)) {
                (file, runs) if file == runs => {}
                (Some(_), Some(_)) => differ.push((name.clone(), "has another value where it runs")),
                (Some(_), None) => differ.push((name.clone(), "is not set where it runs")),
                (None, _) => {
                    differ.push((name.clone(), "is set where it runs, and the file does not set it"))
                }
            }
        }
        for (name, text) in differ {
            self.fault(
                &format!("environment.{name}"),
                format!("{text} (`--set` gives a variable that the file takes from the shell)"),
            );
        }
    }

    fn mounts(&mut self) {
        if !self.service.volumes_from.is_empty() {
            return;
        }
        let files: BTreeSet<&str> = self
            .service
            .configs
            .iter()
            .chain(&self.service.secrets)
            .map(|file| file.target.as_str())
            .collect();
        let runs: Vec<Mounted> = mounts(&self.one.inspect)
            .into_iter()
            .filter(|mount| !files.contains(mount.target.as_str()))
            .collect();
        let mut expected: Vec<Mounted> =
            self.service.mounts.iter().filter_map(|mount| self.expected(mount)).collect();
        expected.sort();
        let at = |all: &[Mounted], target: &str| all.iter().find(|one| one.target == target).cloned();
        let targets: BTreeSet<String> = expected.iter().chain(&runs).map(|one| one.target.clone()).collect();
        for target in targets {
            let told = |one: Option<Mounted>| {
                one.map_or_else(
                    || "nothing".to_owned(),
                    |one| format!("{}{}", one.source, if one.read_only { " (read-only)" } else { "" }),
                )
            };
            let (file, runs) = (told(at(&expected, &target)), told(at(&runs, &target)));
            if file != runs {
                self.fault(
                    "volumes",
                    format!("the file mounts {file} at {target}, and {runs} is there where it runs"),
                );
            }
        }
    }

    fn expected(&self, mount: &omni_common::domain::app::Mount) -> Option<Mounted> {
        let (source, volume) = match &mount.source {
            MountSource::Volume(volume) => {
                let name = volume.volume.as_ref()?;
                let named = self.spec.volumes.get(name).and_then(|spec| spec.name.clone());
                (named.unwrap_or_else(|| name.clone()), true)
            }
            MountSource::Host(host) => (host.path.clone(), false),
            MountSource::Project(project) => (format!("a file of the release ({})", project.path), false),
            MountSource::Tmpfs(_) => return None,
        };
        let plain = |path: &str| path.trim_end_matches('/').to_owned();
        let source = if volume || source == "/" { source } else { plain(&source) };
        Some(Mounted { target: mount.target.clone(), source, volume, read_only: mount.read_only })
    }

    fn ports(&mut self) {
        let one = |port: &PortMapping| {
            let number = match (port.host_port, port.host_port_last) {
                (Some(first), Some(last)) if last > first => format!("{first}-{last}"),
                (Some(port), _) => port.to_string(),
                (None, _) => String::new(),
            };
            let inner = format!("{}/{}", port.container_port, port.protocol.as_str());
            (inner, every(port.host_ip.as_deref().unwrap_or_default()), number)
        };
        let file: BTreeSet<Published> = self.service.ports.iter().map(one).collect();
        let runs = published(&self.one.inspect);
        let told = |all: &BTreeSet<Published>| {
            let all: Vec<String> =
                all.iter().map(|(inner, address, port)| format!("{address}:{port}->{inner}")).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        if file != runs {
            let detail = format!("the file publishes {}, and {} where it runs", told(&file), told(&runs));
            self.fault("ports", detail);
        }
    }

    fn networks(&mut self) {
        let mode = text(&self.one.inspect, "/HostConfig/NetworkMode").unwrap_or_default();
        let special = match &self.service.network_mode {
            NetworkMode::Host => Some("host"),
            NetworkMode::None => Some("none"),
            NetworkMode::Bridge => Some("bridge"),
            NetworkMode::Service(_) | NetworkMode::Container(_) => Some("container:"),
            NetworkMode::Networks => None,
        };
        if let Some(special) = special {
            if !mode.starts_with(special) {
                self.fault("network_mode", format!("the file comes to {special}, and {mode} runs"));
            }
            return;
        }
        let joined: Vec<&str> = match self.service.networks.is_empty() {
            true => vec!["default"],
            false => self.service.networks.keys().map(String::as_str).collect(),
        };
        let on_host = |name: &str| {
            let told = self.spec.networks.get(name).and_then(|network| network.name.clone());
            told.unwrap_or_else(|| name.to_owned())
        };
        let file: BTreeSet<String> = joined.into_iter().map(on_host).collect();
        let runs = keys(&self.one.inspect, "/NetworkSettings/Networks");
        self.compare("networks", &file, &runs);
    }

    fn rights(&mut self) {
        let runs = self.one.inspect.clone();
        let flag = |pointer: &str| runs.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
        self.compare("privileged", &self.service.privileged, &flag("/HostConfig/Privileged"));
        self.compare("read_only", &self.service.read_only, &flag("/HostConfig/ReadonlyRootfs"));
        let plain = |caps: &mut dyn Iterator<Item = String>| -> BTreeSet<String> {
            caps.map(|cap| cap.trim_start_matches("CAP_").to_owned()).collect()
        };
        for (key, file, pointer) in [
            ("cap_add", &self.service.cap_add, "/HostConfig/CapAdd"),
            ("cap_drop", &self.service.cap_drop, "/HostConfig/CapDrop"),
        ] {
            let file = plain(&mut file.iter().cloned());
            let runs = plain(&mut texts(&runs, pointer).unwrap_or_default().into_iter());
            if file != runs {
                self.faults.push(FieldError {
                    pointer: format!("services.{}.{key}", self.name),
                    detail: format!("the file comes to {file:?}, and {runs:?} runs"),
                });
            }
        }
        let devices: BTreeSet<String> =
            self.service.devices.iter().map(|device| device.host_path.clone()).collect();
        let running =
            runs.pointer("/HostConfig/Devices").and_then(Value::as_array).cloned().unwrap_or_default();
        let running: BTreeSet<String> = running.iter().filter_map(|one| text(one, "/PathOnHost")).collect();
        self.compare("devices", &devices, &running);
    }
}
