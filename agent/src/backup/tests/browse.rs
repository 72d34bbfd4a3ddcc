//! What is in snapshots, folder by folder.

use super::*;
use omni_common::domain::backup::{FileEntry, FileKind, FilesOrder, MAX_FILES};
use std::fs;
use std::os::unix::fs::symlink;

impl Bed {
    fn browser(&self) -> Browser {
        let restic = self.backups.shared.restic.as_ref();
        Browser::new(
            Some(&restic.expect("there is one").patient_for(Duration::from_secs(2))),
            self.path("work"),
        )
    }

    fn files(&self, snapshot: &str, path: &str) -> FilesOrder {
        FilesOrder {
            repository: self.repository("repo"),
            snapshot: snapshot.to_owned(),
            include: Vec::new(),
            path: path.to_owned(),
            skip: 0,
            most: MAX_FILES,
        }
    }
}

fn shown(entries: &[FileEntry]) -> Vec<(&str, FileKind)> {
    entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect()
}

fn snapshot(taken: &ItemOutcome) -> &str {
    taken.snapshot.as_deref().expect("it was taken")
}

#[tokio::test]
async fn paths_begin_at_the_root_of_what_was_taken() {
    let bed = Bed::new().await;
    let root = bed.docker.volume_of_app("data");
    fs::create_dir_all(root.join("a/b")).expect("our own folder");
    fs::write(root.join("a/file"), "first\n").expect("our own folder");
    symlink("../nowhere", root.join("a/link")).expect("our own folder");
    fs::write(root.join("top"), "").expect("our own folder");
    let taken = bed.takes(&volume_item("data")).await;
    let browser = bed.browser();
    let list = async |order: FilesOrder| browser.list(&order).await;

    // Where the volume lies on its host is nobody's business.
    let top = list(bed.files(snapshot(&taken), "/")).await.expect("it opens");
    assert_eq!(shown(&top), [("a", FileKind::Folder), ("top", FileKind::File)]);
    let inner = list(bed.files(snapshot(&taken), "/a/")).await.expect("it opens");
    assert_eq!(shown(&inner), [("b", FileKind::Folder), ("file", FileKind::File), ("link", FileKind::Link)]);
    assert_eq!((inner[1].size, inner[1].modified.is_some()), (6, true));
    assert_eq!(inner[2].target.as_deref(), Some("../nowhere"));
    let part = FilesOrder { skip: 1, most: 1, ..bed.files(snapshot(&taken), "a") };
    assert_eq!(list(part).await.expect("it opens"), inner[1..2]);
    assert!(list(bed.files(snapshot(&taken), "/a/b")).await.expect("it opens").is_empty());

    // What a listing names comes back.
    let task = RestoreTask {
        instance: instance(0),
        items: vec![RestoreItem {
            item: volume_item("data"),
            snapshot: snapshot(&taken).to_owned(),
            path: Some("/a/file".to_owned()),
            facts: taken.facts.clone(),
        }],
        from: bed.repository("repo"),
        into: Destination::Folder { path: bed.path("target").display().to_string() },
        compare: false,
    };
    let done = bed.does(Task::Restore(Box::new(task))).await;
    assert_eq!(done.state, RunState::Succeeded, "{done:?}");
    assert_eq!(fs::read(bed.path("target/volume-data/a/file")).expect("it came"), b"first\n");
}

#[tokio::test]
async fn a_part_of_a_volume_begins_where_the_volume_does() {
    let bed = Bed::new().await;
    let root = bed.docker.volume_of_app("data");
    fs::create_dir_all(root.join("deep/in")).expect("our own folder");
    fs::write(root.join("deep/in/file"), "x").expect("our own folder");
    fs::write(root.join("other"), "x").expect("our own folder");
    let include = vec!["deep/in".to_owned()];
    let item = Item {
        take: Take::Volume { volume: "data".to_owned(), include: include.clone(), exclude: Vec::new() },
        ..volume_item("data")
    };
    let taken = bed.takes(&item).await;
    let browser = bed.browser();
    let order = |path: &str| FilesOrder { include: include.clone(), ..bed.files(snapshot(&taken), path) };
    let top = browser.list(&order("/")).await.expect("it opens");
    assert_eq!(shown(&top), [("deep", FileKind::Folder)]);
    let inner = browser.list(&order("/deep/in")).await.expect("it opens");
    assert_eq!(shown(&inner), [("file", FileKind::File)]);
}

#[tokio::test]
async fn a_dump_is_one_file() {
    let bed = Bed::new().await;
    bed.docker.runs("cache", 0);
    let taken = bed.takes(&command_item("printf dumped", "")).await;
    let browser = bed.browser();
    let top = browser.list(&bed.files(snapshot(&taken), "/")).await.expect("it opens");
    assert_eq!((top.len(), top[0].kind, top[0].size, top[0].whole), (1, FileKind::File, 6, true), "{top:?}");
    let rest = FilesOrder { skip: 1, ..bed.files(snapshot(&taken), "/") };
    assert!(browser.list(&rest).await.expect("it opens").is_empty());
}

#[tokio::test]
async fn what_cannot_be_listed_is_said_why() {
    let bed = Bed::new().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "x").expect("our own folder");
    let taken = bed.takes(&volume_item("data")).await;
    let id = snapshot(&taken);
    let browser = bed.browser();
    let unknown = "0123456789abcdef".repeat(4);
    let nowhere = Repository { location: "/nonexistent/repo".to_owned(), ..bed.repository("repo") };
    let silent = Repository { location: "rest:http://127.0.0.1:9/".to_owned(), ..bed.repository("repo") };
    let wrong = Repository { password: Hidden::new("another"), ..bed.repository("repo") };
    for (order, code, words) in [
        (bed.files(id, "/none"), "path_missing", "no `/none`"),
        (bed.files(id, "/file"), "not_a_folder", "no folder"),
        (bed.files(id, "/file/below"), "path_missing", "below"),
        (bed.files(id, "/../etc"), "invalid", ".."),
        (bed.files(&unknown, "/"), "snapshot_missing", "01234567"),
        (bed.files("none", "/"), "invalid", "snapshot id"),
        (
            FilesOrder { repository: nowhere, ..bed.files(&unknown, "/") },
            "repository_missing",
            "/nonexistent",
        ),
        (FilesOrder { repository: silent, ..bed.files(&unknown, "/") }, "unreachable", "127.0.0.1:9"),
        (FilesOrder { repository: wrong, ..bed.files(&unknown, "/") }, "wrong_password", "password"),
    ] {
        let failure = browser.list(&order).await.expect_err(code);
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
        assert!(!format!("{order:?} {failure:?}").contains(PASSWORD));
    }
}

/// A prune keeps everybody out for hours; looking around does not wait for it.
#[tokio::test]
async fn a_lock_keeps_nobody_from_looking() {
    let bed = Bed::new().await;
    fs::write(bed.docker.volume_of_app("data").join("file"), "x").expect("our own folder");
    let taken = bed.takes(&volume_item("data")).await;
    fs::remove_dir_all(bed.path("repo/locks")).expect("no lock is in it");
    let top = bed.browser().list(&bed.files(snapshot(&taken), "/")).await.expect("it opens");
    assert_eq!(shown(&top), [("file", FileKind::File)]);
    assert!(!bed.path("repo/locks").exists(), "restic makes that folder for a lock");
}
