//! Apps: screens, what each verb asks of the cluster, and how it ends.

use crate::fake::{Run, World, Written};
use omni_common::api::v1::{AppView, Explanation, ReleaseView};
use omni_common::ids::DeploymentId;

fn check(name: &str, world: &World, line: &str) {
    insta::assert_snapshot!(name.to_owned(), world.stable(&world.omni(line).transcript()));
}

/// The calls that changed something, in order.
pub(crate) fn calls(world: &World) -> Vec<(String, String)> {
    let written = world.written();
    assert!(written.iter().all(|one| one.key.is_some()), "every write has an idempotency key");
    written.into_iter().map(|Written { call, body, .. }| (call, body)).collect()
}

fn expect(world: &World, line: &str, call: &str, body: &str) -> Run {
    let before = world.written().len();
    let run = world.omni(line);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let made = calls(world);
    assert_eq!(made[before..], [(call.to_owned(), body.to_owned())], "{line}");
    run
}

#[test]
fn what_people_see() {
    let world = World::new();
    check("apps", &world, "apps");
    check("apps-wide", &world, "apps -o wide");
    check("apps-env", &world, "apps --env staging");
    check("apps-none", &world, "apps list --name nothing");
    check("apps-show", &world, "apps show shop");
    check("apps-show-failing", &world, "apps show staging/shop");
    check("apps-show-down", &world, "apps show wiki -o wide");
    check("releases", &world, "releases shop");
    check("diff", &world, "diff shop 1 2");
    check("diff-none", &world, "diff shop 1 1");
    check("explain", &world, "explain shop");
    check("explain-wide", &world, "explain shop -o wide");
    check("rollout-show", &world, "rollout show staging/shop");
}

#[test]
fn what_programs_read() {
    let world = World::new();
    assert_eq!(world.omni("apps -o json").json::<Vec<AppView>>().len(), 3);
    assert_eq!(world.omni("apps show -e staging shop -o json").json::<AppView>().release, 4);
    assert_eq!(world.omni("releases shop -o json").json::<Vec<ReleaseView>>().len(), 2);
    assert_eq!(world.omni("explain shop -o json").json::<Explanation>().groups.len(), 1);
    let stopped = world.omni("stop shop -o json").json::<AppView>();
    assert_eq!(stopped.name, "shop");
    assert_eq!(world.omni("stop shop -o json").err, "");
}

#[test]
fn each_change_is_one_call() {
    let world = World::new();
    let shop = "/api/v1/apps/default/shop";
    expect(&world, "stop shop", &format!("PATCH {shop}"), r#"{"goal":"stop"}"#);
    expect(&world, "start shop --wait", &format!("PATCH {shop}"), r#"{"goal":"run"}"#);
    expect(&world, "scale shop 5", &format!("PATCH {shop}"), r#"{"replicas":{"main":5}}"#);
    expect(&world, "scale shop main=default", &format!("PATCH {shop}"), r#"{"replicas":{"main":null}}"#);
    expect(&world, "restart default/shop", &format!("POST {shop}/restart"), "");
    let staging = "/api/v1/apps/staging/shop";
    expect(&world, "rollback shop -e staging --to 2", &format!("POST {staging}/rollback"), r#"{"to":2}"#);
    expect(&world, "rollback staging/shop", &format!("POST {staging}/rollback"), "{}");
    expect(&world, "rm shop --yes", &format!("DELETE {shop}"), "");
}

#[test]
fn a_hand_is_taken_in_the_newest_deployment() {
    let world = World::new();
    let id = DeploymentId::from_u128(0xdd04);
    let call = format!("POST /api/v1/apps/staging/shop/deployments/{id}");
    expect(&world, "rollout promote staging/shop", &call, r#"{"action":"promote"}"#);
    expect(&world, "rollout resume staging/shop", &call, r#"{"action":"resume"}"#);
    let run = world.omni("rollout abort staging/shop");
    assert_eq!(run.code, 2, "it asks first: {}", run.transcript());
    let run = expect(&world, "rollout abort staging/shop -y", &call, r#"{"action":"abort"}"#);
    assert_eq!(run.err, "staging/shop goes back to release 3.\n");
    let world = World::new();
    expect(&world, "rollout pause staging/shop", &call, r#"{"action":"pause"}"#);
    assert_eq!(world.omni("rollout pause shop").code, 4, "that one is over");
}

#[test]
fn data_goes_only_when_that_is_said_and_shown() {
    let world = World::new();
    let run = world.omni("rm wiki --volumes");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("pgdata of main.0 on web-2") && run.err.contains("--yes"), "{}", run.err);
    assert!(world.written().is_empty());
    let run =
        expect(&world, "rm wiki --volumes --yes --wait", "DELETE /api/v1/apps/default/wiki?volumes=true", "");
    insta::assert_snapshot!("rm-volumes", run.transcript());
    let world = World::new();
    let run = expect(&world, "rm wiki --yes", "DELETE /api/v1/apps/default/wiki", "");
    assert!(run.err.contains("the data of default/wiki stays"), "{}", run.err);
}

#[test]
fn hosts_are_emptied_and_filled_again() {
    let world = World::new();
    let host = |name: &str| format!("POST /api/v1/hosts/{}/drain", crate::fixtures::host_id(name));
    expect(&world, "drain web-1", &host("web-1"), r#"{"drain":true}"#);
    let body = r#"{"drain":true,"deadline_seconds":600}"#;
    expect(&world, "hosts drain web-1 --deadline 10m", &host("web-1"), body);
    expect(&world, "undrain web-1", &host("web-1"), r#"{"drain":false}"#);
    expect(&world, "hosts undrain web-1", &host("web-1"), r#"{"drain":false}"#);
    let before = world.written().len();
    assert_eq!(world.omni("drain web-1 web-9").code, 3);
    assert_eq!(world.written().len(), before, "a slip in one of several names changes nothing");

    // What is on web-2 is lost with it, so nothing is waited for; on web-1 something stays.
    expect(&world, "drain web-2 --wait", &host("web-2"), r#"{"drain":true}"#);
    let run = world.omni("drain web-1 --wait=0s");
    assert_eq!(run.code, 6, "{}", run.transcript());
    assert!(run.err.contains("default/shop main.0 on web-1: healthy"), "{}", run.err);
}

#[test]
fn one_code_for_each_kind_of_failure() {
    let world = World::new();
    for (line, code, told) in [
        ("apps show shpo", 3, "did you mean `shop`?"),
        ("explain -e staging wiki", 3, "did you mean `default/wiki`?"),
        ("releases nothing", 3, "`omni apps` lists"),
        ("stop nothing", 3, "there is no app `default/nothing`"),
        ("rollback staging/shop --to 9", 3, "has no release 9"),
        ("diff shop 1 9", 3, "no release `default/shop 9`"),
        ("rollback wiki -e default/", 3, "there is no app"),
        ("scale shop jobs=1", 3, "it has `main`"),
        ("scale shop some", 2, "no number of instances"),
        ("apps show staging/shop -e test", 2, "two environments"),
        ("stop wiki --wait=0s", 0, ""),
        ("start staging/shop --wait=0s", 0, ""),
        ("restart shop --wait=0s", 6, "omni rollout watch default/shop"),
    ] {
        let run = world.omni(line);
        assert_eq!(run.code, code, "omni {line}: {}", run.transcript());
        assert!(run.err.contains(told), "omni {line}: {}", run.err);
    }
}

#[test]
fn the_environment_at_hand_is_the_contexts_or_the_variables() {
    let world = World::new();
    let environment =
        |line: &str| world.omni(&format!("apps show shop -o json {line}")).json::<AppView>().environment;
    assert_eq!(environment(""), "default");
    assert_eq!(world.omni("context env staging").code, 0);
    assert_eq!(world.omni("context env").out, "staging\n");
    assert_eq!(environment(""), "staging");
    assert_eq!(environment("--env default"), "default");
    let run = world.run(world.command(&["apps", "show", "wiki", "-o", "json"]).env("OMNI_ENV", "default"));
    assert_eq!(run.json::<AppView>().name, "wiki");
    assert!(world.omni("context show").out.contains("environment  staging"));
    assert_eq!(world.omni("context env --unset").code, 0);
    assert_eq!(world.omni("context env").out, "default\n");
}

#[test]
fn an_app_moves_with_its_data_and_the_old_copy_goes_when_that_is_said() {
    let world = World::new();
    let shop = "/api/v1/apps/default/shop/move";
    check("move-plan", &world, "move shop --to web-2 --plan");
    assert_eq!(world.omni("move shop --to web-2").code, 2, "nobody can be asked");
    assert_eq!(world.omni("move shop").code, 2, "where to?");
    assert_eq!(world.omni("move shop --to web-2 --confirm").code, 2, "one thing at a time");
    assert_eq!(world.omni("move shop --to gone --yes").code, 3);
    check("move-refused", &world, "move shop --to full --yes");
    check("move-never", &world, "move shop --back --yes");

    let before = world.written().len();
    check("move", &world, "move shop --to web-2 --yes --wait");
    let made = calls(&world)[before..].to_vec();
    let body = |dry: bool, via: &str| format!(r#"{{"to":"web-2"{via},"dry_run":{dry}}}"#);
    let expected = [
        (format!("POST {shop}"), body(true, "")),
        (format!("POST {shop}"), body(false, r#","repository":"home""#)),
    ];
    assert_eq!(made, expected, "what was shown is what is done");
    check("move-show", &world, "apps show shop");
    check("move-confirm", &world, "move shop --confirm --yes --wait");
    let (call, body) = calls(&world).last().cloned().expect("one");
    assert_eq!(call, format!("POST {shop}/confirm"));
    assert!(body.starts_with(r#"{"hosts":[""#), "{body}");
    check("move-nothing-left", &world, "move shop --confirm --yes");
    check("move-back", &world, "move shop --back --yes --wait");
}
