//! What programs read: JSON and YAML of every list, in the API's own shapes.

use crate::fake::World;
use omni_common::api::v1::{
    AuditEntry, ClusterHealth, ContainerView, ControllerView, Event, HostView, JoinTokenCreated, LogEntry,
};
use serde_json::Value;

#[test]
fn json_has_the_shapes_of_the_api() {
    let world = World::new();
    assert_eq!(world.omni("hosts -o json").json::<Vec<HostView>>().len(), 3);
    assert_eq!(world.omni("-o json ps -a").json::<Vec<ContainerView>>().len(), 6);
    assert_eq!(world.omni("controllers -o json").json::<Vec<ControllerView>>().len(), 3);
    assert_eq!(world.omni("controllers show 2 -o json").json::<ControllerView>().name, "beta");
    assert_eq!(world.omni("audit -o json").json::<Vec<AuditEntry>>().len(), 3);
    let events = world.omni("events -o json").json::<Vec<Event>>();
    assert!(events.is_sorted_by_key(|event| event.seq), "oldest first");
    let created = world.omni("token create --role agent -o json").json::<JoinTokenCreated>();
    assert_eq!(created.token, "omni-join1.fresh");
    for line in
        ["status", "version", "context list", "context show", "token list", "top --once", "hosts show gpu-1"]
    {
        world.omni(&format!("{line} -o json")).json::<Value>();
    }
    let health = world.omni("health -o json");
    assert_eq!(health.code, 1);
    let health: ClusterHealth = serde_json::from_str(&health.out).expect("JSON of the expected shape");
    assert_eq!(health.checks.len(), 5);
}

#[test]
fn yaml_says_the_same_as_json() {
    let world = World::new();
    for line in ["controllers", "audit", "token list", "health"] {
        let json: Value = serde_json::from_str(&world.omni(&format!("{line} -o json")).out).expect("JSON");
        let yaml: Value = serde_saphyr::from_str(&world.omni(&format!("{line} -o yaml")).out).expect("YAML");
        let shape = |value: &Value| value.to_string().len();
        assert_eq!(shape(&yaml), shape(&json), "{line}");
    }
}

#[test]
fn the_variable_sets_the_format_and_the_flag_beats_it() {
    let world = World::new();
    let run = world.run(world.command(&["controllers"]).env("OMNI_OUTPUT", "json"));
    assert_eq!(run.json::<Vec<ControllerView>>().len(), 3);
    let run = world.run(world.command(&["controllers", "-o", "table"]).env("OMNI_OUTPUT", "json"));
    assert!(run.out.contains("NAME"), "{}", run.out);
}

#[test]
fn streams_are_one_json_document_a_line() {
    let world = World::new();
    let run = world.omni("logs gitea gitea-db -o json");
    assert_eq!(run.code, 0, "{}", run.err);
    let lines: Vec<LogEntry> =
        run.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0].container, "gitea");
}

#[test]
fn nothing_but_data_is_on_standard_output() {
    let world = World::new();
    let run = world.omni("token create --role agent --ttl 2h --uses 3 --label disk=nvme");
    assert_eq!((run.code, run.out.as_str()), (0, "omni-join1.fresh\n"));
    assert!(run.err.contains("--controller 10.0.0.3:7600 --token omni-join1.fresh"), "{}", run.err);
}
