//! Logging in and out.

use crate::fake::{Mood, World};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn logging_in_keeps_a_context_and_logging_out_forgets_it() {
    let world = World::stranger(Mood::default());
    let run = world.omni(&format!("login {} --token {} --context home", world.url, world.token));
    assert_eq!(run.code, 0, "{}", run.err);
    insta::assert_snapshot!("login", world.stable(&run.transcript()));
    let mode = std::fs::metadata(world.config()).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = world.omni("context show").out;
    assert!(shown.contains("https://10.0.0.3:7601"), "the other controllers are kept: {shown}");
    assert!(!shown.contains(&world.token), "the secret is not shown");
    assert_eq!(world.omni("controllers").code, 0);
    assert_eq!(world.omni("logout").code, 0);
    assert_eq!(world.omni("status").code, 2);
    assert_eq!(world.omni("logout home").code, 3);
}

#[test]
fn a_context_is_named_after_its_first_host_and_may_keep_only_what_was_given() {
    let world = World::stranger(Mood::default());
    assert_eq!(world.omni(&format!("login {} --token {} --only", world.url, world.token)).code, 0);
    let text = std::fs::read_to_string(world.config()).expect("written");
    assert!(text.contains("current = \"127.0.0.1\"") && !text.contains("10.0.0.3"), "{text}");
}

#[test]
fn the_token_may_come_from_standard_input_or_the_environment() {
    let world = World::stranger(Mood::default());
    let mut child =
        world.command(&["login", &world.url, "--token", "-"]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{}", world.token).expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
    let run = world.run(world.command(&["login", &world.url]).env("OMNI_TOKEN", &world.token));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("was replaced"), "{}", run.err);
}

#[test]
fn what_is_no_token_is_told_apart() {
    let world = World::stranger(Mood::default());
    let cases = [("password", "not an omni token"), (&world.token[..40], "damaged")];
    for (token, why) in cases {
        let run = world.omni(&format!("login {} --token {token}", world.url));
        assert_eq!(run.code, 2, "{}", run.err);
        assert!(run.err.contains(why), "{}", run.err);
    }
    let run = world.omni(&format!("login {}", world.url));
    assert_eq!(run.code, 2);
    assert!(run.err.contains("OMNI_TOKEN"), "{}", run.err);
    assert!(!world.config().exists(), "a failed login leaves nothing behind");
}

#[test]
fn contexts_are_switched() {
    let world = World::new();
    for name in ["a", "b"] {
        let line = format!("login {} --token {} --context {name}", world.url, world.token);
        assert_eq!(world.omni(&line).code, 0);
    }
    assert_eq!(world.omni("context use a").code, 0);
    assert!(world.omni("context show").out.starts_with("name         a (current)"));
    assert_eq!(world.omni("context rm a").code, 0);
    let run = world.omni("status");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("known: b, home"), "{}", run.err);
}
