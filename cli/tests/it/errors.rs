//! Exit codes, messages and next steps.

use crate::fake::{Mood, World};
use serde_json::Value;
use std::net::TcpListener;

fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("https://{}", listener.local_addr().expect("bound"))
}

fn check(name: &str, world: &World, line: &str, code: i32) {
    let run = world.omni(line);
    assert_eq!(run.code, code, "{}", run.transcript());
    insta::assert_snapshot!(name.to_owned(), world.stable(&run.transcript()));
}

#[test]
fn one_code_for_each_kind_of_failure() {
    let world = World::new();
    check("error-unhealthy", &world, "health", 1);
    check("error-ambiguous", &world, "exec nginx -- sh", 2);
    check("error-unknown-container", &world, "exec gittea -- sh", 3);
    check("error-unknown-host", &world, "hosts show web-3", 3);
    check("error-unknown-controller", &world, "controllers show bet", 3);
    check("error-unknown-token", &world, "token rm cj --yes", 3);
    check("error-unknown-context", &world, "status -c work", 3);
    check("error-not-running", &world, "exec gitea -- sh", 4);
    check("error-timed-out", &world, "health --wait 0s", 6);
}

#[test]
fn a_role_that_does_not_suffice_is_a_refusal() {
    let world = World::in_mood(Mood { viewer: true, ..Mood::default() });
    check("error-forbidden", &world, "hosts cordon web-1", 4);
}

#[test]
fn an_unknown_token_is_a_refusal() {
    let (world, other) = (World::new(), World::new());
    let run =
        world.run(world.command(&["status"]).env("OMNI_URL", &world.url).env("OMNI_TOKEN", &other.token));
    assert_eq!(run.code, 5, "a token of another cluster never reaches this one: {}", run.transcript());
    assert!(run.err.contains("another cluster"), "{}", run.err);
}

#[test]
fn without_a_context_the_first_step_is_named() {
    let world = World::stranger(Mood::default());
    check("error-no-context", &world, "status", 2);
    check("version-without-context", &world, "version", 0);
}

#[test]
fn every_address_that_did_not_answer_is_listed() {
    let world = World::stranger(Mood::default());
    let (a, b) = (nobody(), nobody());
    world.write_context("home", &[&a, &b]);
    let run = world.omni("ps");
    assert_eq!(run.code, 5);
    assert!(run.err.contains(&a) && run.err.contains(&b) && run.err.contains("refused"), "{}", run.err);
}

#[test]
fn a_dead_first_address_does_not_matter() {
    let world = World::new();
    world.write_context("home", &[&nobody(), &world.url]);
    let run = world.omni("controllers");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn without_a_leader_stale_reads_work_and_are_recommended() {
    let world = World::in_mood(Mood { leaderless: true, ..Mood::default() });
    let run = world.omni("hosts --timeout 200ms");
    assert_eq!(run.code, 6);
    assert!(run.err.contains("no controller leads") && run.err.contains("--stale"), "{}", run.err);
    assert_eq!(world.omni("hosts --stale").code, 0);
    assert_eq!(world.omni("logs gitea --stale").code, 0);
}

#[test]
fn programs_read_errors_as_json() {
    let world = World::new();
    let run = world.omni("exec gitea -o json -- sh");
    assert_eq!((run.code, run.out.as_str()), (4, ""));
    let error: Value = serde_json::from_str(&run.err).expect("JSON");
    assert_eq!(error["error"]["exit_code"], 4);
    assert_eq!(error["error"]["code"], "not_running");
}

#[test]
fn a_contexts_file_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    std::fs::set_permissions(world.config(), std::fs::Permissions::from_mode(0o644)).expect("set");
    let run = world.omni("controllers");
    assert_eq!(run.code, 0);
    assert!(run.err.contains("chmod 600"), "{}", run.err);
}
