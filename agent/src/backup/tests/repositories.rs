//! Repositories that are made, cared for, and not what they should be.

use super::*;
use omni_common::domain::backup::{CheckTask, CopyTask, Forget, PruneTask, ReadPart};
use std::collections::BTreeMap;
use std::fs;

async fn shop() -> Bed {
    let bed = Bed::new().await;
    for volume in ["data", "more"] {
        fs::write(bed.docker.volume_of_app(volume).join("file"), volume).expect("our own folder");
    }
    bed
}

fn ended(done: &Done, code: &str) {
    assert_eq!((done.state, done.code.as_deref()), (RunState::Failed, Some(code)), "{done:?}");
    let said = format!("{done:?}");
    assert!(!said.contains(PASSWORD) && !said.contains("wrong one"), "no secret in {said}");
}

#[tokio::test]
async fn what_is_wrong_with_a_repository_has_a_stable_word() {
    let bed = shop().await;
    let item = volume_item("data");
    let to = |change: &dyn Fn(&mut Repository)| {
        let mut task = BackupTask {
            instance: instance(0),
            items: vec![item.clone()],
            to: bed.repository("repo"),
            moves: None,
            same_moment: Default::default(),
        };
        change(&mut task.to);
        bed.does(Task::Backup(Box::new(task)))
    };
    ended(&to(&|to| to.create = false).await, "repository_missing");
    assert_eq!(to(&|_| {}).await.state, RunState::Succeeded);
    ended(&to(&|to| to.password = Hidden::new("wrong one")).await, "wrong_password");
    ended(&to(&|to| to.location = "relative/path".to_owned()).await, "invalid");
    ended(&to(&|to| to.location = "rest:http://127.0.0.1:9/x/".to_owned()).await, "unreachable");
    ended(&to(&|to| to.password = Hidden::new("")).await, "invalid");
}

#[tokio::test]
async fn snapshots_are_copied_once_and_say_what_they_are_copies_of() {
    let bed = shop().await;
    let taken = bed.takes(&volume_item("data")).await;
    let task = CopyTask {
        snapshots: vec![taken.snapshot.clone().expect("taken")],
        from: bed.repository("repo"),
        to: bed.repository("far"),
    };
    let first = bed.does(Task::Copy(Box::new(task.clone()))).await;
    assert_eq!(first.state, RunState::Succeeded, "{first:?}");
    let copy = &first.items[0];
    assert_eq!((copy.item.as_str(), Some(&copy.facts["source"])), ("volume-data", taken.snapshot.as_ref()));
    assert_ne!(copy.snapshot, taken.snapshot);
    let again = bed.does(Task::Copy(Box::new(task.clone()))).await;
    assert_eq!(again.items, first.items);
    // It comes back from there.
    let item = volume_item("data");
    let Task::Restore(mut restore) =
        bed.restore(&[(&item, copy)], Destination::Folder { path: bed.path("t").display().to_string() })
    else {
        panic!("a restore")
    };
    restore.from = bed.repository("far");
    assert_eq!(bed.does(Task::Restore(restore)).await.state, RunState::Succeeded);
    assert_eq!(fs::read(bed.path("t/volume-data/file")).expect("it is there"), b"data");
    let missing = CopyTask { snapshots: vec!["0".repeat(64)], ..task };
    ended(&bed.does(Task::Copy(Box::new(missing))).await, "snapshot_missing");
}

#[tokio::test]
async fn retention_counts_each_item_of_each_instance_for_itself() {
    let bed = shop().await;
    for _ in 0..3 {
        bed.takes(&volume_item("data")).await;
    }
    bed.takes(&volume_item("more")).await;
    let by_hand = std::process::Command::new("restic")
        .args(["backup", "--tag", "omni-app=default/shop"])
        .arg(bed.path("docker"))
        .env("RESTIC_REPOSITORY", bed.path("repo"))
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", bed.path("bare-cache"))
        .output();
    assert!(by_hand.is_ok_and(|output| output.status.success()));
    let prune = |keep: &[(&str, &str)]| {
        let keep = keep.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let forget =
            vec![Forget { tag: "omni-app=default/shop".to_owned(), keep: keep.collect::<BTreeMap<_, _>>() }];
        Task::Prune(PruneTask {
            repository: bed.repository("repo"),
            forget,
            max_unused: Some("0%".to_owned()),
            max_repack_size: Some("10G".to_owned()),
            expire: Vec::new(),
        })
    };
    let done = bed.does(prune(&[("last", "1")])).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert!(
        done.message.as_ref().is_some_and(|message| message.starts_with("2 snapshots removed")),
        "{done:?}"
    );
    // One of each item, and the one that somebody made by hand.
    assert_eq!(fs::read_dir(bed.path("repo/snapshots")).expect("a repository").count(), 3);
    ended(&bed.does(prune(&[])).await, "invalid");
    for read in [None, Some(ReadPart { part: 2, of: 3 })] {
        let done = bed.does(Task::Check(CheckTask { repository: bed.repository("repo"), read })).await;
        assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    }
}

/// A lock as a restic that was killed leaves it behind.
pub(super) async fn leave_a_lock(bed: &Bed) {
    let mut child = tokio::process::Command::new("restic")
        .args(["backup", "--stdin"])
        .stdin(std::process::Stdio::piped())
        .env("RESTIC_REPOSITORY", bed.path("repo"))
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", bed.path("bare-cache"))
        .spawn()
        .expect("restic starts");
    while fs::read_dir(bed.path("repo/locks")).expect("a repository").next().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().await.expect("it runs");
    assert_eq!(fs::read_dir(bed.path("repo/locks")).expect("a repository").count(), 1);
}

#[tokio::test]
async fn a_lock_of_a_dead_process_of_this_host_is_no_obstacle() {
    let bed = shop().await;
    bed.takes(&volume_item("data")).await;
    leave_a_lock(&bed).await;
    let done = bed.does(Task::Check(CheckTask { repository: bed.repository("repo"), read: None })).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
}
