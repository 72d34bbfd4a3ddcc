//! The platform's own stacks read without a fault: they are what omni is made for.

use crate::cases::check_round_trip;
use crate::pack::read_from_disk;
use omni_compose::{FaultKind, Input, ProjectFile, Reading};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the tree")
}

/// The folders of `compose/` with a compose file.
fn stacks() -> Vec<String> {
    let mut all: Vec<String> = std::fs::read_dir(root().join("compose"))
        .expect("compose/")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| root().join("compose").join(name).join("docker-compose.yml").is_file())
        .collect();
    all.sort();
    all
}

/// Reads a stack with the settings of its example, and with something for what the example leaves to the owner.
fn stack(name: &str) -> (Input, Reading) {
    let folder = format!("compose/{name}");
    let mut input = Input { profiles: ["*".to_owned()].into(), ..Input::default() };
    let example = std::fs::read_to_string(root().join(&folder).join(".env.example")).unwrap_or_default();
    input.project_files.insert(format!("{folder}/.env"), ProjectFile::new(settings(&example)));
    let file = format!("{folder}/docker-compose.yml");
    loop {
        let (packed, reading) = read_from_disk(&root(), &file, input.clone());
        let faults = match reading {
            Ok(reading) => return (packed, reading),
            Err(faults) => faults,
        };
        let before = (input.environment.len(), input.project_files.len());
        for fault in &faults.faults {
            if let FaultKind::FileNeeded { path } = &fault.kind {
                input.project_files.insert(path.clone(), ProjectFile::new(path.as_bytes()));
            } else if let Some((_, rest)) = fault.message.split_once("the variable `")
                && let Some((variable, _)) = rest.split_once('`')
            {
                input.environment.insert(variable.to_owned(), "7".to_owned());
            }
        }
        assert_ne!(before, (input.environment.len(), input.project_files.len()), "{name}:\n{faults}");
    }
}

/// Lines of an example that set something, also those that are commented out as a suggestion.
fn settings(example: &str) -> String {
    example.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_stack_of_the_platform_reads() {
    let stacks = stacks();
    assert!(stacks.len() >= 8, "{stacks:?}");
    for name in stacks {
        let (_, reading) = stack(&name);
        assert!(!reading.spec.services.is_empty(), "{name}");
        for (service, spec) in &reading.spec.services {
            assert!(spec.labels.contains_key("omni.quantum.component"), "{name}: {service}");
        }
    }
}

#[test]
fn the_conventions_of_the_platform_are_understood() {
    let (_, reading) = stack("monitoring");
    let network = reading.spec.networks.get("omni-quantum-network").expect("the platform's network");
    assert!(network.external);
    let main = reading.spec.groups.values().next().expect("a group");
    assert!(main.exclusive, "Prometheus writes to its folder");
    assert_eq!(reading.spec.services["prometheus"].container_name.as_deref(), Some("omni-prometheus"));
    assert!(main.priority.tier >= omni_common::domain::app::Tier::High);
    let rules = &reading.spec.services["prometheus"].mounts;
    let rules = rules.iter().find(|mount| mount.target == "/etc/prometheus/rules").expect("the rules");
    let omni_common::domain::app::MountSource::Project(project) = &rules.source else { panic!("{rules:?}") };
    assert_eq!(project.path, ".above/2/alerts/prometheus");
    assert!(matches!(project.content, omni_common::domain::app::ProjectContent::Folder(_)));
}

#[test]
fn services_that_run_once_a_host_stay_together() {
    let (_, reading) = stack("logs");
    let alloy = &reading.spec.groups["alloy"];
    assert_eq!(alloy.mode, omni_common::domain::app::GroupMode::Global);
    assert!(alloy.services.contains("docker-read"), "Alloy waits for it");
    assert!(reading.spec.groups["main"].services.contains("loki"));
}

#[test]
fn what_is_printed_of_the_platform_reads_back() {
    for name in stacks() {
        let (input, reading) = stack(&name);
        check_round_trip(&input, &reading);
    }
}
