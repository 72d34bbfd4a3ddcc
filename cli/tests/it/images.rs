//! Images from this machine to hosts.

use crate::fake::World;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

/// What the engine saves: more than one message holds.
const SAVED: usize = 700_000;

/// An engine that has one image, `site:1`; a connection for each request, as many as are made.
fn engine(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("a free path");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut line = String::new();
            stream.read_line(&mut line).expect("a request");
            let mut header = String::new();
            while stream.read_line(&mut header).expect("headers") > 2 {
                header.clear();
            }
            let (status, body) = match line.split(' ').nth(1) {
                Some("/images/site:1/json") => ("200 OK", br#"{"Id":"sha256:1","Size":700000}"#.to_vec()),
                Some("/images/site:1/get") => ("200 OK", vec![7; SAVED]),
                _ => ("404 Not Found", br#"{"message":"no such image"}"#.to_vec()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let out = stream.get_mut();
            out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).ok();
        }
    });
}

#[test]
fn an_image_of_the_engine_is_sent() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("docker.sock");
    engine(&socket);
    let docker_host = format!("unix://{}", socket.display());
    let push = |args: &[&str]| {
        let args = [&["image", "push"], args].concat();
        world.run(world.command(&args).env("DOCKER_HOST", &docker_host))
    };
    insta::assert_snapshot!("push", push(&["site:1", "--host", "web-1"]).transcript());
    insta::assert_snapshot!("push-some", push(&["site:1", "--all"]).transcript());
    insta::assert_snapshot!("push-unknown", push(&["site:2", "--all"]).transcript());
    let json = push(&["site:1", "--host", "web-1", "-o", "json"]);
    let outcomes: Vec<omni_common::api::v1::PushOutcome> = json.json();
    assert_eq!((outcomes.len(), outcomes[0].images.as_slice()), (1, &["700000 bytes".to_owned()][..]));
}

#[test]
fn a_file_is_sent_without_an_engine() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("site.tar");
    std::fs::write(&file, vec![7; 1000]).expect("written");
    let path = file.display().to_string();
    let run = world.run(&mut world.command(&["image", "push", "--file", &path, "--label", "tier=web"]));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("1000 bytes"), "{}", run.out);
    let absent = world.omni("image push --file /nonexistent/site.tar --all");
    assert_eq!((absent.code, absent.out.as_str()), (1, ""));
    assert!(absent.err.contains("cannot read /nonexistent/site.tar"), "{}", absent.err);
    let elsewhere = world.run(world.command(&["image", "push", "a", "--all"]).env("DOCKER_HOST", "ssh://x"));
    assert_eq!(elsewhere.code, 2, "{}", elsewhere.err);
    assert!(elsewhere.err.contains("--file -"), "{}", elsewhere.err);
}
