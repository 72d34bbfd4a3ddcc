//! People: signing in, one's own account, and the accounts of others.

use crate::fake::people::PASSWORD;
use crate::fake::{Mood, Run, World};
use std::io::Write;
use std::process::Stdio;

/// Runs `omni` with lines on its standard input.
fn with_input(world: &World, line: &str, input: &str) -> Run {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = world.command(&args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(input.as_bytes()).expect("it reads");
    drop(pipe);
    Run::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn a_person_signs_in_with_a_password_and_out_again() {
    let world = World::stranger(Mood::default());
    let login = format!("login {} --user ann --password-stdin --ca {}", world.url, world.ca);
    let wrong = with_input(&world, &login, "not this one\n");
    assert_eq!(wrong.code, 4, "{}", wrong.err);
    assert!(
        wrong.err.contains("name or password is wrong") && !wrong.err.contains("not this one"),
        "{}",
        wrong.err
    );
    let run = with_input(&world, &login, &format!("{PASSWORD}\n"));
    assert_eq!(run.code, 0, "{}", run.err);
    let kept = std::fs::read_to_string(world.config()).expect("written");
    assert!(kept.contains("omni-session1.") && !kept.contains(PASSWORD), "{kept}");
    assert_eq!(world.omni("controllers").code, 0);
    let out = world.omni("logout");
    assert_eq!(out.code, 0, "{}", out.err);
    assert!(!out.err.contains("stays valid"), "{}", out.err);
    assert!(world.written().iter().any(|one| one.call == "DELETE /api/v1/session"), "the session ends too");
}

#[test]
fn an_unknown_cluster_is_not_trusted_without_a_word() {
    let world = World::stranger(Mood::default());
    let run = with_input(&world, &format!("login {} --user ann --password-stdin", world.url), PASSWORD);
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains(&world.ca) && run.err.contains("--ca"), "{}", run.err);
    assert!(world.written().is_empty(), "nothing was sent");
    let other = "ab".repeat(32);
    let run = with_input(
        &world,
        &format!("login {} --user ann --password-stdin --ca {other}", world.url),
        PASSWORD,
    );
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(world.written().is_empty(), "nothing was sent");
    assert_eq!(world.omni(&format!("login {} --user ann --ca abc", world.url)).code, 2);
}

#[test]
fn a_known_cluster_is_known_by_its_address() {
    let world = World::new();
    let run = with_input(
        &world,
        &format!("login {} --user ann --password-stdin --context me", world.url),
        PASSWORD,
    );
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn a_person_signs_in_through_the_provider() {
    let world = World::stranger(Mood::default());
    let run = world.omni(&format!("login {} --oidc --ca {}", world.url, world.ca));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("https://auth.lan/device") && run.err.contains("123456789"), "{}", run.err);
    let polls = world.written().iter().filter(|one| one.call.ends_with("/poll")).count();
    assert_eq!(polls, 2, "it asks until the person has said yes");
}

#[test]
fn screens_of_people() {
    let world = World::new();
    for (name, line) in [
        ("users", "users"),
        ("users-wide", "users list -o wide"),
        ("users-sessions", "users sessions ann"),
        ("account", "account"),
        ("auth-oidc", "auth oidc show"),
    ] {
        let run = world.omni(line);
        insta::assert_snapshot!(name, world.stable(&run.transcript()));
    }
}

#[test]
fn people_are_added_changed_and_removed() {
    let world = World::new();
    let create = "users create zoe --role operator --in staging --in production/shop --password-stdin";
    let run = with_input(&world, create, "four words are fine\n");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(!run.err.contains("four words") && !run.out.contains("four words"));
    let set = world.omni("users set bob --role viewer --everywhere --disable");
    assert_eq!(set.code, 0, "{}", set.err);
    assert!(set.err.contains("may not come in"), "{}", set.err);
    assert_eq!(world.omni("users set bob").code, 2, "nothing to change");
    assert_eq!(world.omni("users rm ann nobody --yes").code, 3, "all are looked for first");
    assert_eq!(world.omni("users rm ann").code, 2, "it asks");
    assert_eq!(world.omni("users rm ann --yes").code, 0);
    assert_eq!(world.omni("users sessions ann --end 00000072").code, 0);
    assert_eq!(world.omni("users sessions ann --end-all").code, 0);
    assert_eq!(world.omni("users sessions ann --end ffff").code, 3);
    let calls: Vec<String> = world.written().iter().map(|one| format!("{} {}", one.call, one.body)).collect();
    insta::assert_snapshot!("people-written", calls.join("\n"));
    assert!(world.written().iter().all(|one| one.key.is_some()), "each change has a key");
}

#[test]
fn ones_own_password_is_changed_and_sessions_end() {
    let world = World::new();
    let change = "account password --password-stdin";
    assert_eq!(with_input(&world, change, &format!("{PASSWORD}\nfour words are fine\n")).code, 0);
    assert_eq!(with_input(&world, change, "wrong\nfour words are fine\n").code, 2);
    assert_eq!(world.omni("account password").code, 2, "there is no terminal to ask on");
    assert_eq!(world.omni("account sessions --end-all").code, 0);
}

#[test]
fn the_provider_is_set_piece_by_piece() {
    let world = World::new();
    let set = "auth oidc set --group omni-admins=admin --group devs=operator@staging --others nothing --secret-stdin";
    let run = with_input(&world, set, "s3cret\n");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("/api/v1/session/oidc/callback") && !run.err.contains("s3cret"), "{}", run.err);
    let body: serde_json::Value =
        serde_json::from_str(&world.written().last().expect("sent").body).expect("JSON");
    assert_eq!(body["issuer"], "https://auth.lan/application/o/omni/", "what was not said stays");
    assert_eq!(body["groups"][1]["scope"]["environments"][0], "staging");
    let gone = world.omni("auth oidc set --issuer https://gone.lan/");
    assert_eq!(gone.code, 0);
    assert!(gone.err.contains("nobody can sign in through it yet"), "{}", gone.err);
    assert_eq!(world.omni("auth oidc set --group admins").code, 2);
    assert_eq!(world.omni("auth oidc rm --yes").code, 0);
}

#[test]
fn an_invitation_is_a_link() {
    let world = World::new();
    let run = world.omni("token create --role admin");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("/#/setup/omni-join1.fresh"), "{}", run.err);
}
