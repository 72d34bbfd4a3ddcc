//! What people see.

use crate::fake::{Mood, World};

/// Replaces what differs from run to run.
fn check(name: &str, world: &World, line: &str) {
    let run = world.omni(line);
    assert!(!run.out.contains('\u{1b}') && !run.err.contains('\u{1b}'), "no colour into a pipe: {}", run.out);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "[TIME]");
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), world.stable(&run.transcript())));
}

#[test]
fn the_cluster() {
    let world = World::new();
    check("status", &world, "status");
    check("health", &world, "health");
    check("version", &world, "version");
    check("controllers", &world, "controllers");
    check("controllers-wide", &world, "controllers -o wide");
    check("controllers-show", &world, "controllers show beta");
    check("audit", &world, "audit");
    check("events", &world, "events");
    check("events-since", &world, "events --since 41");
}

#[test]
fn the_platform() {
    let world = World::new();
    check("systems", &world, "systems");
    check("systems-wide", &world, "systems -o wide");
    check("systems-one", &world, "systems 5");
    check("systems-unknown", &world, "systems 99");
    check("alerts", &world, "alerts");
    check("alerts-wide", &world, "alerts -o wide --all");
    check("alerts-dismiss", &world, "alerts dismiss a1b2c3d4e5f60718");
}

#[test]
fn hosts() {
    let world = World::new();
    check("hosts", &world, "hosts");
    check("hosts-wide", &world, "hosts list -o wide");
    check("hosts-down", &world, "hosts --status down");
    check("hosts-none", &world, "hosts --status pending");
    check("hosts-show", &world, "hosts show gpu-1");
    check("hosts-show-down", &world, "hosts show web-2");
}

#[test]
fn containers() {
    let world = World::new();
    check("ps", &world, "ps");
    check("ps-all", &world, "ps -a");
    check("ps-wide", &world, "ps -o wide --host web-1");
    check("ps-sorted", &world, "ps --sort mem");
    check("ps-text", &world, "ps gitea");
    check("ps-none", &world, "ps --component nothing");
    check("top", &world, "top --once");
}

#[test]
fn images() {
    let world = World::new();
    check("image-ls", &world, "image ls");
    check("image-ls-wide", &world, "image ls -o wide");
}

#[test]
fn tokens_and_contexts() {
    let world = World::new();
    check("token-list", &world, "token list");
    check("context-list", &world, "context list");
    check("context-none", &World::stranger(Mood::default()), "context list");
}

#[test]
fn when_all_is_well_it_says_so() {
    let world = World::in_mood(Mood { well: true, ..Mood::default() });
    check("health-well", &world, "health");
    assert!(world.omni("status").out.contains("Nothing needs attention"));
}

#[test]
fn colours_come_only_when_asked_for() {
    let world = World::new();
    assert!(world.omni("hosts --color always").out.contains("\u{1b}["));
    assert!(world.omni("--color always top --once").out.contains("\u{1b}["));
    let run = world.run(world.command(&["--color", "always", "status"]).env("NO_COLOR", "1"));
    assert!(run.out.contains("\u{1b}["), "typed beats the environment");
}

/// For looking at screens in a terminal. It prints the line to type and serves until it is interrupted:
/// `cargo test -p omni-cli --test it -- --ignored --nocapture by_eye`.
#[test]
#[ignore = "it waits for a person"]
fn by_eye() {
    let world = World::new();
    let config = world.config();
    let omni = env!("CARGO_BIN_EXE_omni");
    eprintln!("OMNI_CONFIG={} {omni} status", config.display());
    loop {
        std::thread::park();
    }
}
