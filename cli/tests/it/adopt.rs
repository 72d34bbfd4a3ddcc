//! `omni adopt` against a fake controller: what it lists, writes, plans and does.

use crate::apps::calls;
use crate::fake::World;
use omni_common::api::v1::{AppView, HostProject};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn body(world: &World, call: &str) -> Value {
    let made = calls(world);
    let (_, body) = made.iter().rev().find(|(made, _)| made == call).expect("it was called");
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn projects_are_listed() {
    let world = World::new();
    let run = world.omni("adopt --host web-1");
    insta::assert_snapshot!("adopt-list", world.stable(&run.transcript()));
    let listed = world.omni("adopt --host web-1 -o json").json::<Vec<HostProject>>();
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["fresh", "shop"]);
    assert_eq!(world.omni("adopt --host nowhere").code, 3);
}

#[test]
fn a_project_is_adopted_under_the_name_that_was_asked_for() {
    let world = World::new();
    let run = world.omni("adopt --host web-1 fresh --yes --wait --set TAG=7 --profile debug -e staging");
    assert_eq!(run.code, 0, "{}", run.transcript());
    insta::assert_snapshot!("adopt-followed", world.stable(&run.transcript()));
    let sent = body(&world, "POST /api/v1/apps");
    assert_eq!(sent["adopt"], json!({"host": "web-1", "project": "fresh"}));
    assert_eq!((&sent["environment"], &sent["project"]["name"]), (&json!("staging"), &json!("fresh")));
    assert_eq!(sent["project"]["variables"], json!({"TAG": "7"}));
    assert_eq!(sent["project"]["profiles"], json!(["debug"]));
    let app = world.omni("adopt --host web-1 fresh --as shop --yes --wait -o json").json::<AppView>();
    assert_eq!(app.name, "shop");
}

#[test]
fn a_plan_changes_nothing_and_what_is_not_there_is_not_found() {
    let world = World::new();
    let run = world.omni("adopt --host web-1 fresh --plan");
    assert_eq!(run.code, 10, "{}", run.transcript());
    insta::assert_snapshot!("adopt-plan", world.stable(&run.transcript()));
    assert!(!calls(&world).iter().any(|(call, _)| call == "POST /api/v1/apps"));
    assert_eq!(world.omni("adopt --host web-1 other --yes").code, 3);
    assert_eq!(world.omni("adopt --host web-1 fresh").code, 2, "nobody can be asked without a terminal");
}

#[test]
fn a_definition_is_written_where_nothing_is_yet() {
    let (world, above) = (World::new(), tempfile::tempdir().expect("a folder"));
    let folder = above.path().join("fresh");
    let line = format!("adopt --host web-1 fresh --from containers --write {}", folder.display());
    let run = world.omni(&line);
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(run.err.contains("Ulimits") && run.err.contains("--adopt web-1/fresh"), "{}", run.err);
    let env = folder.join("env/web.env");
    assert_eq!(fs::read_to_string(&env).expect("written"), "A=1\n");
    assert_eq!(fs::metadata(&env).expect("there").permissions().mode() & 0o777, 0o600, "it may hold secrets");
    let again = world.omni(&line);
    assert_eq!(again.code, 1, "{}", again.transcript());
    assert!(again.err.contains("choose an empty folder"), "{}", again.err);
}
