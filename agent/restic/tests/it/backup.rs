//! Backups of files.

use crate::bed::Bed;
use omni_restic::{Backup, Filter, Labels, Limits};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_backup_has_what_was_asked_for_and_says_so() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let source = bed.source();
    bed.file("source/skip.log", "x");
    bed.file("source/large", vec![0; 70_000]);
    bed.file("source/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    bed.file("source/cache/x", "x");
    let backup = Backup {
        paths: vec![source.clone()],
        exclude: vec!["*.log".into()],
        exclude_caches: true,
        exclude_larger_than: Some(60_000),
        one_file_system: true,
        labels: Labels {
            host: Some("web-1".into()),
            tags: vec!["app=shop".parse().expect("a tag"), "daily".parse().expect("a tag")],
            time: Some("2026-03-01T12:00:00Z".parse().expect("a time")),
            parent: None,
        },
        ..Backup::default()
    };
    let dry = Backup { dry_run: true, ..backup.clone() };
    let report = bed.restic.backup(&repository, &dry).expect("a good backup").end().await.expect("a dry run");
    assert_eq!((report.snapshot, report.files_new), (None, 3));
    assert!(bed.snapshots(&repository).await.is_empty());

    let report =
        bed.restic.backup(&repository, &backup).expect("a good backup").end().await.expect("a backup");
    assert!(!report.is_partial());
    assert_eq!((report.files, report.files_new, report.bytes), (3, 3, 13 + 43), "{report:?}");
    let id = report.snapshot.expect("there is a snapshot");
    assert!(id.is_whole());
    let snapshots = bed.snapshots(&repository).await;
    assert_eq!(snapshots.len(), 1);
    let snapshot = &snapshots[0];
    assert_eq!(snapshot.id, id);
    assert_eq!((snapshot.hostname.as_str(), snapshot.tags.join(",").as_str()), ("web-1", "app=shop,daily"));
    assert_eq!(snapshot.time.to_string(), "2026-03-01T12:00:00Z");
    assert_eq!(bed.restic.snapshot(&repository, &id).await.expect("it is there"), *snapshot);
    let listing = bed.restic.list(&repository, &id, Some(&source), 100).await.expect("it lists");
    let mut names: Vec<_> = listing
        .entries
        .iter()
        .filter_map(|entry| entry.path.strip_prefix(source.to_str().expect("plain")))
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["/a", "/b", "/b/c", "/cache", "/cache/CACHEDIR.TAG"]);

    for (hosts, tags, count) in
        [(vec!["web-1"], "daily", 1), (vec!["web-2"], "daily", 0), (vec![], "weekly", 0)]
    {
        let filter = Filter {
            hosts: hosts.into_iter().map(str::to_owned).collect(),
            tags: vec![vec![tags.parse().expect("a tag")]],
            paths: vec![source.clone()],
        };
        let found = bed.restic.snapshots(&repository, &filter).await.expect("it lists");
        assert_eq!(found.len(), count, "{filter:?}");
    }
}

/// What cannot be read is left out and named, and the rest is there.
#[tokio::test]
async fn unreadable_files_make_a_backup_partial() {
    let bed = Bed::unprivileged().await;
    let repository = bed.repository_of_nobody("repository");
    let source = bed.source();
    let closed = bed.file("source/closed", "nobody may read this");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("our own file");
    let gone = bed.path("source-that-is-not-there");
    let backup = Backup { paths: vec![source, gone.clone()], ..Backup::default() };
    let report =
        bed.restic.backup(&repository, &backup).expect("a good backup").end().await.expect("partial");
    assert!(report.is_partial());
    let mut named: Vec<_> = report.unreadable.named.iter().map(|file| file.path.clone()).collect();
    named.sort();
    let mut expected = [closed, gone].map(|path| path.display().to_string());
    expected.sort();
    assert_eq!(named, expected);
    assert!(
        report.unreadable.named.iter().any(|file| file.reason.to_lowercase().contains("permission denied"))
    );
    assert_eq!(report.files, 2);
    assert!(report.snapshot.is_some_and(|id| id.is_whole()));
}

/// A file of `/proc` that is gone when restic looks at it: the folder's own, which it has closed by then.
#[tokio::test]
async fn a_file_that_vanishes_does_not_fail_a_backup() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let report = bed.backup(&repository, "/proc/self/fd".as_ref()).await;
    assert!(report.snapshot.is_some());
    // Since 0.17 restic does not miss what was there only while it listed the folder.
    let expected = u64::from(bed.restic.version() < omni_restic::Version::new(0, 17, 0));
    assert_eq!(report.unreadable.count(), expected, "{report:?}");
}

#[tokio::test]
async fn progress_is_seen_while_it_happens() {
    let bed = Bed::new().await;
    let repository = bed.repository("repository");
    let source = bed.file("source/noise", crate::bed::noise(3 << 20));
    let limits = Limits { upload_kib_per_second: Some(1500), download_kib_per_second: None };
    let backup = Backup { paths: vec![source.clone()], limits, ..Backup::default() };
    let running = bed.restic.backup(&repository, &backup).expect("a good backup");
    let mut progress = running.progress();
    let seen = progress
        .wait_for(|progress| progress.bytes_total == Some(3 << 20))
        .await
        .expect("it goes on")
        .clone();
    assert!(seen.percent.is_some() && seen.files_total == Some(1), "{seen:?}");
    let report = running.end().await.expect("a backup");
    assert_eq!(report.bytes, 3 << 20);
}
