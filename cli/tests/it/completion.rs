//! Completion of verbs and of live names.

use crate::fake::{Mood, World};

/// What bash would offer for the last of `words`.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let mut command = world.command(&["--"]);
    command
        .args(words)
        .env("OMNI_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n");
    let run = world.run(&mut command);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    run.out.lines().map(str::to_owned).collect()
}

#[test]
fn live_names_are_offered() {
    let world = World::new();
    assert_eq!(offered(&world, &["omni", "hosts", "show", "we"]), ["web-1", "web-2"]);
    assert_eq!(offered(&world, &["omni", "logs", "gitea-"]), ["gitea-db", "gitea-migrate"]);
    assert_eq!(offered(&world, &["omni", "exec", "web-2/n"]), ["web-2/nginx"]);
    assert_eq!(offered(&world, &["omni", "controllers", "rm", "b"]), ["beta"]);
    assert_eq!(offered(&world, &["omni", "context", "use", "h"]), ["home"]);
    assert_eq!(offered(&world, &["omni", "apps", "show", ""])[..3], ["shop", "wiki", "staging/shop"]);
    assert_eq!(offered(&world, &["omni", "rollback", "default/w"]), ["default/wiki"]);
    assert_eq!(offered(&world, &["omni", "stop", "--env", "st"]), ["staging"]);
    assert_eq!(offered(&world, &["omni", "drain", "gp"]), ["gpu-1"]);
    assert_eq!(offered(&world, &["omni", "users", "rm", "b"]), ["bob"]);
    assert_eq!(offered(&world, &["omni", "stat"]), ["status"]);
}

#[test]
fn a_name_that_two_hosts_have_is_offered_with_its_host() {
    let world = World::new();
    assert!(offered(&world, &["omni", "logs", "ng"]).is_empty(), "`nginx` alone would be refused");
    let offered = offered(&world, &["omni", "logs", ""]);
    assert!(
        offered.contains(&"web-1/nginx".to_owned()) && offered.contains(&"gitea".to_owned()),
        "{offered:?}"
    );
}

#[test]
fn failure_is_silent() {
    let world = World::stranger(Mood::default());
    assert!(offered(&world, &["omni", "hosts", "show", ""]).iter().all(|word| word.starts_with('-')));
    world.write_context("home", &["https://127.0.0.1:1"]);
    assert!(offered(&world, &["omni", "hosts", "show", ""]).iter().all(|word| word.starts_with('-')));
}

#[test]
fn scripts_for_shells() {
    let world = World::stranger(Mood::default());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = world.omni(&format!("completion {shell}"));
        assert_eq!(run.code, 0);
        assert!(run.out.contains("OMNI_COMPLETE"), "{shell}: {}", run.out);
    }
}
