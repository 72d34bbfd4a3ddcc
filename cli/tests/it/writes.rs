//! What is asked of the cluster when something is to change.

use crate::fake::{World, Written};
use crate::fixtures::host_id;

fn calls(world: &World) -> Vec<(String, String)> {
    let written = world.written();
    assert!(written.iter().all(|one| one.key.is_some()), "every write has an idempotency key");
    written.into_iter().map(|Written { call, body, .. }| (call, body)).collect()
}

fn only_call(world: &World, line: &str) -> (String, String) {
    let before = world.written().len();
    let run = world.omni(line);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let mut calls = calls(world);
    assert_eq!(calls.len(), before + 1, "{line}");
    calls.pop().expect("just counted")
}

fn expect(world: &World, line: &str, call: &str, body: &str) {
    assert_eq!(only_call(world, line), (call.to_owned(), body.to_owned()), "{line}");
}

#[test]
fn each_change_is_one_call() {
    let world = World::new();
    let host = format!("/api/v1/hosts/{}", host_id("web-1"));
    expect(
        &world,
        "hosts label web-1 rack=7 disk-",
        &format!("PATCH {host}"),
        r#"{"labels":{"disk":null,"rack":"7"}}"#,
    );
    expect(&world, "hosts cordon web-1", &format!("PATCH {host}"), r#"{"cordoned":true}"#);
    expect(&world, "hosts uncordon web-1", &format!("PATCH {host}"), r#"{"cordoned":false}"#);
    expect(&world, "cordon web-1", &format!("PATCH {host}"), r#"{"cordoned":true}"#);
    expect(&world, "hosts rm web-1 --yes", &format!("DELETE {host}"), "");
    expect(&world, "controllers rm beta -y", "DELETE /api/v1/controllers/2", "");
    expect(&world, "controllers transfer-leader beta", "POST /api/v1/controllers/transfer", r#"{"to":2}"#);
    expect(&world, "controllers transfer-leader", "POST /api/v1/controllers/transfer", r#"{"to":null}"#);
    expect(
        &world,
        "token create --role controller --ttl 10m --uses 2",
        "POST /api/v1/tokens/join",
        r#"{"role":"controller","ttl_secs":600,"uses":2,"labels":{}}"#,
    );
    expect(
        &world,
        "token create-api --name bot --role viewer",
        "POST /api/v1/tokens/api",
        r#"{"name":"bot","role":"viewer","scope":{"environments":[],"apps":[]},"ttl_secs":null}"#,
    );
    expect(&world, "token rm ci --yes", "DELETE /api/v1/tokens/api/00000000-0000-0000-0000-0000c1c1c1c1", "");
    expect(
        &world,
        "token rm 1234abcd --yes",
        "DELETE /api/v1/tokens/join/01935e1a-0000-7000-8000-00001234abcd",
        "",
    );
}

#[test]
fn nothing_is_removed_without_an_answer() {
    let world = World::new();
    for line in ["hosts rm web-1", "controllers rm beta", "token rm ci"] {
        let run = world.omni(line);
        assert_eq!(run.code, 2, "{line}");
        assert!(run.err.contains("--yes"), "{}", run.err);
    }
    assert!(world.written().is_empty());
}

#[test]
fn a_slip_in_one_of_several_names_changes_nothing() {
    let world = World::new();
    assert_eq!(world.omni("token rm ci nobody --yes").code, 3);
    assert!(world.written().is_empty());
}

#[test]
fn the_token_in_use_is_not_revoked_unnoticed() {
    let world = World::new();
    let run = world.omni("token rm admin --yes");
    assert!(run.err.contains("logged out"), "{}", run.err);
}
