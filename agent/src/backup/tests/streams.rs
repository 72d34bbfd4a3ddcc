//! What programs write, and read again.

use super::*;
use std::fs;

async fn shop() -> Bed {
    let bed = Bed::new().await;
    bed.docker.runs("cache", 0);
    bed
}

#[tokio::test]
async fn a_stream_becomes_a_file_that_comes_back() {
    let bed = shop().await;
    let item = command_item("printf 'one\\ntwo\\n'", "");
    let taken = bed.takes(&item).await;
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(b"one\ntwo\n"));
    assert_eq!((taken.facts["bytes"].as_str(), &taken.facts["sha256"]), ("8", &hash));
    let target = bed.path("target");
    let into = Destination::Folder { path: target.display().to_string() };
    let done = bed.does(bed.restore(&[(&item, &taken)], into)).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    let file = target.join("command-cache/command-cache.data");
    assert_eq!(fs::read(&file).expect("it is there"), b"one\ntwo\n");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).expect("it is there"));
    assert_eq!(mode & 0o777, 0o600, "a dump is for nobody else");
    bed.is_clean();
}

#[tokio::test]
async fn a_program_that_fails_leaves_no_snapshot_and_keeps_nobody_else_from_being_taken() {
    let bed = shop().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "content").expect("our own folder");
    for (script, code, part) in [
        ("echo half; echo 'no room' >&2; exit 3", "source_failed", "exit code 3: no room"),
        ("true", "source_empty", "empty"),
        ("kill -9 $$", "source_failed", "broke off"),
    ] {
        let done = bed.does(bed.backup(vec![command_item(script, ""), volume_item("data")])).await;
        assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some(code)), "{done:?}");
        assert!(done.message.as_ref().is_some_and(|message| message.contains(part)), "{done:?}");
        let states: Vec<_> = done.items.iter().map(|item| (item.state, item.snapshot.is_some())).collect();
        assert_eq!(states, [(RunState::Failed, false), (RunState::Succeeded, true)]);
    }
    bed.docker.stops("cache");
    let done = bed.does(bed.backup(vec![command_item("echo x", "")])).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("not_running")), "{done:?}");
}

#[tokio::test]
async fn a_stream_is_loaded_into_a_service_that_runs_alone() {
    let bed = shop().await;
    let loaded = bed.path("loaded");
    let item = command_item("printf 'one\\ntwo\\n'", &format!("cat >{}", loaded.display()));
    let taken = bed.takes(&item).await;
    bed.docker.stops("cache");
    bed.docker.did();
    let done = bed.does(bed.restore(&[(&item, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(fs::read(&loaded).expect("it was loaded"), b"one\ntwo\n");
    let did = bed.docker.did();
    assert_eq!(did[0], "running made-1");
    assert_eq!(did[did.len() - 2..], ["exited made-1", "remove made-1"]);
    // A program that refuses it says why.
    let refuses = command_item("printf 'one\\ntwo\\n'", "cat >/dev/null; echo 'bad header' >&2; exit 2");
    let done = bed.does(bed.restore(&[(&refuses, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("load_failed")), "{done:?}");
    assert!(done.message.as_ref().is_some_and(|message| message.contains("bad header")), "{done:?}");
    let cannot = command_item("echo x", "");
    let done = bed.does(bed.restore(&[(&cannot, &taken)], Destination::InPlace { replace: true })).await;
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some("not_loadable")), "{done:?}");
    bed.is_clean();
}
