//! Backups and secrets: screens, what each verb asks of the cluster, and how it ends.

use crate::apps::calls;
use crate::fake::{Mood, Run, World};
use omni_common::api::v1::{RestorePlan, RunView};
use omni_common::domain::backup::FileEntry;
use std::process::Stdio;

fn check(name: &str, world: &World, line: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "[TIME]");
    let text = world.stable(&world.omni(line).transcript());
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), text));
}

fn expect(world: &World, line: &str, call: &str, body: &str) -> Run {
    let before = world.written().len();
    let run = world.omni(line);
    let made = calls(world);
    assert_eq!(made[before..], [(call.to_owned(), body.to_owned())], "{line}: {}", run.transcript());
    run
}

#[test]
fn what_people_see() {
    let world = World::new();
    check("backup", &world, "backup");
    check("backup-status-wide", &world, "backup status -o wide");
    check("backup-list", &world, "backup list");
    check("backup-list-wide", &world, "backup list shop --kind copy -o wide");
    check("backup-show", &world, "backup show 000000b2");
    check("backup-show-running", &world, "backup show 000000b4");
    check("backup-repo", &world, "backup repo");
    check("backup-repo-show", &world, "backup repo show home");
    check("backup-repo-show-never", &world, "backup repo show away");
    check("backup-repo-unlock", &world, "backup repo unlock home");
    check("backup-policy", &world, "backup policy show shop");
    check("backup-defaults", &world, "backup defaults");
    check("snapshots", &world, "snapshots");
    check("snapshots-wide", &world, "snapshots default/shop --item postgres-db -o wide");
    check("snapshots-none", &world, "snapshots wiki");
    check("snapshots-files", &world, "snapshots files shop 7777 /media");
    check("snapshots-files-wide", &world, "snapshots files default/shop 7777 /media -o wide");
    check("snapshots-files-empty", &world, "snapshots files shop 7777 /empty");
    check("restore-dry-run", &world, "restore shop --dry-run");
    check("secrets", &world, "secrets");
    check("secrets-versions", &world, "secrets versions smtp/password");
}

#[test]
fn runs_are_begun_and_waited_for() {
    let world = World::new();
    let begin = "POST /api/v1/backup/runs";
    let shop = r#"{"backup":{"environment":"default","app":"shop","to":null}}"#;
    let run = expect(&world, "backup run shop", begin, shop);
    assert_eq!(run.code, 0, "a pipe is not made to wait: {}", run.transcript());
    assert!(run.err.contains("backup default/shop main.0"), "{}", run.err);
    let run = expect(&world, "backup run shop --wait", begin, shop);
    assert_eq!((run.code, run.err.as_str()), (0, "backup default/shop main.0 succeeded in 1m\n"));
    let over: Vec<RunView> = world.omni("backup run shop --wait -o json").json();
    assert_eq!(over[0].items.len(), 2);
    let wiki = r#"{"backup":{"environment":"default","app":"wiki","to":"away"}}"#;
    let run = expect(&world, "backup run wiki --to away --wait", begin, wiki);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("failed") && run.err.contains("restic"), "{}", run.err);
    let check = r#"{"check":{"repository":"home","read_data":true}}"#;
    expect(&world, "backup repo check home --read-data", begin, check);
    assert_eq!(
        expect(&world, "backup repo prune home --wait", begin, r#"{"prune":{"repository":"home"}}"#).code,
        1
    );
    let drill = r#"{"drill":{"environment":"default","app":"shop","from":null,"host":"gpu-1"}}"#;
    assert_eq!(expect(&world, "drills run shop --on gpu-1 --wait", begin, drill).code, 0);
    expect(&world, "backup cancel 000000b4", "POST /api/v1/backup/runs/000000b4/cancel", "");
}

#[test]
fn a_restore_is_shown_before_it_is_done() {
    let world = World::new();
    let run = world.omni("restore shop");
    assert_eq!(run.code, 2, "it asks first: {}", run.transcript());
    assert!(
        run.err.contains("postgres-db from snapshot 5a5a0123") && run.err.contains("--yes"),
        "{}",
        run.err
    );
    let asked = calls(&world);
    assert!(asked.iter().all(|(_, body)| body.contains(r#""dry_run":true"#)), "{asked:?}");
    let run = world.omni("restore shop --item postgres-db --yes --wait");
    assert_eq!(run.code, 0, "{}", run.transcript());
    let asked = calls(&world);
    let (_, last) = asked.last().expect("asked");
    assert!(last.contains(r#""stop":true"#) && last.contains(r#""dry_run":false"#), "{last}");
    assert!(last.contains(r#""snapshot":"5a5a0123"#), "what was shown is what is done: {last}");
    let plan: RestorePlan = world.omni("restore shop --dry-run -o json --to-folder web-1:/srv/back").json();
    assert_eq!((plan.folder.as_deref(), plan.stops), (Some("/srv/back"), false));
    let run = world.omni("restore shop --to-folder web-1:/srv/back --item volume-media --path a/b --at 2h");
    assert_eq!(run.code, 0, "nothing is lost, so nothing is asked: {}", run.transcript());
}

#[test]
fn files_of_a_snapshot_come_in_pages_and_whole_to_programs() {
    let world = World::new();
    let all: Vec<FileEntry> = world.omni("snapshots files shop 7777 -o json").json();
    let names = |entries: &[FileEntry]| entries.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&all), names(&crate::fixtures::files()), "names are what they are");
    let some: Vec<FileEntry> = world.omni("snapshots files shop 7777 / -n 3 -o json").json();
    assert_eq!(names(&some), names(&all[..3]));
    let run = world.omni("snapshots files shop 7777");
    assert!(!run.out.contains(['\u{1b}', '\u{202e}']), "{}", run.out);
    assert_eq!(run.out.lines().count(), 1 + all.len(), "one line each: {}", run.out);
}

#[test]
fn a_secret_is_neither_an_argument_nor_shown_unasked() {
    let world = World::new();
    let mut command = world.command(&["secrets", "put", "smtp/password"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    use std::io::Write;
    child.stdin.take().expect("piped").write_all(b"correct horse\n").expect("taken");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "Secret smtp/password has version 3.\n");
    let written = world.written();
    assert_eq!(written[0].call, "PUT /api/v1/secrets/smtp%2Fpassword");
    let run = world.omni("secrets get smtp/password");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--reveal") && !run.err.contains("horse"), "{}", run.err);
    let run = world.omni("secrets get smtp/password --reveal");
    assert_eq!((run.code, run.out.as_str()), (0, "correct horse\n"));
    assert_eq!(world.omni("secrets put a/b").code, 2, "nothing came in");
    assert_eq!(world.omni("secrets rm smtp/password").code, 2, "it asks first");
    expect(
        &world,
        "secrets rm smtp/password --version 1 -y",
        "DELETE /api/v1/secrets/smtp%2Fpassword?version=1",
        "",
    );
}

#[test]
fn a_login_to_a_registry_is_a_secret_of_its_name() {
    let world = World::new();
    let mut command =
        world.command(&["registry", "login", "Registry.lan:5000", "--user", "ci", "--password-stdin"]);
    let mut child =
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    use std::io::Write;
    child.stdin.take().expect("piped").write_all(b"s3cret\n").expect("taken");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cret"));
    assert_eq!(world.written()[0].call, "PUT /api/v1/secrets/registry%2Fregistry.lan_5000");
    let run = world.omni("registry");
    assert!(run.err.contains("omni registry login"), "{}", run.transcript());
    let run = world.omni("registry login https://registry.lan --user ci");
    assert_eq!(run.code, 2, "{}", run.transcript());
    assert!(run.err.contains("is no registry"), "{}", run.err);
    assert_eq!(world.omni("registry logout registry.lan:5000").code, 2, "it asks first");
}

#[test]
fn repositories_and_policies_are_set() {
    let world = World::new();
    let place = "POST /api/v1/backup/repositories";
    let run = world.omni(
        "backup repo add store rest:https://b.lan:8000/x --user shop --server-secret backup/http --offsite",
    );
    assert_eq!(run.code, 0, "{}", run.transcript());
    assert!(run.err.contains("omni secrets get backup/store/password --reveal"), "{}", run.err);
    let asked = calls(&world);
    assert_eq!(asked[0].0, place);
    assert!(
        asked[0].1.contains(r#""credentials":{"rest":{"user":"shop","password":"backup/http"}}"#),
        "{}",
        asked[0].1
    );
    assert_eq!(world.omni("backup repo rm home").code, 2, "it asks first");
    expect(&world, "backup repo rm home -y", "DELETE /api/v1/backup/repositories/home", "");
    let unlock = "POST /api/v1/backup/repositories/home/unlock";
    let run = expect(&world, "backup repo unlock home", unlock, r#"{"force":false}"#);
    assert_eq!(run.code, 4, "what is held is left: {}", run.transcript());
    let run = world.omni("backup repo unlock home --force");
    assert_eq!(run.code, 2, "it asks first: {}", run.transcript());
    assert!(run.err.contains("run 000000b4 is at work there"), "{}", run.err);
    let run = expect(&world, "backup repo unlock home --force -y", unlock, r#"{"force":true}"#);
    assert_eq!(run.code, 0, "{}", run.transcript());
    let path = "/api/v1/backup/policies/default/shop";
    let mut command = world.command(&[
        "backup",
        "policy",
        "set",
        "shop",
        "--schedule",
        "0 */2 * * *",
        "--max-age",
        "5h",
        "--keep",
        "daily=30d",
    ]);
    assert_eq!(world.run(&mut command).code, 0);
    let asked = calls(&world);
    let (call, body) = asked.last().expect("asked");
    assert_eq!(call, &format!("PUT {path}"));
    assert!(body.contains(r#""schedule":"0 */2 * * *""#) && body.contains(r#""max_age":"5h""#), "{body}");
    expect(&world, "backup policy unset shop", &format!("DELETE {path}"), "");
    let run = world.omni("backup defaults --per-host 3");
    assert!(run.code == 0 && run.out.contains("3 runs at a time  [set]"), "{}", run.transcript());
    let run = world.omni("backup defaults --per-host 0");
    assert!(run.code == 0 && run.out.contains("2 runs at a time  [backup policies]"), "{}", run.transcript());
    let asked = calls(&world);
    assert!(asked.last().is_some_and(|(_, body)| body.contains(r#""per_host":null"#)), "{asked:?}");
}

#[test]
fn one_code_for_each_kind_of_failure() {
    let world = World::new();
    for (line, code, told) in [
        ("backup run nothing", 3, "there is no app"),
        ("backup show ffffffff", 3, "no run"),
        ("backup cancel 000000b1", 4, "over"),
        ("backup repo show nowhere", 3, "no repository"),
        ("backup policy show shpo", 3, "did you mean `shop`?"),
        ("backup policy set shop --keep daily", 2, "no rule"),
        ("backup policy set shop --schedule often", 2, "five cron fields"),
        ("snapshots nothing", 3, "there is no app"),
        ("snapshots a/", 2, "names no app"),
        ("snapshots files shop", 2, "SNAPSHOT"),
        ("snapshots files shop 0000", 3, "no snapshot"),
        ("snapshots files nothing 7777", 3, "no app"),
        ("snapshots files shop 7777 /none", 3, "there is no"),
        ("snapshots files shop 7777 /media/notes.txt", 4, "no folder"),
        ("snapshots files shop 7777 /away", 1, "cannot be reached"),
        ("restore shop --to-folder /srv", 2, "HOST:/FOLDER"),
        ("restore shop --at yesterday", 2, "not a time"),
        ("secrets versions none/such", 3, "no secret"),
    ] {
        let run = world.omni(line);
        assert_eq!(run.code, code, "omni {line}: {}", run.transcript());
        assert!(run.err.contains(told), "omni {line}: {}", run.err);
    }
    let viewer = World::in_mood(Mood { viewer: true, ..Mood::default() });
    assert_eq!(viewer.omni("backup run shop").code, 4);
}
