//! What `--help` says, and what a command line that makes no sense is answered with.

use crate::fake::{Mood, World};

const VERBS: [&str; 96] = [
    "",
    "login",
    "logout",
    "context",
    "context list",
    "context use",
    "context show",
    "context env",
    "context rm",
    "status",
    "health",
    "hosts",
    "hosts show",
    "hosts label",
    "hosts cordon",
    "hosts uncordon",
    "hosts drain",
    "hosts undrain",
    "hosts rm",
    "deploy",
    "adopt",
    "apps",
    "apps show",
    "releases",
    "diff",
    "rollback",
    "rollout",
    "rollout show",
    "rollout watch",
    "rollout pause",
    "rollout abort",
    "scale",
    "start",
    "stop",
    "restart",
    "move",
    "rm",
    "explain",
    "drain",
    "image",
    "image ls",
    "image push",
    "ps",
    "top",
    "logs",
    "exec",
    "events",
    "backup",
    "backup status",
    "backup run",
    "backup list",
    "backup show",
    "backup cancel",
    "backup repo",
    "backup repo add",
    "backup repo check",
    "backup repo prune",
    "backup repo rm",
    "backup repo unlock",
    "backup policy set",
    "backup defaults",
    "snapshots",
    "snapshots files",
    "restore",
    "drills",
    "drills run",
    "registry",
    "registry login",
    "secrets",
    "secrets put",
    "secrets get",
    "secrets rm",
    "users",
    "users list",
    "users create",
    "users set",
    "users rm",
    "users sessions",
    "account",
    "account password",
    "account sessions",
    "auth",
    "auth oidc",
    "auth oidc set",
    "auth oidc rm",
    "token",
    "token create",
    "token create-api",
    "token list",
    "token rm",
    "controllers",
    "controllers rm",
    "controllers transfer-leader",
    "audit",
    "completion",
    "version",
];

#[test]
fn help_of_every_verb() {
    let world = World::stranger(Mood::default());
    for verb in VERBS {
        let run = world.omni(&format!("{verb} --help"));
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{verb}");
        let name = format!("help {verb}").trim().replace(' ', "-");
        insta::assert_snapshot!(name, run.out);
    }
}

#[test]
fn nonsense_is_bad_usage() {
    let world = World::new();
    let lines = [
        "",
        "hots",
        "hosts label",
        "ps --state busy",
        "hosts --status upp",
        "exec web",
        "logs",
        "token create --role boss",
        "health --wait soon",
        "logs gitea --tail many",
        "logs gitea --since yesterday",
        "hosts label web-1 disk",
        "exec -t gitea -- sh",
        "logs gitea --component gitea",
        "top",
        "ps -o xml",
        "events --topic weather",
        "scale shop",
        "diff shop one",
        "rollout shop",
        "rm",
        "stop shop --wait=soon",
        "deploy --plan --yes",
        "adopt shop",
        "adopt --host web-1 shop --write x --yes",
    ];
    for line in lines {
        let run = world.omni(line);
        assert_eq!(run.code, 2, "omni {line}: {}", run.transcript());
        assert!(run.out.is_empty() && !run.err.is_empty(), "omni {line}: {}", run.transcript());
    }
}

#[test]
fn the_version_flag_needs_no_cluster() {
    let run = World::stranger(Mood::default()).omni("--version");
    assert_eq!((run.code, run.out.as_str()), (0, "omni 0.1.0\n"));
}
