//! Logs, programs and events.

use crate::fake::World;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

fn check(name: &str, world: &World, line: &str) {
    insta::assert_snapshot!(name.to_owned(), world.stable(&world.omni(line).transcript()));
}

#[test]
fn logs_of_one_and_of_several() {
    let world = World::new();
    check("logs-one", &world, "logs gitea");
    check("logs-several", &world, "logs gitea-db ollama web-2/nginx --timestamps");
    check("logs-all-hosts", &world, "logs nginx -A");
    check("logs-component", &world, "logs --component gitea");
    check("logs-ambiguous", &world, "logs nginx");
    check("logs-on-host", &world, "logs nginx --host web-1");
    check("logs-partly", &world, "logs gitea gitea-migrate --no-prefix");
}

#[test]
fn a_program_gets_our_input_and_we_get_its_exit_code() {
    let world = World::new();
    let mut child = world
        .command(&["exec", "-i", "gitea", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    // More than all buffers on the way hold: neither direction may wait for the other.
    let text = "a line\n".repeat(4_000_000);
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("all was read");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 7 * 4_000_000));

    let run = world.omni("exec web-1/gitea false");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (7, "", "no\n"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let world = World::new();
    let mut child = world
        .command(&["events", "--follow", "--since", "41"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut numbers = Vec::new();
    while numbers.len() < 4 {
        let line = lines.next().expect("more to come").expect("text");
        numbers.push(line.trim_start().split(' ').next().expect("a number").to_owned());
    }
    assert_eq!(numbers, ["42", "43", "44", "45"], "past events, then new ones, none twice");
    drop(lines);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
